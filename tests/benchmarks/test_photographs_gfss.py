"""What the benchmark of GFSS on photographs prepares and compares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aligndiff_cli.disk import voc
from aligndiff_cli.disk.images import write_jpeg, write_png
from tests.benchmarks.photographs_gfss import prepare, tables


def test_what_layout_and_guidance_add_is_counted_run_by_run() -> None:
    def runs(*novel: float) -> dict[int, dict[str, float]]:
        return {number: {"base": 0.5, "novel": score, "hm": 0.25} for number, score in enumerate(novel)}

    results = {
        ("plain", True): runs(0.1, 0.2, 0.9),
        ("plain", False): runs(0.1),
        ("paste", True): runs(0.3, 0.2),
        ("paste", False): {},
    }
    ways, gains = tables("t", results)
    assert ways.rows == [
        ["plain, guided", "3", "50.0 ± 0.0", "40.0 ± 43.6", "25.0 ± 0.0"],
        ["plain, not guided", "1", "50.0", "10.0", "25.0"],
        ["paste, guided", "2", "50.0 ± 0.0", "25.0 ± 7.1", "25.0 ± 0.0"],
    ]
    # of the two runs that both have: 20 and 0 more; where a way has no run there is nothing to compare
    assert gains.rows == [
        ["layout, guided", "2", "0.0 ± 0.0", "+10.0 ± 14.1", "0.0 ± 0.0"],
        ["guidance, plain", "1", "0.0", "0.0", "0.0"],
    ]


@pytest.mark.parametrize("fold", [0, 3])
def test_a_fold_has_queries_of_all_classes_and_few_shots_of_its_own(tmp_path: Path, fold: int) -> None:
    classes = [f"class{number:02}" for number in range(20)]
    rng = np.random.default_rng(0)
    for cls in classes:
        for stem in range(5):
            image, mask = rng.integers(0, 256, (30, 40, 3), np.uint8), np.zeros((30, 40), np.uint8)
            mask[5:20, 10:30] = 255
            write_jpeg(tmp_path / "data" / cls / f"{stem}.jpg", image)
            write_png(tmp_path / "data" / cls / f"{stem}.png", mask)
    prepare(tmp_path / "data", tmp_path / "out", fold, 20)
    novel = classes[5 * fold : 5 * fold + 5]
    base = voc.open_voc(tmp_path / "out" / "base")
    query = voc.open_voc(tmp_path / "out" / "query", "val")
    assert base.classes == query.classes == classes
    assert len(base.stems) == 15 * 3
    assert len(query.stems) == 20 * 2
    assert not {stem.split("_")[0] for stem in base.stems} & set(novel)
    assert {path.parent.name for path in (tmp_path / "out" / "support").glob("*/*_mask.png")} == set(novel)
    image, labels = query.load(f"{novel[1]}_0")
    assert image.shape == (15, 20, 3)
    assert np.unique(labels).tolist() == [0, 5 * fold + 2]
