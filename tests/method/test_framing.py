"""The window of a photograph that a model sees, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aligndiff_cli.method.framing import framed, object_window, resized, resized_mask


def mask(height: int, width: int, rows: slice, columns: slice) -> np.ndarray:
    covered = np.zeros((height, width), bool)
    covered[rows, columns] = True
    return covered


@pytest.mark.parametrize(
    ("covered", "aspect", "rows", "columns"),
    [
        # wider than the window: 6 of 10 columns, around the object's middle (column 5)
        (mask(6, 10, slice(0, 2), slice(4, 6)), 1.0, (0, 6), (2, 8)),
        # an object at the edge: the window stops at the image
        (mask(6, 10, slice(0, 2), slice(9, 10)), 1.0, (0, 6), (4, 10)),
        # higher than the window
        (mask(10, 4, slice(0, 1), slice(0, 4)), 1.0, (0, 4), (0, 4)),
        # a window twice as high as wide
        (mask(8, 8, slice(0, 8), slice(6, 8)), 2.0, (0, 8), (4, 8)),
        # an object larger than the window: its middle stays in the middle
        (mask(2, 9, slice(0, 2), slice(0, 9)), 1.0, (0, 2), (4, 6)),
        # nothing to crop
        (mask(5, 5, slice(1, 2), slice(1, 2)), 1.0, (0, 5), (0, 5)),
    ],
)
def test_windows(covered: np.ndarray, aspect: float, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    window = object_window(covered, aspect)
    assert [(part.start, part.stop) for part in window] == [rows, columns]


def test_a_picture_is_seen_whole_or_through_the_window() -> None:
    image, covered = np.arange(4 * 10 * 3, dtype=np.uint8).reshape(4, 10, 3), mask(4, 10, slice(1, 3), slice(6, 9))
    seen, own = framed(image, covered, 1.0, "window")
    window = object_window(covered, 1.0)
    np.testing.assert_array_equal(seen, image[window])
    np.testing.assert_array_equal(own, covered[window])
    assert seen.shape == (4, 4, 3)
    seen, own = framed(image, covered, 1.0, "whole")
    assert seen is image
    assert own is covered


def test_an_image_of_the_size_stays_and_another_is_resized() -> None:
    image = np.zeros((2, 6, 3), np.uint8)
    image[:, 3:] = 200
    assert resized(image, 2, 6, "window") is image
    assert resized(image, 4, 12, "whole").shape == (4, 12, 3)
    assert resized(np.full((3, 5, 3), 7, np.uint8), 6, 2, "window").tolist() == [[[7] * 3] * 2] * 6


def test_a_mask_keeps_what_is_half_covered() -> None:
    covered = np.array([[1, 1, 1, 0, 0, 0], [1, 0, 0, 0, 0, 1]], bool)  # shares of 2 x 2: 3/4, 1/4, 1/4
    assert resized_mask(covered, 1, 3).tolist() == [[True, False, False]]
    assert resized_mask(covered, 2, 3).tolist() == [[True, True, False], [True, False, True]]  # halves count
    assert resized_mask(covered[:, :2], 4, 2).tolist() == [[True, True], [True, True], [True, False], [True, False]]
