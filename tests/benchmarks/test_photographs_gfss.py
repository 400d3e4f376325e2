"""What the benchmark of GFSS on photographs prepares and compares."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aligndiff_cli.disk import voc
from aligndiff_cli.disk.images import write_jpeg, write_png
from tests.benchmarks.photographs_gfss import main, prepare, tables
from tests.cli.world import build_backbone


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


CLASSES = [f"class{number:02}" for number in range(20)]


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five of each class."""
    root = tmp_path_factory.mktemp("photographs")
    rng = np.random.default_rng(0)
    for cls in CLASSES:
        for stem in range(5):
            image, mask = rng.integers(0, 256, (30, 40, 3), np.uint8), np.zeros((30, 40), np.uint8)
            mask[5:20, 10:30] = 255
            write_jpeg(root / cls / f"{stem}.jpg", image)
            write_png(root / cls / f"{stem}.png", mask)
    return root


@pytest.mark.parametrize("fold", [0, 3])
def test_a_fold_has_queries_of_all_classes_and_few_shots_of_its_own(
    tmp_path: Path, photographs: Path, fold: int
) -> None:
    prepare(photographs, tmp_path / "out", fold, 20)
    novel = CLASSES[5 * fold : 5 * fold + 5]
    base = voc.open_voc(tmp_path / "out" / "base")
    query = voc.open_voc(tmp_path / "out" / "query", "val")
    assert base.classes == query.classes == CLASSES
    assert len(base.stems) == 15 * 3
    assert len(query.stems) == 20 * 2
    assert not {stem.split("_")[0] for stem in base.stems} & set(novel)
    assert {path.parent.name for path in (tmp_path / "out" / "support").glob("*/*_mask.png")} == set(novel)
    image, labels = query.load(f"{novel[1]}_0")
    assert image.shape == (15, 20, 3)
    assert np.unique(labels).tolist() == [0, 5 * fold + 2]


@pytest.mark.slow
def test_the_benchmark_runs_to_its_end_and_goes_on_where_it_stopped(tmp_path: Path, photographs: Path) -> None:
    backbone = build_backbone(tmp_path / "backbone")
    words = ["--data", photographs, "--weights", backbone, "--work", tmp_path / "work", "--side", 32, "--crop", 32]
    words += ["--epochs", 1, "--iterations", 1, "--batch", 2, "--shots", 1, "--jobs", 2, "--device", "cpu"]

    def result(*more: object) -> str:
        assert main([str(word) for word in (*words, *more)]) == 0
        return (tmp_path / "work" / "result.md").read_text()

    assert "base mIoU before the novel stage" in result("--runs", 1, "--limit", 0)
    assert not (tmp_path / "work" / "fold-3" / "base-model" / "model.safetensors").exists()
    text = result("--runs", 1)
    for way in ("plain, guided", "plain, not guided", "paste, guided", "paste, not guided"):
        assert f"| {way} | 1 |" in text
    for gain in ("layout, guided", "layout, not guided", "guidance, plain", "guidance, paste"):
        assert f"| {gain} | 1 |" in text
    assert result("--runs", 1) == text
