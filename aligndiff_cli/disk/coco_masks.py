"""COCO's segmentations as masks: polygons, run lengths, and run lengths packed into text.

A polygon's coordinates are in pixels from the image's upper left corner, so that the pixel in row r, column c covers
[c, c + 1) x [r, r + 1) and belongs to the polygon if its centre (c + 1/2, r + 1/2) lies inside. Runs are counted column
by column, from the upper left corner down, beginning with the background.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import NDArray

MaskArray = NDArray[np.bool_]


def segmentation_mask(segmentation: Any, height: int, width: int) -> MaskArray:
    """A COCO ``segmentation`` as a mask.

    Args:
        segmentation: a list of polygons ([x1, y1, x2, y2, ...] each, joined), or ``{"size": [h, w], "counts": ...}``
            with counts a list of run lengths or the packed text.
        height, width: size of the image, pixels.

    Returns:
        bool (height, width).

    Raises:
        ValueError: it is neither, or does not fit the image.
    """
    if isinstance(segmentation, Mapping):
        counts = segmentation["counts"]
        runs = unpack_runs(counts) if isinstance(counts, str) else counts
        if list(segmentation["size"]) != [height, width]:
            raise ValueError(f"expected run lengths of {height} x {width} pixels, got {segmentation['size']}")
        return runs_mask(runs, height, width)
    mask = np.zeros((height, width), np.bool_)
    for polygon in segmentation:
        mask |= polygon_mask(polygon, height, width)
    return mask


def polygon_mask(polygon: Sequence[float], height: int, width: int) -> MaskArray:
    """The pixels whose centres lie inside one polygon, by the even-odd rule; what lies outside the image is cut off.

    Args:
        polygon: [x1, y1, x2, y2, ...]; the last corner is joined to the first. Fewer than three corners hold nothing.
        height, width: size of the image, pixels.

    Returns:
        bool (height, width).

    Raises:
        ValueError: an odd number of coordinates, or some that are no numbers.
    """
    refusal = ValueError(f"expected corners as x, y, x, y, ... in finite numbers, got {str(polygon)[:60]}")
    try:
        corners = np.asarray(polygon, np.float64)
    except (TypeError, ValueError) as error:
        raise refusal from error
    if corners.ndim != 1 or not np.isfinite(corners).all():
        raise refusal
    if len(polygon) % 2:
        raise ValueError(f"expected corners as pairs x, y, got {len(polygon)} numbers")
    x1, y1 = corners.reshape(-1, 2).T
    x2, y2 = np.roll(x1, -1), np.roll(y1, -1)
    # rows whose centre line an edge crosses: its lower end counts and its upper end does not
    first = np.ceil(np.minimum(y1, y2) - 0.5).clip(0, height).astype(int)
    beyond = np.ceil(np.maximum(y1, y2) - 0.5).clip(0, height).astype(int)
    count = beyond - first
    edge = np.repeat(np.arange(len(x1)), count)
    row = np.arange(count.sum()) - np.repeat(count.cumsum() - count, count) + first[edge]
    along = (row + 0.5 - y1[edge]) / (y2[edge] - y1[edge])
    crossing = x1[edge] + along * (x2[edge] - x1[edge])
    # every pixel whose centre lies right of a crossing changes sides
    column = np.ceil(crossing - 0.5).clip(0, width).astype(int)
    mask = np.zeros((height, width), np.bool_)
    if count.any():  # work on the part of the image that the polygon spans
        top, left = row.min(), column.min()
        turns = np.zeros((row.max() - top + 1, column.max() - left + 1), np.uint8)
        np.add.at(turns, (row - top, column - left), 1)
        # sums may pass 255, but whether they are odd survives that; right of the last crossing none is
        inside = turns.cumsum(axis=1, dtype=np.uint8)[:, :-1] % 2 == 1
        mask[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return mask


def runs_mask(runs: Iterable[int], height: int, width: int) -> MaskArray:
    """Run lengths, background first, column by column, as bool (height, width).

    Raises:
        ValueError: they do not add up to the image's pixels, or one is negative or no whole number.
    """
    given = list(runs)
    if not all(isinstance(run, Integral) for run in given):
        raise ValueError(f"expected run lengths in whole numbers, got {str(given)[:60]}")
    lengths = np.asarray(given, np.int64)
    if lengths.sum() != height * width or (lengths < 0).any():
        raise ValueError(f"expected run lengths that add up to {height * width}, got {lengths.sum()}")
    values = np.arange(len(lengths)) % 2 == 1
    return np.repeat(values, lengths).reshape((height, width), order="F")


def unpack_runs(text: str) -> list[int]:
    """Run lengths from COCO's packed text.

    Each number is written in groups of five bits, the lowest group first, one character a group: its code less 48 holds
    the five bits and, as the sixth, whether another group follows; the last group's fifth bit is the sign. From the
    fourth run on, what is written is the difference to the run two before.

    Raises:
        ValueError: a character is out of range, or the text ends within a number.
    """
    runs: list[int] = []
    number, shift = 0, 0
    for character in text:
        group = ord(character) - 48
        if not 0 <= group < 64:
            raise ValueError(f"{character!r} is no character of packed run lengths")
        number |= (group & 31) << shift
        shift += 5
        if group & 32:
            continue
        if group & 16:
            number -= 1 << shift
        runs.append(number + (runs[-2] if len(runs) > 2 else 0))
        number, shift = 0, 0
    if shift:
        raise ValueError("packed run lengths end within a number")
    return runs
