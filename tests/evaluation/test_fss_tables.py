"""Protocol ``fss`` in one document, of one run or of several."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from aligndiff_cli.evaluation.fss import ClassResult, RowResult, Settings
from aligndiff_cli.evaluation.fss_tables import RunDocument, fss_document, fss_report, fss_run
from aligndiff_cli.evaluation.support_sets import TEXT, Row
from aligndiff_cli.evaluation.tables import to_text
from aligndiff_cli.table import markdown
from tests.evaluation.counts import counts

ROWS = [Row("1R"), Row("1R+20S", 20, (TEXT,), "refined")]


def shown(document: dict[str, Any]) -> str:
    return markdown(fss_report(document))


def alone(
    results: Sequence[ClassResult], rows: Sequence[Row], settings: Settings, ood: Sequence[str] = ()
) -> dict[str, Any]:
    """The document of a single run."""
    return fss_document([("", 0, fss_run(results, rows, settings, ood))])


def one(fold: str, run: int, figures: dict[str, tuple[int, int]]) -> RunDocument:
    """A run with the IoU of each class in percent: real pair alone, with samples."""
    results = [
        ClassResult(cls, {"1R": RowResult(counts(cls, real), 1), "1R+20S": RowResult(counts(cls, more), 1, ["x"])})
        for cls, (real, more) in figures.items()
    ]
    return fold, run, fss_run(results, ROWS, Settings(seed=run), ood=["dog"])


def test_mean_and_deviation_over_runs() -> None:
    runs = [one("", 1, {"dog": (50, 60), "cat": (70, 60)}), one("", 0, {"dog": (40, 60), "cat": (60, 60)})]
    document = fss_document(runs)
    assert [run["run"] for run in document["runs"]] == [0, 1]
    real, more = document["rows"].values()
    # 50 and 60 percent: mean 55, sample deviation 7.07
    assert real["miou"] == pytest.approx({"mean": 0.55, "sd": 0.0707, "count": 2}, abs=1e-4)
    assert real["ood_miou"]["mean"] == pytest.approx(0.45)
    assert more["miou"]["sd"] == pytest.approx(0)
    # dog +20 and +10, cat 0 and -10
    assert more["differences"] == pytest.approx({"dog": 0.15, "cat": -0.05})
    assert (more["improved"], more["harmed"]) == (1, 1)
    text = shown(document)
    assert "| 1R | 55.0 ± 7.1 | 45.0 ± 7.1 |" in text
    assert "| dog (OOD) | 45.0 | 60.0 (+15.0) |" in text
    assert "2 classes, 8 query pictures in 2 runs, masks" in text
    assert "± is the standard deviation" in text


def test_folds_count_alike_however_many_runs_they_have() -> None:
    runs = [one("0", 0, {"dog": (50, 60)}), one("0", 1, {"dog": (70, 60)}), one("1", 0, {"cat": (20, 60)})]
    document = fss_document(runs)
    real = document["rows"]["1R"]["miou"]
    assert real["mean"] == pytest.approx((0.6 + 0.2) / 2)
    assert real["sd"] == pytest.approx(0.1414, abs=1e-4)  # fold 1 has none
    # out-of-distribution classes are in fold 0 alone
    assert document["rows"]["1R"]["ood_miou"]["mean"] == pytest.approx(0.6)
    assert "query pictures in 3 runs of folds 0, 1," in shown(document)


def test_the_real_row_alone() -> None:
    _, _, document = one("", 0, {"dog": (50, 60)})
    alone = [("", run, {**document, "rows": {"1R": document["rows"]["1R"]}}) for run in range(2)]
    text = shown(fss_document(alone))
    assert text.count("|\n") == 6


FILTERED = [Row("1R"), Row("1R+20S", 20, (TEXT,), "refined", filtered=(TEXT,))]


def fss() -> list[ClassResult]:
    figures = {"dog": (50, 70), "cat": (80, 60), "ant": (40, 40)}
    return [
        ClassResult(
            cls,
            {
                "1R": RowResult(counts(cls, real), 1),
                "1R+20S": RowResult(counts(cls, more), 1, [f"{cls}/text-0"], [f"{cls}/text-1"], 2),
            },
        )
        for cls, (real, more) in figures.items()
    ]


def test_fss_document() -> None:
    document = alone(fss(), FILTERED, Settings(seed=3), ood=["dog", "unicorn"])
    row = document["rows"]["1R+20S"]
    assert document["rows"]["1R"]["miou"] == {"mean": pytest.approx(170 / 300), "sd": None, "count": 1}
    assert row["miou"]["mean"] == pytest.approx(170 / 300)
    assert (document["rows"]["1R"]["ood_miou"]["mean"], row["ood_miou"]["mean"]) == (0.5, 0.7)
    assert document["ood_classes"] == ["dog"]
    assert (row["improved"], row["harmed"]) == (1, 1)
    assert list(row["differences"]) == ["dog", "ant", "cat"]
    support = document["runs"][0]["rows"]["1R+20S"]["support"]
    assert (support["rejected"], support["empty"]) == (3, 6)
    assert row["used_per_class"] == 1.0


def test_fss_document_does_not_depend_on_the_order_of_the_classes() -> None:
    first = to_text(alone(fss(), FILTERED, Settings(), ood=["dog"]))
    assert to_text(alone(fss()[::-1], FILTERED, Settings(), ood=["dog"])) == first
    assert list(json.loads(first)["runs"][0]["classes"]) == ["ant", "cat", "dog"]


def test_fss_report() -> None:
    text = shown(alone(fss(), FILTERED, Settings(side=400), ood=["dog"]))
    assert "| 1R | 56.7 | 50.0 |" in text
    assert "| 1R+20S | 56.7 | 70.0 |" in text
    assert "1 / 1" in text
    assert "| dog (OOD) | 50.0 | 70.0 (+20.0) |" in text
    assert "| cat | 80.0 | 60.0 (-20.0) |" in text
    strict = [FILTERED[0], Row("1R+20S", 20, (TEXT,), "refined", filtered=("inverted", TEXT))]
    assert "All samples filtered with β = 0.5 in: 1R+20S." in shown(alone(fss(), strict, Settings()))
    assert "3 classes, 6 query pictures, masks compared at 400 x 400 pixels. Text samples filtered with β = 0.5" in text


def test_fss_in_episodes_says_so() -> None:
    document = alone(fss(), FILTERED, Settings(episodes=6, shots=1))
    assert document["settings"]["episodes"] == 6
    assert "3 classes, 6 episodes, masks compared" in shown(document)


def test_fss_with_the_real_row_alone_and_no_ood() -> None:
    document = alone(fss(), FILTERED[:1], Settings())
    assert document["rows"]["1R"]["ood_miou"]["mean"] is None
    text = shown(document)
    assert "| 1R | 56.7 | – |" in text
    assert "compared at full resolution.\n" in text
    assert "filtered" not in text
