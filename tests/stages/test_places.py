from __future__ import annotations

from pathlib import Path

import pytest

from aligndiff_cli.errors import UsageError
from aligndiff_cli.stages.places import Place, check_folds, places


def test_runs_of_folds() -> None:
    assert [place.id for place in places(("0", "1"), 2)] == [
        "fold-0-run-0",
        "fold-0-run-1",
        "fold-1-run-0",
        "fold-1-run-1",
    ]
    assert [place.id for place in places(("",), 1)] == ["run-0"]
    assert Place("3", 2).path("work/{fold}/{run}/support") == Path("work/3/2/support")


def test_a_fold_in_a_path_must_have_a_name() -> None:
    check_folds(("0",), {"--support": "{fold}/support", "--masks": None})
    check_folds(("",), {"--support": "{run}/support"})
    with pytest.raises(UsageError, match=r"--masks holds \{fold\}"):
        check_folds(("",), {"--support": "support", "--masks": "work/{fold}/masks"})
