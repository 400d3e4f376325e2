"""Commands of a small chain, and ways to arrange what goes wrong in it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from aligndiff_cli.engine.manifest import read_records
from tests.cli.odd import Leaves
from tests.cli.world import COUNT, NOVEL, World, draw_bank, draw_masks, draw_synth

INVERT = "invert --images support --out bank --model {model} --steps 1 --batch 1 --gradient-accumulation 1 --preview 0"
GENERATE = "generate --bank bank --out synth --per-class 2 --steps 1 --batch 2 --height 24 --width 40"
MASK = "mask --images synth --out masks --segmenter attention"
COMPOSE = "compose --foregrounds masks --base base --count 2 --out scenes"
EXPORT = "export --masks masks --out set"
FSS = "evaluate fss --support support --query query --masks masks --synthetic 2 --beta 0 --out results"
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


def left(folder: str, count: int) -> Leaves:
    """So many records."""

    def leaves(world: World, _: object) -> None:
        assert len(read_records(world / folder)) == count

    return leaves


def bank(world: World) -> Path:
    return draw_bank(world / "bank", world.model)
