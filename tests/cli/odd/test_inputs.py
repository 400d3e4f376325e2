"""Odd pictures, masks, base scenes and models."""

from __future__ import annotations

from shutil import copytree, ignore_patterns

import pytest

from tests.cli.conftest import Run
from tests.cli.odd import Case, check, records, table
from tests.cli.world import World
from tests.nasty import pipe, zero_bytes

INVERT = "invert --images support --out bank --model {model} --steps 1 --batch 1 --accumulation 1 --preview 0"


@table(
    Case(
        "an empty picture",
        lambda w: zero_bytes(w / "support/dog/01.jpg"),
        INVERT,
        "support/dog/01.jpg: is empty (0 bytes)",
        records("bank", "chess_queen/01"),
    ),
    Case(
        "a pipe among the images",
        lambda w: pipe(w / "support/dog/02.jpg"),
        INVERT,
        "support/dog/02.jpg: is no file, but a pipe",
        records("bank", "chess_queen/01", "dog/01"),
    ),
    Case(
        "a pipe among the masks",
        lambda w: pipe(w / "support/dog/01_mask.png"),
        INVERT,
        "support/dog/01_mask.png: is no file, but a pipe",
        records("bank", "chess_queen/01", "dog/01"),
    ),
    Case(
        "a link to a device",
        lambda w: (w / "support/dog/02.jpg").symlink_to("/dev/zero"),
        INVERT,
        "support/dog/02.jpg: is no file, but a device",
        records("bank", "chess_queen/01", "dog/01"),
    ),
    Case(
        "a pipe among the truths",
        lambda w: (
            pipe(w / "query/dog/9_mask.png"),
            copytree(w / "query", w / "predicted", ignore=ignore_patterns("9*")),
        ),
        "evaluate --protocol masks --predictions predicted --truth query --out results",
        "query/dog/9_mask.png: has no prediction",
        records("results", "chess_queen", "dog"),
    ),
)
def test_odd_pictures(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)
