from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aligndiff_cli.disk.images import write_png
from aligndiff_cli.errors import FolderError
from aligndiff_cli.evaluation.masks import match_masks, score_masks
from aligndiff_cli.evaluation.metrics import Overlap


def stripe(width: int, shape: tuple[int, int] = (6, 10)) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[:, :width] = True
    return mask


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    predictions, truth = tmp_path / "predictions", tmp_path / "truth"
    for name, ours, theirs in [
        ("dog/1", 4, 8),
        ("dog/2", 5, 5),
        ("café cup/1", 2, 4),
        ("dog/only-predicted", 3, None),
        ("cat/only-true", None, 3),
    ]:
        if ours is not None:
            write_png(predictions / f"{name}.png", stripe(ours))
        if theirs is not None:
            write_png(truth / f"{name}.png", stripe(theirs))
    return predictions, truth


def test_masks_are_matched_by_path_and_the_rest_is_named(folders: tuple[Path, Path]) -> None:
    found = match_masks(*folders)
    assert {cls: [pair.name for pair in pairs] for cls, pairs in found.classes.items()} == {
        "café cup": ["café cup/1"],
        "dog": ["dog/1", "dog/2"],
    }
    assert found.missing == ["cat/only-true"]
    assert found.extra == ["dog/only-predicted"]


def test_scores_by_hand(folders: tuple[Path, Path]) -> None:
    found = match_masks(*folders)
    dog, cup = (score_masks(cls, found.classes[cls]) for cls in ("dog", "café cup"))
    assert dog.counts.foreground == {"dog": Overlap(6 * 9, 6 * 13)}
    assert dog.problems == []
    counts = dog.counts + cup.counts
    assert counts.miou() == pytest.approx((9 / 13 + 1 / 2) / 2)
    assert counts.fb_iou() == pytest.approx((11 / 17 + (2 + 5 + 6) / (6 + 5 + 8)) / 2)


def test_a_mask_of_another_size_or_a_damaged_one_is_named_and_left_out(folders: tuple[Path, Path]) -> None:
    predictions, _ = folders
    write_png(predictions / "dog" / "1.png", stripe(4, (10, 6)))
    scores = score_masks("dog", match_masks(*folders).classes["dog"])
    assert scores.counts.images == {"dog": 1}
    assert len(scores.problems) == 1
    assert "1.png: expected a mask of 10 x 6" in str(scores.problems[0])
    assert "got 6 x 10" in str(scores.problems[0])
    (predictions / "dog" / "2.png").write_bytes(b"no picture")
    scores = score_masks("dog", match_masks(*folders).classes["dog"])
    assert len(scores.problems) == 2
    assert scores.counts.miou() is None


def test_soft_maps_are_taken_at_a_threshold(folders: tuple[Path, Path]) -> None:
    predictions, truth = folders
    soft = np.zeros((6, 10), dtype=np.uint8)
    soft[:, :8] = 110  # 0.43
    soft[:, :2] = 250
    Image.fromarray(soft).save(predictions / "dog" / "1.png")
    pairs = [pair for pair in match_masks(predictions, truth).classes["dog"] if pair.name == "dog/1"]
    assert score_masks("dog", pairs, threshold=0.4).counts.iou("dog") == 1.0
    assert score_masks("dog", pairs, threshold=0.5).counts.iou("dog") == 0.25


def test_masks_outside_any_class_folder_and_hidden_files(tmp_path: Path) -> None:
    for side in ("a", "b"):
        write_png(tmp_path / side / "1.png", stripe(2))
        (tmp_path / side / ".2.png.part").write_bytes(b"")
        (tmp_path / side / ".thumbnails").mkdir()
        write_png(tmp_path / side / ".thumbnails" / "1.png", stripe(2))
    assert list(match_masks(tmp_path / "a", tmp_path / "b").classes) == ["all"]


def test_folders_that_cannot_be_compared_are_refused(folders: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="no such folder"):
        match_masks(tmp_path / "nowhere", folders[1])
    (tmp_path / "empty").mkdir()
    with pytest.raises(FolderError, match="holds no masks"):
        match_masks(folders[0], tmp_path / "empty")
    with pytest.raises(FolderError, match="no mask in common"):
        match_masks(folders[0] / "dog", folders[1])


def test_what_the_truth_ignores_counts_for_nothing(folders: tuple[Path, Path]) -> None:
    labels = stripe(3).astype(np.uint8) * 7
    labels[:, 3:5] = 255
    write_png(folders[1] / "dog" / "1.png", labels)
    found = score_masks("dog", match_masks(*folders).classes["dog"][:1])
    # predicted are 4 columns: 3 true, 1 ignored
    assert found.counts.foreground == {"dog": Overlap(6 * 3, 6 * 3)}
    assert found.counts.background == Overlap(6 * 5, 6 * 5)
