"""Masks and maps painted on images, by hand-computed pixels."""

from __future__ import annotations

import numpy as np
import pytest

from aligndiff_cli.report import paint

GREY_IMAGE = np.full((6, 9, 3), 100, np.uint8)
MASK = np.zeros((6, 9), bool)
MASK[1:5, 2:7] = True  # 4 x 5


def test_overlay_fills_and_draws_a_contour_inside_and_a_rim_outside() -> None:
    out = paint.overlay(GREY_IMAGE, MASK, (200, 0, 50), strength=0.5, line=1)
    assert out[2, 3].tolist() == [150, 50, 75]  # inside: half and half
    assert out[1, 2].tolist() == [200, 0, 50]  # contour
    assert out[2, 6].tolist() == [200, 0, 50]
    assert out[0, 3].tolist() == [33, 33, 33]  # rim
    assert out[5, 8].tolist() == [100, 100, 100]  # elsewhere
    assert (out == (200, 0, 50)).all(axis=2).sum() == 14  # border of a 4 x 5 block
    assert (GREY_IMAGE == 100).all()


def test_outline_is_drawn_along_the_frame() -> None:
    out = paint.outline(GREY_IMAGE, np.ones((6, 9), bool), (1, 2, 3), line=1)
    assert (out == (1, 2, 3)).all(axis=2).sum() == 2 * 9 + 2 * 4


def test_overlay_needs_one_size() -> None:
    with pytest.raises(ValueError, match=r"expected a mask of shape \(6, 9\), got \(9, 6\)"):
        paint.overlay(GREY_IMAGE, MASK.T, paint.RED)


def test_heat_gets_brighter() -> None:
    soft = np.linspace(0, 1, 54, dtype=np.float32).reshape(6, 9)
    brightness = paint.heat(GREY_IMAGE, soft).astype(int).sum(axis=2).ravel()
    assert (np.diff(brightness) >= -1).all()
    # 0.35 * 100 + 0.65 * (10, 8, 40) and 0.35 * 100 + 0.65 * (252, 252, 200)
    assert paint.heat(GREY_IMAGE, soft)[0, 0].tolist() == [42, 40, 61]
    assert paint.heat(GREY_IMAGE, soft)[-1, -1].tolist() == [199, 199, 165]


def test_painted_labels_use_voc_colours() -> None:
    labels = np.zeros((12, 18), np.uint8)
    labels[2:10, 2:9] = 1
    labels[0, 12:] = 255
    out = paint.painted_labels(np.full((12, 18, 3), 100, np.uint8), labels, strength=0.5)
    assert out[2, 2].tolist() == [128, 0, 0]  # contour
    assert out[5, 5].tolist() == [114, 50, 50]  # between grey and VOC's first colour
    assert out[0, 14].tolist() == [255, 255, 255]
    assert out[11, 17].tolist() == [100, 100, 100]


@pytest.mark.parametrize(("shape", "expected"), [((6, 9), (60, 90)), ((9, 6), (90, 60)), ((300, 900), (30, 90))])
def test_fitted_keeps_proportions_and_all_layers_alike(shape: tuple[int, int], expected: tuple[int, int]) -> None:
    assert paint.fitted(np.zeros((*shape, 3), np.uint8), 90).shape == (*expected, 3)
    assert paint.fitted_mask(np.ones(shape, bool), 90).all()
    assert paint.fitted_soft(np.zeros(shape, np.float32), 90).shape == expected
    assert paint.fitted_labels(np.full(shape, 7, np.uint8), 90).shape == expected


def test_fitted_labels_are_never_mixed() -> None:
    labels = np.array([[0, 20], [5, 255]], np.uint8)
    assert set(np.unique(paint.fitted_labels(labels, 31))) == {0, 5, 20, 255}


def test_a_sliver_still_has_a_pixel() -> None:
    assert paint.fitted(np.zeros((1, 4000, 3), np.uint8), 90).shape == (1, 90, 3)
