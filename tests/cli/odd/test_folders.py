"""Odd folders, records, run files, lists and flags: what is there is never written over, and never read wrongly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.conftest import Run
from tests.cli.odd import Case, check, nothing, records, same, table
from tests.cli.world import COUNT, NOVEL, World, draw_masks, draw_synth

INVERT = "invert --images support --out bank --model {model} --steps 1 --batch 1 --accumulation 1 --preview 0"
GENERATE = "generate --bank bank --out synth --per-class 2 --steps 1 --batch 2 --height 24 --width 40"
MASK = "mask --images synth --out masks --segmenter attention"
COMPOSE = "compose --foregrounds masks --base base --count 2 --out scenes"
EXPORT = "export --masks masks --out set"
FSS = "evaluate --protocol fss --support support --query query --masks masks --synthetic 2 --beta 0 --out results"
FSS += " --segmenter prototype --backbone {backbone} --segmenter-size 32"
IDS = [f"{cls}/text-{number}" for cls in NOVEL for number in range(COUNT)]


def synth(world: World) -> Path:
    return draw_synth(world / "synth", world.model)


def masks(world: World) -> Path:
    return draw_masks(world / "masks", synth(world))


def own_voc(world: World) -> Path:
    """A data set of the user's own, with a list and names that `compose` would write over."""
    return Path(shutil.copytree(world / "base", world / "mine"))


def edit_run(change: Callable[[dict[str, Any]], object], folder: str) -> Callable[[World], None]:
    """Change the run file of a folder."""

    def edit(world: World) -> None:
        path = world / folder / "run.yaml"
        data = yaml.safe_load(path.read_text())
        change(data)
        path.write_text(yaml.safe_dump(data))

    return edit


def edit_record(change: Callable[[dict[str, Any]], object], folder: str) -> Callable[[World], None]:
    """Change the second record of a folder."""

    def edit(world: World) -> None:
        path = world / folder / "manifest.jsonl"
        lines = path.read_text().splitlines(keepends=True)
        data = json.loads(lines[1])
        change(data)
        lines[1] = json.dumps(data, sort_keys=True) + "\n"
        path.write_text("".join(lines))

    return edit


def after(*steps: Callable[[World], object]) -> Callable[[World], None]:
    """Arrange one thing after another."""

    def arrange(world: World) -> None:
        for step in steps:
            step(world)

    return arrange


def gone(path: str) -> Callable[[World], None]:
    """Without this file or folder."""

    def remove(world: World) -> None:
        shutil.rmtree(world / path) if (world / path).is_dir() else (world / path).unlink()

    return remove


def torn(folder: str) -> Callable[[World], None]:
    """The last line of a manifest is cut off."""

    def tear(world: World) -> None:
        path = world / folder / "manifest.jsonl"
        path.write_bytes(path.read_bytes()[:-20])

    return tear


def link(path: str, target: str) -> Callable[[World], None]:
    return lambda world: (world / path).symlink_to(world / target)


# outputs

FORCES = ("", " --force")


@table(
    *(
        Case(f"{name}{force}", arrange, f"{command}{force}", says, same(*kept), code)
        for force in FORCES
        for name, arrange, command, says, kept, code in (
            (
                "base is out",
                masks,
                COMPOSE.replace("--out scenes", "--out base"),
                "--out is also given as --base",
                "base masks",
                2,
            ),
            (
                "out in base",
                masks,
                COMPOSE.replace("--out scenes", "--out base/new"),
                "--out lies inside --base",
                "base",
                2,
            ),
            (
                "out holds base",
                masks,
                COMPOSE.replace("--out scenes", "--out ."),
                "--out holds --foregrounds",
                "base masks",
                2,
            ),
            (
                "out is a link to an input",
                after(masks, link("l", "base")),
                COMPOSE.replace("--out scenes", "--out l"),
                "--out is also given as --base",
                "base",
                2,
            ),
            (
                "out in the images",
                synth,
                MASK.replace("--out masks", "--out synth/masks"),
                "--out lies inside --images",
                "synth",
                2,
            ),
            (
                "out in the model",
                lambda w: None,
                INVERT.replace("--out bank", "--out {model}/bank"),
                "--out lies inside --model",
                "support",
                2,
            ),
            (
                "out in the support",
                synth,
                MASK.replace("attention", "ssp --support support").replace("--out masks", "--out support/m"),
                "--out lies inside --support",
                "support",
                2,
            ),
            (
                "out in the truth",
                masks,
                "evaluate --protocol masks --predictions masks --truth masks/masks --out masks/masks/r",
                "--out lies inside --predictions",
                "masks",
                2,
            ),
            (
                "module in the base",
                synth,
                MASK.replace("attention", "grounding --base base --grounding base/g"),
                "--grounding lies inside --base",
                "base",
                2,
            ),
            (
                "somebody's data set",
                after(masks, own_voc),
                COMPOSE.replace("--out scenes", "--out mine"),
                "holds 'ImageSets' and no run.yaml, so no stage made it",
                "mine",
                1,
            ),
            (
                "somebody's folder",
                after(masks, own_voc),
                EXPORT.replace("--out set", "--out mine"),
                "holds 'ImageSets' and no run.yaml, so no stage made it",
                "mine",
                1,
            ),
            (
                "somebody's folder for a module",
                after(synth, own_voc),
                MASK.replace("attention", "grounding --base base --grounding mine"),
                "Choose another folder with --grounding",
                "mine",
                1,
            ),
            (
                "another command's folder",
                masks,
                EXPORT.replace("--out set", "--out synth"),
                "was made by another command, generate, so export writes nothing there",
                "synth masks",
                1,
            ),
            (
                "no run file",
                after(masks, gone("synth/run.yaml")),
                INVERT.replace("--out bank", "--out synth"),
                "holds records but no run.yaml, so nobody can say how they were made",
                "synth",
                1,
            ),
            (
                "a damaged run file",
                after(masks, edit_run(lambda d: d.update(seed="0"), "synth")),
                INVERT.replace("--out bank", "--out synth"),
                "synth/run.yaml: is not a run file (seed: expected a whole number, got '0')",
                "synth",
                1,
            ),
        )
        for kept in (kept.split(),)
    ),
    Case(
        "out is a file",
        lambda w: (w / "f").touch(),
        INVERT.replace("--out bank", "--out f"),
        "--out: expected a folder, got a file",
        same("support"),
        2,
    ),
    Case(
        "out is a link to nothing",
        link("l", "nothing"),
        INVERT.replace("--out bank", "--out l"),
        "--out: is a link that leads nowhere",
        nothing("nothing"),
        2,
    ),
    Case(
        "out is a loop",
        link("l", "l"),
        INVERT.replace("--out bank", "--out l"),
        "--out: is a link that leads nowhere",
        same("support"),
        2,
    ),
    Case(
        "out is a link to an empty folder",
        lambda w: ((w / "e").mkdir(), (w / "l").symlink_to("e")),
        INVERT.replace("--out bank", "--out l"),
        "2 made",
        records("e", "dog/01", "chess_queen/01"),
        0,
    ),
)
def test_odd_outputs(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)
