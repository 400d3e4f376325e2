from __future__ import annotations

from typing import Any

import pytest

from aligndiff_cli.evaluation.gfss import Confusion, RunResult, StepResult
from aligndiff_cli.evaluation.gfss_tables import gfss_document, gfss_report
from aligndiff_cli.evaluation.tables import to_text
from aligndiff_cli.table import markdown

NAMES = {1: "ant", 2: "bee", 3: "cat", 4: "dog"}


def shown(document: dict[str, Any]) -> str:
    return markdown(gfss_report(document))


def ratios(percents: dict[int, int]) -> Confusion:
    return Confusion(percents, percents, dict.fromkeys(percents, 100))


def result(fold: int = 0, run: int = 0, second: int = 40) -> RunResult:
    """Fold 0 learns 3, then 4 beside 1 and 2; fold 1 the other way round. ``second``: IoU of what is learnt last."""
    base, (one, two) = ((1, 2), (3, 4)) if fold == 0 else ((3, 4), (1, 2))
    steps = [
        StepResult(1, (one,), ratios({0: 90, base[0]: 60, base[1]: 60, one: 20})),
        StepResult(2, (one, two), ratios({0: 80, base[0]: 70, base[1]: 30, one: 20, two: second})),
    ]
    stems = [f"{fold}{run}", "x"]
    return RunResult(fold, run, base, {NAMES[one]: stems, NAMES[two]: stems[:1]}, steps, {"loss": 0.5})


ONE_RUN = """\
| mIoU | base | novel | HM |
| :-- | --: | --: | --: |
| after the last step | 60.0 | 30.0 | 40.0 |
| mean over steps | 65.0 | 25.0 | 35.6 |

| class | base / novel | IoU |
| :-- | --: | --: |
| background | base | 80.0 |
| ant | base | 70.0 |
| bee | base | 30.0 |
| cat | novel | 20.0 |
| dog | novel | 40.0 |

Fold 0, 1 run. Base includes the background. Pixels of classes not yet seen are ignored.

| support pictures | fold | run 0 |
| :-- | --: | --: |
| cat | 0 | 00, x |
| dog | 0 | 00 |
"""


def test_one_run_of_one_fold() -> None:
    # HM over steps: mean of 2 * 0.7 * 0.2 / 0.9 = 0.3111 and 0.4
    assert shown(gfss_document([result()], NAMES, {})) == ONE_RUN


RUNS = [result(0, 0, 40), result(0, 1, 60), result(1, 0, 80)]


def test_document_of_several_folds() -> None:
    document = gfss_document(RUNS, NAMES, {"shots": 1})
    assert (document["protocol"], document["settings"]) == ("gfss", {"shots": 1})
    first, second = document["folds"]
    assert (first["fold"], first["runs"], first["base"], first["novel"]) == (0, [0, 1], [1, 2], [3, 4])
    # novel after the last step: fold 0 has 0.3 and 0.4, fold 1 has 0.5
    assert first["last"]["novel"] == {"mean": pytest.approx(0.35), "sd": pytest.approx(0.0707107), "count": 2}
    assert second["last"]["novel"] == {"mean": pytest.approx(0.5), "sd": None, "count": 1}
    assert document["overall"]["last"]["novel"] == {
        "mean": pytest.approx(0.425),
        "sd": pytest.approx(0.0707107),
        "count": 3,
    }
    # over steps: 0.25 and 0.3 in fold 0, 0.35 in fold 1
    assert document["overall"]["over_steps"]["novel"]["mean"] == pytest.approx(0.3125)
    rows = {(row["name"], row["part"]): row["iou"] for row in document["classes"]}
    assert list(rows) == [
        ("background", "base"),
        *((name, "base") for name in NAMES.values()),
        *((name, "novel") for name in NAMES.values()),
    ]
    assert rows["dog", "novel"] == {"mean": pytest.approx(0.5), "sd": pytest.approx(0.1414214), "count": 2}
    assert rows["dog", "base"] == {"mean": pytest.approx(0.3), "sd": None, "count": 1}
    assert rows["background", "base"]["count"] == 3
    assert [RunResult.from_json(run).to_json() for run in document["runs"]] == [run.to_json() for run in RUNS]


def test_markdown_of_several_folds() -> None:
    lines = shown(gfss_document(RUNS, NAMES, {})).splitlines()
    assert lines[2:8] == [
        "| fold 0, after the last step | 60.0 ± 0.0 | 35.0 ± 7.1 | 44.0 ± 5.7 |",
        "| fold 0, mean over steps | 65.0 ± 0.0 | 27.5 ± 3.5 | 37.6 ± 2.8 |",
        "| fold 1, after the last step | 60.0 | 50.0 | 54.5 |",
        "| fold 1, mean over steps | 65.0 | 35.0 | 42.8 |",
        "| all folds, after the last step | 60.0 ± 0.0 | 42.5 ± 7.1 | 49.3 ± 5.7 |",
        "| all folds, mean over steps | 65.0 ± 0.0 | 31.2 ± 3.5 | 40.2 ± 2.8 |",
    ]
    assert "| dog | novel | 50.0 ± 14.1 |" in lines
    assert "| dog | base | 30.0 |" in lines
    assert (
        "Folds 0, 1, 1 to 2 runs each. Base includes the background. Pixels of classes not yet seen are ignored. "
        "± is the standard deviation over the runs of a fold. "
        "All folds: the mean of the folds' figures, and of their deviations."
    ) in lines
    assert lines[-6:] == [
        "| support pictures | fold | run 0 | run 1 |",
        "| :-- | --: | --: | --: |",
        "| cat | 0 | 00, x | 01, x |",
        "| dog | 0 | 00 | 01 |",
        "| ant | 1 | 10, x | – |",
        "| bee | 1 | 10 | – |",
    ]


def test_the_document_does_not_depend_on_the_order_of_the_runs() -> None:
    assert to_text(gfss_document(RUNS[::-1], NAMES, {})) == to_text(gfss_document(RUNS, NAMES, {}))


def test_what_is_undefined_is_a_dash() -> None:
    run = RunResult(0, 0, (1,), {}, [StepResult(0, (), ratios({0: 80}))])
    text = shown(gfss_document([run], NAMES, {}))
    assert "| after the last step | 80.0 | – | – |" in text
    assert "| mean over steps | – | – | – |" in text
    assert "| ant | base | – |" in text
    assert "support" not in text


def test_what_cannot_be_reported_is_refused() -> None:
    with pytest.raises(ValueError, match="no run"):
        gfss_document([], NAMES, {})
    with pytest.raises(ValueError, match="class 4 has no name"):
        gfss_document([result()], {1: "ant", 2: "bee", 3: "cat"}, {})
    with pytest.raises(ValueError, match="twice"):
        gfss_document([result(), result()], NAMES, {})


def test_a_single_fold_need_not_have_a_name() -> None:
    confusion = Confusion({0: 1, 1: 1, 2: 1}, {0: 1, 1: 1, 2: 1}, {0: 1, 1: 1, 2: 1})
    run = RunResult("", 0, (1,), {"dog": ["00"]}, [StepResult(0, (2,), confusion)])
    markdown = shown(gfss_document([run], {1: "cat", 2: "dog"}, {}))
    assert "\n1 run. Base includes the background." in markdown
    assert "| dog | – | 00 |" in markdown
