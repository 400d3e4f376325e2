"""COCO's segmentations as masks and back, by its own library: polygons, run lengths, and run lengths packed into text.

What the library would crash over, or take for something else, is refused before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as library

MaskArray = NDArray[np.bool_]
FAR = 10
"""Times the picture's size that a corner may lie outside of it; the library's memory grows with the distance."""


def segmentation_mask(segmentation: Any, height: int, width: int) -> MaskArray:
    """A COCO ``segmentation`` as a mask.

    Args:
        segmentation: a list of polygons ([x1, y1, x2, y2, ...] each, joined; those of fewer than three corners hold
            nothing), or ``{"size": [h, w], "counts": ...}`` with counts a list of run lengths or the packed text.
        height, width: size of the image, pixels.

    Returns:
        bool (height, width).

    Raises:
        ValueError: it is neither, or does not fit the image.
    """
    if isinstance(segmentation, Mapping):
        if list(segmentation["size"]) != [height, width]:
            raise ValueError(f"expected run lengths of {height} x {width} pixels, got {segmentation['size']}")
        runs = _runs(segmentation["counts"], height, width)
    else:
        polygons = [own for own in (_corners(polygon, height, width) for polygon in segmentation) if len(own) >= 6]
        if not polygons:
            return np.zeros((height, width), np.bool_)
        runs = library.merge(library.frPyObjects(polygons, height, width))
    return np.asarray(library.decode(runs), np.bool_)


def encode_rle(mask: MaskArray) -> dict[str, Any]:
    """Packed run lengths of a mask, bool (H, W)."""
    packed = library.encode(np.asfortranarray(mask, np.uint8))
    return {"size": list(mask.shape), "counts": packed["counts"].decode("ascii")}


def _runs(counts: Any, height: int, width: int) -> Any:
    """Run lengths as the library has them; they must fill the image."""
    size = [height, width]
    if isinstance(counts, str):
        if not all(48 <= ord(character) < 112 for character in counts):
            raise ValueError(f"expected packed run lengths, got {counts[:60]!r}")
        if not counts or (ord(counts[-1]) - 48) & 32:  # the sixth bit says that the number goes on
            raise ValueError("packed run lengths end within a number")
        packed = {"size": size, "counts": counts.encode("ascii")}
        if _fits(packed, [height * width - 1, 1]):  # the library takes too few pixels for enough, not too many
            raise ValueError(f"expected run lengths that add up to {height * width}, got fewer")
        return packed
    given = list(counts)
    if not all(isinstance(run, int) and run >= 0 for run in given):
        raise ValueError(f"expected run lengths in whole numbers from 0, got {str(given)[:60]}")
    if sum(given) != height * width:
        raise ValueError(f"expected run lengths that add up to {height * width}, got {sum(given)}")
    return library.frPyObjects({"size": size, "counts": given}, height, width)


def _fits(packed: dict[str, Any], size: list[int]) -> bool:
    """Whether run lengths hold no more pixels than a picture of another size."""
    try:
        library.decode({**packed, "size": size})
    except ValueError:
        return False
    return True


def _corners(polygon: Sequence[float], height: int, width: int) -> list[float]:
    """The coordinates of one polygon."""
    refusal = ValueError(f"expected corners as x, y, x, y, ... in finite numbers, got {str(polygon)[:60]}")
    try:
        corners = np.asarray(polygon, np.float64)
    except (TypeError, ValueError) as error:
        raise refusal from error
    if corners.ndim != 1 or not np.isfinite(corners).all():
        raise refusal
    if len(corners) % 2:
        raise ValueError(f"expected corners as pairs x, y, got {len(corners)} numbers")
    if (np.abs(corners) > FAR * max(height, width)).any():
        raise ValueError(f"a corner lies far outside of {width} x {height} pixels: {str(polygon)[:60]}")
    return [float(value) for value in corners]
