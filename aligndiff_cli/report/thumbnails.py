"""Small pictures for a page: real pairs, samples with their masks, scenes with their labels.

Each is one picture of which the longer side is ``cell`` pixels, or several of those side by side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from aligndiff_cli.disk.images import ImageArray, MaskArray, SoftArray
from aligndiff_cli.report import paint

REAL: paint.Colour = (60, 222, 96)
COARSE, REFINED, PASTED = paint.YELLOW, paint.CYAN, paint.MAGENTA
"""Colours of the real, the coarse and the refined mask, and of a class in a scene."""
OTHER: paint.Colour = (235, 236, 240)
"""Of the other classes in it."""
GAP = 4
"""Pixels between pictures side by side."""


def real_pair(image: ImageArray, mask: MaskArray, cell: int) -> ImageArray:
    """A real picture with the contour of its mask."""
    return _outlined(image, mask, REAL, cell)


def coarse_map(image: ImageArray, soft: SoftArray, cut: float, cell: int) -> ImageArray:
    """A coarse map as heat over its picture's greys, with the contour of the mask it becomes.

    Args:
        image: uint8 (H, W, 3).
        soft: float (H, W) in [0, 1].
        cut: from where the map is foreground.
    """
    large = paint.fitted(image, cell)
    hot = paint.heat(large, paint.fitted_soft(soft, cell))
    return paint.outline(hot, paint.fitted_mask(soft >= cut, cell), COARSE, _line(cell))


def refined_mask(image: ImageArray, mask: MaskArray, cell: int) -> ImageArray:
    """A picture with its refined mask: the contour, and what is background darkened."""
    large, inside = paint.fitted(image, cell), paint.fitted_mask(mask, cell)
    dark = np.where(inside[..., None], large, large // 10 * 4 + 12).astype(np.uint8)
    return paint.outline(dark, inside, REFINED, _line(cell))


def scene(image: ImageArray, labels: NDArray[np.uint8], number: int, cell: int) -> ImageArray:
    """A scene with the contour of one class, and thin ones of all other labels; what is ignored (255) has none.

    Args:
        image: uint8 (H, W, 3).
        labels: uint8 (H, W).
        number: of the class; one that the scene does not hold leaves the thin ones.
    """
    large, small = paint.fitted(image, cell), paint.fitted_labels(labels, cell)
    for value in np.unique(small):
        if value not in (0, 255, number):
            large = paint.outline(large, small == value, OTHER, 1)
    return paint.outline(large, small == number, PASTED, _line(cell)) if number else large


def side_by_side(pictures: Sequence[ImageArray]) -> ImageArray:
    """Pictures of one height in a row, a dark line between them."""
    height = pictures[0].shape[0]
    line = np.full((height, GAP, 3), paint.INK, np.uint8)
    parts = [part for picture in pictures for part in (line, picture)][1:]
    return np.concatenate(parts, axis=1)


def _outlined(image: ImageArray, mask: MaskArray, colour: paint.Colour, cell: int) -> ImageArray:
    return paint.outline(paint.fitted(image, cell), paint.fitted_mask(mask, cell), colour, _line(cell))


def _line(cell: int) -> int:
    """Width of a contour in pixels."""
    return 3 if cell >= 256 else 2
