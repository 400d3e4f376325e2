"""Table 2: rows of several results folders, and classes that GD's samples harm."""

from __future__ import annotations

import json
from pathlib import Path

from aligndiff_cli.pocket.reproduce.claims import Claim
from aligndiff_cli.pocket.reproduce.table_2 import bars, fss_run, table_2, table_2_claims


def write_results(folder: Path, rows: list[tuple[float, float, float]]) -> None:
    """Rows of IoU in percent of cat, dog and eel, of which eel was never seen."""
    folder.mkdir(parents=True)
    found = {
        f"row {number}": {
            "miou": {"mean": sum(row) / 300},
            "ood_miou": {"mean": row[2] / 100},
            "iou": {name: value / 100 for name, value in zip(("cat", "dog", "eel"), row, strict=True)},
        }
        for number, row in enumerate(rows)
    }
    (folder / "metrics.json").write_text(json.dumps({"rows": found}))


def claim(claims: list[Claim], words: str) -> list[str]:
    return next(claim.row() for claim in claims if claim.words == words and claim.better)


def test_classes_that_gd_harms_on_average_are_the_papers_ood(tmp_path: Path) -> None:
    plain, coarse = (80, 60, 40), (10, 10, 10)
    for run, gd in ((0, (90, 50, 10)), (1, (60, 65, 10))):
        write_results(tmp_path / str(run) / "results", [plain, coarse, (80, 50, 50), (82, 58, 52)])
        write_results(tmp_path / str(run) / "results-grounding", [plain, coarse, gd, plain])
    runs = [fss_run(tmp_path / str(run)) for run in (0, 1)]
    # cat: 75 with GD for 80; dog: 57.5 for 60; eel: 10 for 40. So all three are harmed
    assert "here 3, on average" in table_2(runs)
    # run 0 alone: dog and eel
    table = table_2(runs[:1])
    assert "here 2, on average" in table
    assert "| 1R | 86.5 / 87.5 | 60.0 | 40.0 | 50.0 | 1 |" in table
    assert "| 1R+20S, T.Inv + text, S.Mask | 88.3 / 88.2 | 64.0 | 52.0 | 55.0 | 1 |" in table
    assert claim(table_2_claims(runs[:1]), "FSS: full method over 1R, harmed by GD")[1:3] == ["+0.7", "+5.0"]
    assert "text + GD: 1 of 3 classes better" in bars(runs[:1], tmp_path)
    assert (tmp_path / "fig-a1.png").is_file()


def test_without_gd_no_class_is_known_to_be_harmed(tmp_path: Path) -> None:
    write_results(tmp_path / "results", [(80, 60, 40), (0, 0, 0), (80, 60, 40), (80, 60, 46)])
    write_results(tmp_path / "results-21", [(86, 66, 46)])
    runs = [fss_run(tmp_path)]
    table = table_2(runs)
    assert "| 1R | 86.5 / 87.5 | 60.0 | 40.0 | – | 1 |" in table
    assert "| 1R+20S, text, GD | 81.4 / 80.2 | – | – | – | 0 |" in table
    assert claim(table_2_claims(runs), "FSS: 20 more real pairs over 1R, overall")[1:3] == ["–", "+6.0"]
    assert not any("harmed" in found.words for found in table_2_claims(runs) if found.better)
    assert fss_run(tmp_path / "nothing") == {}
