from __future__ import annotations

import numpy as np
import pytest

from aligndiff_cli.disk.coco_masks import encode_rle, segmentation_mask


def picture(*rows: str) -> np.ndarray:
    return np.array([[character == "#" for character in row] for row in rows])


@pytest.mark.parametrize(
    ("polygon", "expected"),
    [
        # corners on pixel borders: columns 1 to 3 of rows 1 and 2
        ([1, 1, 4, 1, 4, 3, 1, 3], ["......", ".###..", ".###..", "......"]),
        # the other way round
        ([1, 3, 4, 3, 4, 1, 1, 1], ["......", ".###..", ".###..", "......"]),
        # a pixel belongs to it with its centre: from 0.4 the first one does, from 0.6 it does not
        ([0.4, 0.4, 2.6, 0.4, 2.6, 1.6, 0.4, 1.6], ["###...", "###...", "......", "......"]),
        ([0.6, 0.6, 2.4, 0.6, 2.4, 1.6, 0.6, 1.6], ["......", ".#....", "......", "......"]),
        # x + y < 4: centres (0.5, 0.5), (1.5, 0.5), (2.5, 0.5) in the first row, one fewer in each after it
        ([0, 0, 4, 0, 0, 4], ["###...", "##....", "#.....", "......"]),
        # an U is hollow
        ([0, 0, 1, 0, 1, 3, 4, 3, 4, 0, 5, 0, 5, 4, 0, 4], ["#...#.", "#...#.", "#...#.", "#####."]),
        # what is outside is cut off on all four sides
        ([-5, -5, 9, -5, 9, 9, -5, 9], ["######"] * 4),
        ([4, -3, 20, -3, 20, 2, 4, 2], ["....##", "....##", "......", "......"]),
        ([-9, 1, -2, 1, -2, 3, -9, 3], ["......"] * 4),
    ],
)
def test_polygons(polygon: list[float], expected: list[str]) -> None:
    np.testing.assert_array_equal(segmentation_mask([polygon], 4, 6), picture(*expected))


def test_polygons_of_one_object_are_joined() -> None:
    mask = segmentation_mask([[0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 3, 1, 3, 3, 1, 3]], 4, 6)
    np.testing.assert_array_equal(mask, picture("##....", "###...", ".##...", "......"))


@pytest.mark.parametrize("polygon", [[], [1, 1], [0, 0, 5, 4]])
def test_fewer_than_three_corners_hold_nothing(polygon: list[float]) -> None:
    assert not segmentation_mask([polygon], 4, 6).any()


def test_half_a_corner_is_refused() -> None:
    with pytest.raises(ValueError, match="as pairs x, y, got 7 numbers"):
        segmentation_mask([[1, 1, 2, 2, 3, 3, 4]], 4, 6)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "polygon",
    [
        [0, 0, 5, 0, 5, NAN],
        [0, 0, INF, 0, 5, 4],
        [[0, 0], [5, 0], [5, 4], [0, 4]],
        [0, 0, "a", 0, 5, 4],
        [0, 0, None, 0, 5, 4],
    ],
)
def test_corners_that_are_no_numbers_are_refused(polygon: list) -> None:
    with pytest.raises(ValueError, match="expected corners as x, y"):
        segmentation_mask([polygon], 4, 6)


@pytest.mark.parametrize("runs", [[11.5, 12.5], [NAN, 24], ["12", "12"], [[12, 12]], [2**70, 24], [INF, 24], [-1, 25]])
def test_run_lengths_that_are_no_whole_numbers_are_refused(runs: list) -> None:
    with pytest.raises(ValueError, match="expected run lengths"):
        segmentation_mask({"size": [4, 6], "counts": runs}, 4, 6)


@pytest.mark.parametrize(
    ("text", "message"),
    [("P", "end within a number"), ("3 2", "packed run"), ("3é", "packed run"), ("", "end"), ("322", "Invalid RLE")],
)
def test_damaged_packed_runs(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        segmentation_mask({"size": [2, 3], "counts": text}, 2, 3)


def test_runs_go_down_the_columns() -> None:
    expected = picture("..#", ".#.")
    for counts in ("321", [3, 2, 1]):
        np.testing.assert_array_equal(segmentation_mask({"size": [2, 3], "counts": counts}, 2, 3), expected)
    assert encode_rle(expected) == {"size": [2, 3], "counts": "321"}


def test_runs_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="add up to 6, got 7"):
        segmentation_mask({"size": [2, 3], "counts": [3, 2, 2]}, 2, 3)
    with pytest.raises(ValueError, match="of 2 x 3 pixels"):
        segmentation_mask({"size": [3, 2], "counts": [3, 2, 1]}, 2, 3)


def test_a_corner_far_away_is_refused() -> None:
    with pytest.raises(ValueError, match="far outside of 6 x 4 pixels"):
        segmentation_mask([[0, 0, 1e9, 0, 5, 4]], 4, 6)


def test_what_is_written_is_read_back() -> None:
    for seed in range(20):
        mask = np.random.default_rng(seed).random((7, 11)) < seed / 19
        np.testing.assert_array_equal(segmentation_mask(encode_rle(mask), 7, 11), mask)
