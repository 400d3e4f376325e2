"""Odd outputs: what something else made is never written over, and nothing is written into what is read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.cli.conftest import Run
from tests.cli.odd import Case, check, nothing, records, same, table
from tests.cli.odd.arrange import (
    COMPOSE,
    EXPORT,
    INVERT,
    MASK,
    after,
    edit_run,
    gone,
    masks,
    own_voc,
    synth,
)
from tests.cli.world import World

pytestmark = pytest.mark.slow


def link(path: str, target: str) -> Callable[[World], None]:
    return lambda world: (world / path).symlink_to(world / target)


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
                "evaluate masks --predictions masks --truth masks/masks --out masks/masks/r",
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
