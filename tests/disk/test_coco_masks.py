from __future__ import annotations

import numpy as np
import pytest

from aligndiff_cli.disk.coco import encode_rle
from aligndiff_cli.disk.coco_masks import polygon_mask, runs_mask, segmentation_mask, unpack_runs


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
    np.testing.assert_array_equal(polygon_mask(polygon, 4, 6), picture(*expected))


def test_polygons_of_one_object_are_joined() -> None:
    mask = segmentation_mask([[0, 0, 2, 0, 2, 2, 0, 2], [1, 1, 3, 1, 3, 3, 1, 3]], 4, 6)
    np.testing.assert_array_equal(mask, picture("##....", "###...", ".##...", "......"))


@pytest.mark.parametrize("polygon", [[], [1, 1], [0, 0, 5, 4]])
def test_fewer_than_three_corners_hold_nothing(polygon: list[float]) -> None:
    assert not polygon_mask(polygon, 4, 6).any()


def test_half_a_corner_is_refused() -> None:
    with pytest.raises(ValueError, match="as pairs x, y, got 7 numbers"):
        polygon_mask([1, 1, 2, 2, 3, 3, 4], 4, 6)


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


@pytest.mark.parametrize("runs", [[11.5, 12.5], [NAN, 24], ["12", "12"], [[12, 12]], [2**70, 24], [INF, 24]])
def test_run_lengths_that_are_no_whole_numbers_are_refused(runs: list) -> None:
    with pytest.raises((ValueError, OverflowError)):
        runs_mask(runs, 4, 6)


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("321", [3, 2, 1]),
        # P1 = 0 + 32 * 1; from the fourth number on the one two before is added
        ("P1640`1", [32, 6, 4, 6, 52]),
        # O is all five bits, that is -1: 4 - 1
        ("543O", [5, 4, 3, 3]),
        # 1000 = 8 + 31 * 32: o0 would end as 0 (the sign bit is 16), so 31 needs a third group: X is 8 and goes on
        ("Xo0", [1000]),
        ("", []),
    ],
)
def test_packed_runs(text: str, runs: list[int]) -> None:
    assert unpack_runs(text) == runs


@pytest.mark.parametrize(
    ("text", "message"), [("P", "end within a number"), ("3 2", "no character"), ("3é", "no char")]
)
def test_damaged_packed_runs(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unpack_runs(text)


def test_runs_go_down_the_columns() -> None:
    expected = picture("..#", ".#.")
    np.testing.assert_array_equal(runs_mask([3, 2, 1], 2, 3), expected)
    for counts in ("321", [3, 2, 1]):
        np.testing.assert_array_equal(segmentation_mask({"size": [2, 3], "counts": counts}, 2, 3), expected)


def test_runs_of_another_size_are_refused() -> None:
    with pytest.raises(ValueError, match="add up to 6, got 7"):
        runs_mask([3, 2, 2], 2, 3)
    with pytest.raises(ValueError, match="of 2 x 3 pixels"):
        segmentation_mask({"size": [3, 2], "counts": [3, 2, 1]}, 2, 3)


def test_what_is_written_is_read_back() -> None:
    mask = np.random.default_rng(0).random((7, 11)) < 0.5
    np.testing.assert_array_equal(segmentation_mask(encode_rle(mask), 7, 11), mask)


def test_pycocotools_agrees() -> None:
    """On run lengths exactly; on polygons but for pixels at the edge, which it moves to a fifth of a pixel first."""
    theirs = pytest.importorskip("pycocotools.mask")
    rng = np.random.default_rng(1)
    for _ in range(20):
        mask = rng.random((37, 61)) < rng.random()
        packed = theirs.encode(np.asfortranarray(mask.astype(np.uint8)))
        text = {"size": [37, 61], "counts": packed["counts"].decode()}
        np.testing.assert_array_equal(segmentation_mask(text, 37, 61), mask)
        angles = np.sort(rng.random(8)) * 2 * np.pi
        reach = rng.uniform(10, 17, 8)
        corners = np.stack([30 + reach * np.cos(angles), 18 + reach * np.sin(angles)], 1).ravel().tolist()
        drawn = theirs.decode(theirs.merge(theirs.frPyObjects([corners], 37, 61))).astype(bool)
        ours = polygon_mask(corners, 37, 61)
        assert (drawn ^ ours).sum() <= 0.06 * drawn.sum()
