"""The page of `make reproduce`."""

from __future__ import annotations

import json
from pathlib import Path

from aligndiff_cli.evaluation.gfss import Confusion, RunResult, StepResult
from aligndiff_cli.pocket.reproduce.tables import gfss_runs, reproduction


def result(run: int, novel: int) -> dict:
    """Background and one base class at IoU 0.5, one novel class at novel / 100."""
    confusion = Confusion({0: 50, 1: 50, 2: novel}, {0: 100, 1: 100, 2: 100}, {0: 50, 1: 50, 2: novel})
    return RunResult("", run, (1,), {"dog": ["00"]}, [StepResult(0, (2,), confusion)]).to_json()


def write_row(work: Path, shots: int, name: str, novel: list[int], world: str = "gfss") -> None:
    folder = work / world / str(shots) / "rows" / name
    folder.mkdir(parents=True)
    runs = [result(run, value) for run, value in enumerate(novel)]
    (folder / "metrics.json").write_text(json.dumps({"runs": runs}))


def test_the_page_has_what_is_there(tmp_path: Path) -> None:
    write_row(tmp_path, 1, "gaps", [10, 20, 30])
    write_row(tmp_path, 1, "gaps-alignd", [20, 30])
    page = reproduction(tmp_path, tmp_path / "out", 3, 100, {}).read_text()
    assert "| GAPS | 66.8 / 23.6 / 34.9 | 50.0 ± 0.0 | 20.0 ± 10.0 |" in page
    assert "| PIFS | 64.1 / 16.9 / 26.7 | – | – | – | 0 |" in page
    # runs 0 and 1 alone are compared
    assert "| GAPS + AlignDiff over GAPS, 1 shot, novel | +19.7 | +10.0 ± 0.0 | same order" in page
    assert "Table 2" not in page


def test_rows_are_read_by_run(tmp_path: Path) -> None:
    write_row(tmp_path, 5, "gaps", [10, 20])
    assert sorted(gfss_runs(tmp_path / "gfss/5/rows/gaps")) == [0, 1]
    assert gfss_runs(tmp_path / "nothing") == {}


def test_folds_stand_side_by_side(tmp_path: Path) -> None:
    write_row(tmp_path, 1, "gaps", [10, 99])
    for fold, novel in (("0", 20), ("1", 30), ("2", 40)):
        write_row(tmp_path, 1, "gaps", [novel], f"folds/{fold}")
    page = reproduction(tmp_path, tmp_path / "out", 3, 100, {}).read_text()
    # fold 3 is its first run alone; 20, 30, 40 and 10: mean 25, sample sd 12.9
    assert "| GAPS | 50.0 / 20.0 | 50.0 / 30.0 | 50.0 / 40.0 | 50.0 / 10.0 | 25.0 ± 12.9 |" in page


def test_what_is_not_in_the_paper_has_no_published_gain(tmp_path: Path) -> None:
    write_row(tmp_path, 1, "gaps-alignd", [20, 30])
    write_row(tmp_path, 1, "gaps-real", [30, 40])
    page = reproduction(tmp_path, tmp_path / "out", 3, 100, {}).read_text()
    assert "| a start from real pairs (ours) over from noise | – | +10.0 ± 0.0 | same order" in page
