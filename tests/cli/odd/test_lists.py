"""Odd lists of names, and samples of which a part is gone."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.cli.conftest import Run
from tests.cli.odd import Case, Leaves, check, nothing, table
from tests.cli.odd.arrange import (
    COMPOSE,
    FSS,
    after,
    gone,
    left,
    masks,
)
from tests.cli.world import World

pytestmark = pytest.mark.slow


def ood(text: str, encoding: str = "utf-8") -> Callable[[World], None]:
    def write(world: World) -> None:
        masks(world)
        (world / "ood.txt").write_text(text, encoding=encoding)

    return write


def classes(text: str, encoding: str = "utf-8") -> Callable[[World], None]:
    def write(world: World) -> None:
        masks(world)
        (world / "base/classes.txt").write_text(text, encoding=encoding)

    return write


def out_of_distribution(*names: str) -> Leaves:
    """The table names these classes so."""

    def leaves(world: World, _: object) -> None:
        assert json.loads((world / "results/metrics.json").read_text())["ood_classes"] == list(names)

    return leaves


def named(*names: str) -> Leaves:
    """The scenes' classes."""

    def leaves(world: World, _: object) -> None:
        assert (world / "scenes/classes.txt").read_text().splitlines() == list(names)

    return leaves


OOD = f"{FSS} --ood ood.txt"


@table(
    Case("a list with a byte order mark", ood("dog\n", "utf-8-sig"), OOD, "2 made", out_of_distribution("dog"), 0),
    Case(
        "a list of Windows", ood("dog\r\nchess queen\r\n"), OOD, "2 made", out_of_distribution("chess_queen", "dog"), 0
    ),
    Case(
        "a misspelt class",
        ood("dgo\n"),
        OOD,
        "ood.txt: names 'dgo', and there is no such class (the nearest is 'dog')",
        nothing("results"),
    ),
    Case("a list in UTF-16", ood("dog\n", "utf-16"), OOD, "ood.txt: cannot be read as UTF-8 text", nothing("results")),
    Case("no list", masks, OOD, "ood.txt: cannot be read as UTF-8 text", nothing("results")),
    Case(
        "a list that is a folder",
        after(masks, lambda w: (w / "ood.txt").mkdir()),
        OOD,
        "ood.txt: cannot be read as UTF-8 text",
        nothing("results"),
    ),
    Case(
        "class names with a byte order mark",
        classes("dog\nchess queen\nbus\n", "utf-8-sig"),
        COMPOSE,
        "2 made",
        named("dog", "chess queen", "bus"),
        0,
    ),
    Case(
        "a misspelt class name",
        classes("dog\nchess quen\nbus\n"),
        COMPOSE,
        "the base names no class 'chess queen' (the nearest is 'chess quen'): it is written as class 4",
        named("dog", "chess quen", "bus", "chess queen"),
        0,
    ),
    Case(
        "a class named twice",
        classes("dog\nchess queen\nchess_queen\n"),
        COMPOSE,
        "base/classes.txt: names the class 'chess queen' twice",
        nothing("scenes"),
    ),
    Case(
        "a name too few",
        classes("dog\nchess queen\n"),
        COMPOSE,
        "expected classes 0 to 2 (or 255 for ignored pixels), got 3",
        nothing("scenes"),
    ),
    Case(
        "an empty line between names",
        classes("dog\n\nbus\n"),
        COMPOSE,
        "expected a different class name on each line",
        nothing("scenes"),
    ),
)
def test_odd_lists(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)


def emptied(path: str) -> Callable[[World], None]:
    return lambda world: (world / path).write_bytes(b"")


ALL = FSS.replace("--synthetic 2", "--synthetic 9")
MISSING = ("synth/images/dog/text-1.png", "synth/coarse/dog/text-1.png", "masks/masks/dog/text-1.png")


@table(
    *(Case(f"{path} is gone", after(masks, gone(path)), ALL, (path, "2 made"), left("results", 2)) for path in MISSING),
    *(
        Case(f"{path} is empty", after(masks, emptied(path)), ALL, (path, "2 made"), left("results", 2))
        for path in MISSING
    ),
    Case(
        "all of a class are gone",
        after(masks, gone("synth/images/dog")),
        ALL,
        ("synth/images/dog/text-0.png", "2 made"),
        left("results", 2),
    ),
)
def test_missing_samples(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)
