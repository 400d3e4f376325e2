from __future__ import annotations

from pathlib import Path

from aligndiff_cli.stages.places import Place, places


def test_runs_of_folds() -> None:
    assert [place.id for place in places(("0", "1"), 2)] == [
        "fold-0-run-0",
        "fold-0-run-1",
        "fold-1-run-0",
        "fold-1-run-1",
    ]
    assert [place.id for place in places(("",), 1)] == ["run-0"]
    assert Place("3", 2).path("work/{fold}/{run}/support") == Path("work/3/2/support")
