from __future__ import annotations

import json

import numpy as np
import pytest

from aligndiff_cli.evaluation.metrics import Counts, Overlap, boundary_band, mean, overlap, score, total


def rectangle(rows: slice, columns: slice, shape: tuple[int, int] = (6, 10)) -> np.ndarray:
    mask = np.zeros(shape, dtype=bool)
    mask[rows, columns] = True
    return mask


LEFT = rectangle(slice(0, 4), slice(0, 4))  # 16 pixels
RIGHT = rectangle(slice(0, 4), slice(2, 8))  # 24 pixels, 8 of them shared


def test_overlap_counts_pixels() -> None:
    assert overlap(LEFT, RIGHT) == Overlap(8, 32)
    assert overlap(LEFT, RIGHT).iou == 0.25
    assert overlap(LEFT, LEFT).iou == 1.0
    assert overlap(~LEFT, ~RIGHT) == Overlap(60 - 32, 60 - 8)


def test_ignored_pixels_count_for_nothing() -> None:
    ignored = rectangle(slice(0, 6), slice(0, 3))
    # left of column 3 gone: shared column 3 (4 pixels), either: columns 3..7 (20 pixels)
    assert overlap(LEFT, RIGHT, ignored) == Overlap(4, 20)
    assert score(LEFT, RIGHT, "dog", ignored).background == Overlap(6 * 7 - 20, 6 * 7 - 4)


def test_shapes_must_agree() -> None:
    with pytest.raises(ValueError, match=r"\(6, 10\) and \(10, 6\)"):
        overlap(LEFT, LEFT.T)


def test_an_empty_union_is_undefined_and_left_out_of_means() -> None:
    empty = np.zeros((6, 10), dtype=bool)
    counts = score(empty, empty, "ghost") + score(LEFT, RIGHT, "dog")
    assert counts.iou("ghost") is None
    assert counts.iou("never seen") is None
    assert counts.miou() == 0.25
    assert counts.miou(["ghost"]) is None
    assert Counts().fb_iou() is None
    assert mean([None, 0.2, 0.4]) == pytest.approx(0.3)


def test_miou_is_the_mean_over_classes_of_ratios_of_sums() -> None:
    # dog: (8 + 16) / (32 + 16) = 0.5, not the mean of 0.25 and 1; cat: 1
    counts = total([score(LEFT, RIGHT, "dog"), score(LEFT, LEFT, "dog"), score(RIGHT, RIGHT, "cat")])
    assert counts.iou("dog") == 0.5
    assert counts.iou("cat") == 1.0
    assert counts.miou() == 0.75
    assert counts.miou(["cat"]) == 1.0
    assert counts.images == {"dog": 2, "cat": 1}


def test_fb_iou_pools_both_sides_over_classes() -> None:
    counts = score(LEFT, RIGHT, "dog") + score(RIGHT, RIGHT, "cat")
    foreground, background = (8 + 24) / (32 + 24), (28 + 36) / (52 + 36)
    assert counts.fb_iou() == pytest.approx((foreground + background) / 2)


def test_counts_add_up_in_any_order_and_survive_json() -> None:
    parts = [score(LEFT, RIGHT, "dog"), score(RIGHT, LEFT, "cat"), score(LEFT, LEFT, "dog")]
    whole = total(parts)
    assert whole.to_json() == (total(parts[1:]) + parts[0]).to_json()
    assert Counts.from_json(json.loads(json.dumps(whole.to_json()))) == whole


@pytest.mark.parametrize(("ratio", "width"), [(0.02, 1), (0.09, 1), (0.17, 2), (0.25, 3)])
def test_band_of_a_rectangle(ratio: float, width: int) -> None:
    # the diagonal is 11.66 pixels
    mask = rectangle(slice(0, 6), slice(1, 9))
    inner = np.zeros_like(mask)
    inner[width : 6 - width, 1 + width : 9 - width] = True
    np.testing.assert_array_equal(boundary_band(mask, ratio), mask & ~inner)


def test_band_equals_repeated_three_by_three_erosion() -> None:
    mask = np.random.default_rng(0).random((40, 61)) < 0.97
    for times in (1, 2, 4):
        eroded = mask
        for _ in range(times):
            framed = np.pad(eroded, 1)
            eroded = np.logical_and.reduce([framed[y : y + 40, x : x + 61] for y in range(3) for x in range(3)])
        ratio = times / np.hypot(40, 61)
        np.testing.assert_array_equal(boundary_band(mask, ratio), mask & ~eroded)


def test_band_of_a_mask_thinner_than_itself_is_the_mask() -> None:
    assert boundary_band(np.ones((2, 5), dtype=bool), 1.0).all()
    assert not boundary_band(np.zeros((2, 5), dtype=bool)).any()


def test_boundary_iou_by_hand() -> None:
    # 6 x 10: bands are 1 pixel wide. 4x4 square: 12 pixels; 4x6: 16 pixels.
    # they share rows 0 and 3 of columns 2 and 3; the side of each runs through the inside of the other
    counts = score(LEFT, RIGHT, "dog")
    assert counts.boundary["dog"] == Overlap(4, 12 + 16 - 4)
    assert counts.boundary_iou() == pytest.approx(4 / 24)
