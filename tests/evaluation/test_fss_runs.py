"""Several runs of protocol ``fss`` in one document."""

from __future__ import annotations

import pytest

from aligndiff_cli.evaluation.fss import ClassResult, RowResult, Settings
from aligndiff_cli.evaluation.fss_runs import RunDocument, fss_runs_document, fss_runs_markdown
from aligndiff_cli.evaluation.support_sets import TEXT, Row
from aligndiff_cli.evaluation.tables import fss_document
from tests.evaluation.test_tables import counts

ROWS = [Row("1R"), Row("1R+20S", 20, (TEXT,), "refined")]


def one(fold: str, run: int, figures: dict[str, tuple[int, int]]) -> RunDocument:
    """A run with the IoU of each class in percent: real pair alone, with samples."""
    results = [
        ClassResult(cls, {"1R": RowResult(counts(cls, real), 1), "1R+20S": RowResult(counts(cls, more), 1, ["x"])})
        for cls, (real, more) in figures.items()
    ]
    return fold, run, fss_document(results, ROWS, Settings(seed=run), ood=["dog"])


def test_mean_and_deviation_over_runs() -> None:
    runs = [one("", 1, {"dog": (50, 60), "cat": (70, 60)}), one("", 0, {"dog": (40, 60), "cat": (60, 60)})]
    document = fss_runs_document(runs)
    assert [run["run"] for run in document["runs"]] == [0, 1]
    real, more = document["rows"].values()
    # 50 and 60 percent: mean 55, sample deviation 7.07
    assert real["miou"] == pytest.approx({"mean": 0.55, "sd": 0.0707, "count": 2}, abs=1e-4)
    assert real["ood_miou"]["mean"] == pytest.approx(0.45)
    assert more["miou"]["sd"] == pytest.approx(0)
    # dog +20 and +10, cat 0 and -10
    assert more["differences"] == pytest.approx({"dog": 0.15, "cat": -0.05})
    assert (more["improved"], more["harmed"]) == (1, 1)
    text = fss_runs_markdown(document)
    assert "| 1R | 55.0 ± 7.1 | 45.0 ± 7.1 |" in text
    assert "| dog | +15.0 |" in text
    assert "2 runs, 8 query pictures in all. ± is" in text


def test_folds_count_alike_however_many_runs_they_have() -> None:
    runs = [one("0", 0, {"dog": (50, 60)}), one("0", 1, {"dog": (70, 60)}), one("1", 0, {"cat": (20, 60)})]
    document = fss_runs_document(runs)
    real = document["rows"]["1R"]["miou"]
    assert real["mean"] == pytest.approx((0.6 + 0.2) / 2)
    assert real["sd"] == pytest.approx(0.1414, abs=1e-4)  # fold 1 has none
    # out-of-distribution classes are in fold 0 alone
    assert document["rows"]["1R"]["ood_miou"]["mean"] == pytest.approx(0.6)
    assert "Folds 0, 1; 3 runs" in fss_runs_markdown(document)


def test_the_real_row_alone() -> None:
    _, _, document = one("", 0, {"dog": (50, 60)})
    alone = [("", run, {**document, "rows": {"1R": document["rows"]["1R"]}}) for run in range(2)]
    text = fss_runs_markdown(fss_runs_document(alone))
    assert text.count("|\n") == 3
