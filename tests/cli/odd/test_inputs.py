"""Odd pictures, masks, base scenes and models."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Run
from tests.cli.odd import Case, check, nothing, records, table
from tests.cli.world import World

INVERT = "invert --images support --out bank --model {model} --steps 1 --batch 1 --accumulation 1 --preview 0"


@table(
    Case(
        "no folder", lambda w: None, "invert --images nowhere --out bank", "there is no such folder", nothing("bank"), 2
    ),
    Case(
        "an empty picture",
        lambda w: (w / "support/dog/01.jpg").write_bytes(b""),
        INVERT,
        "support/dog/01.jpg: is empty (0 bytes)",
        records("bank", "chess_queen/01"),
    ),
)
def test_odd_pictures(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)
