"""Masks as polygons and back, for formats that know nothing else.

A mask is traced along the corners of its pixels, exactly; steps of one pixel are then cut off half-way, so that a
staircase becomes the slanted line it stands for, and corners that lie within a bounded distance of the line without
them are left out (Douglas and Peucker, 1973). Corner coordinates are x, y in pixels from the picture's top left corner;
the middle of the first pixel is at (0.5, 0.5). All of this is beyond the paper.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MaskArray = NDArray[np.bool_]
Ring = NDArray[np.float64]
"""(N, 2): the corners of a closed line, the first not repeated at the end."""

TOLERANCE = 0.5
"""Pixels that a simplified outline may run beside the traced one."""
TOLERANCE_OF_SIDE = 0.001
"""The same, as a share of the picture's longer side, where that is more."""
LEAST_IOU = 0.98
"""Of a mask and its simplified outline; with less, the tolerance is halved."""
SPECK = 0.001
"""Of an object's area: smaller parts and holes are left out, unless that costs too much of the IoU."""
MOST_RINGS = 1000
"""Parts and holes of one polygon, the largest ones."""
MOST_CORNERS = 4000
"""Of one polygon: an outline that has more is simplified further, whatever its IoU."""
BLOCK = 1 << 20
"""Distances held in memory at a time."""


@dataclass(frozen=True)
class Outline:
    """A mask as one polygon.

    Attributes:
        corners: (N, 2), x and y in pixels.
        iou: of the mask and the polygon, drawn by the middles of the pixels.
    """

    corners: Ring
    iou: float


def trace(mask: MaskArray) -> list[list[Ring]]:
    """The exact outlines of a mask, along the corners of its pixels.

    Pixels that touch at a corner belong to one part.

    Args:
        mask: bool (H, W).

    Returns:
        For each part its rings: the outer one, clockwise as seen in the picture, then those of its holes,
        counter-clockwise. Every second edge is horizontal, the others vertical.
    """
    padded = np.pad(mask, 1).astype(np.int8)
    north_west, north_east, south_west, south_east = padded[:-1, :-1], padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    crossing = (north_west == south_east) & (north_east == south_west) & (north_west != north_east)
    turning = (north_west ^ north_east ^ south_west ^ south_east == 1) | crossing
    # a crossing is a corner twice: of the line from the left, then of the line to the right
    y, x = (np.repeat(axis, 1 + crossing[turning]) for axis in np.nonzero(turning))
    twin = np.zeros(len(x), bool)
    twin[1:] = (y[1:] == y[:-1]) & (x[1:] == x[:-1])
    # the line from the left goes on upwards, or downwards where the pixels lie like a backslash
    lower = crossing[y, x] & (twin != (north_west[y, x] == 1))
    by_column = np.lexsort((lower, y, x))
    # in a row, or a column, corners are joined two by two
    vertical = np.empty(len(x), np.int64)
    vertical[by_column] = by_column[np.arange(len(x)) ^ 1]
    corners = np.stack([x, y], 1)
    rings = _rings(vertical)
    ring_of = np.empty(len(x), np.int64)
    for number, ring in enumerate(rings):
        ring_of[ring] = number
    upper, lower_end = by_column.reshape(-1, 2).T
    count = y[lower_end] - y[upper]
    row = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(y[upper], count)
    edges = np.full((len(mask), mask.shape[1] + 1), -1)
    edges[row, np.repeat(x[upper], count)] = np.repeat(ring_of[upper], count)
    return _grouped([corners[ring] for ring in rings], edges, mask)


def _rings(vertical: NDArray[np.int64]) -> list[list[int]]:
    """Corners along each ring, from its topmost and there leftmost one to the right.

    Args:
        vertical: the corner that each is joined with in its column; in its row, 2k is with 2k + 1.
    """
    down = vertical.tolist()
    found: list[list[int]] = []
    waiting = [True] * len(down)
    for first in range(len(down)):
        ring: list[int] = []
        corner = first
        while waiting[corner]:
            across = corner ^ 1
            ring += (corner, across)
            waiting[corner] = waiting[across] = False
            corner = down[across]
        if ring:
            found.append(ring)
    return found


def _grouped(rings: Sequence[NDArray[np.int64]], edges: NDArray[np.int64], mask: MaskArray) -> list[list[Ring]]:
    """The rings by the part they belong to.

    Args:
        rings: from the topmost ones on.
        edges: (H, W + 1), the ring of the edge to the left of each pixel, -1 where there is none.
    """
    parts: dict[int, list[Ring]] = {}
    part_of: dict[int, int] = {}
    for number, ring in enumerate(rings):
        x, y = ring[0]
        line = ring.astype(np.float64)
        if mask[y, x]:
            part_of[number] = number
            parts[number] = [line]
        else:  # to the left of a hole is the mask, up to an edge of the same part, whose ring begins further up or left
            beside = edges[y, :x]
            part_of[number] = part_of[int(beside[beside >= 0][-1])]
            parts[part_of[number]].append(line[::-1])
    return list(parts.values())


def area(rings: Sequence[Ring]) -> float:
    """Pixels within the rings of a part: its outer ring's less its holes'; negative for a hole alone."""
    return sum(float(_cross(ring, np.roll(ring, -1, axis=0)).sum()) / 2 for ring in rings)


def outline(rings: Sequence[Ring], height: int, width: int) -> Outline:
    """One polygon for everything that the rings of `trace` enclose.

    Parts and holes are joined by bridges of no width, gone over once in each direction, which any rule of filling
    leaves empty. The outline runs at most half a pixel, or a thousandth of the picture's longer side, beside the traced
    one, and closer where the IoU with the mask would fall below 0.98. Masks that are noise are told
    more roughly: by their 1000 largest parts and holes, and some 4000 corners.

    Args:
        rings: of all parts, not empty.
        height, width: size of the picture, pixels.
    """
    low = np.min([ring.min(axis=0) for ring in rings], axis=0)
    wide, high = (np.max([ring.max(axis=0) for ring in rings], axis=0) - low).astype(int)
    exact = fill([ring - low for ring in rings], high, wide)
    own = sorted((ring - low for ring in rings), key=lambda ring: -abs(area([ring])))[:MOST_RINGS]
    smooth = [_without_steps(ring) for ring in own]
    large = [line for ring, line in zip(own, smooth, strict=True) if abs(area([ring])) >= SPECK * exact.sum()]
    tolerance = max(TOLERANCE, TOLERANCE_OF_SIDE * max(height, width))
    lines = _simplified(large or smooth, tolerance)
    while _count(lines) > MOST_CORNERS and (coarser := _simplified(lines, 2 * tolerance)):
        lines, tolerance = coarser, 2 * tolerance
    line, iou = _drawn(lines, exact)
    while iou < LEAST_IOU and tolerance:
        tolerance = tolerance / 2 if tolerance > TOLERANCE / 4 else 0.0
        lines = _simplified(smooth, tolerance)
        if _count(lines) > MOST_CORNERS:
            break
        line, iou = _drawn(lines, exact)
    return Outline(line + low, iou)


def _drawn(lines: Sequence[Ring], exact: MaskArray) -> tuple[Ring, float]:
    """The lines as one, and its IoU with the mask."""
    if not lines:
        return np.zeros((0, 2)), 0.0
    line = joined(lines)
    drawn = fill([line], *exact.shape)
    return line, float((drawn & exact).sum() / (drawn | exact).sum())


def _count(lines: Sequence[Ring]) -> int:
    return sum(map(len, lines))


def _simplified(rings: Sequence[Ring], tolerance: float) -> list[Ring]:
    """Rings without the corners they can do without; those of which nothing is left are gone."""
    return [line for line in (simplified(ring, tolerance) for ring in rings) if len(line) >= 3]


def _without_steps(ring: Ring) -> Ring:
    """A traced ring whose corners at edges of one pixel are cut off half a pixel from them."""
    after = np.roll(ring, -1, axis=0) - ring
    length = np.abs(after).sum(axis=1, keepdims=True)
    before, ahead = np.roll(after / length, 1, axis=0), after / length
    cut = 0.5 * ((length == 1) | (np.roll(length, 1) == 1))
    line = np.stack([ring - cut * before, ring + cut * ahead], axis=1).reshape(-1, 2)
    return line[(line != np.roll(line, 1, axis=0)).any(axis=1)]


def simplified(ring: Ring, tolerance: float) -> Ring:
    """The corners that a ring needs to stay within ``tolerance`` pixels of all of them."""
    if not tolerance:
        return ring
    closed = np.concatenate([ring, ring[:1]])
    far = int(((ring - ring[0]) ** 2).sum(axis=1).argmax())
    needed = {0, far}
    waiting = [(0, far), (far, len(ring))]
    while waiting:
        start, end = waiting.pop()
        if end - start < 2:
            continue
        chord, others = closed[end] - closed[start], closed[start + 1 : end] - closed[start]
        along = np.clip(others @ chord / max(chord @ chord, 1e-12), 0, 1)
        distance = ((others - along[:, None] * chord) ** 2).sum(axis=1)
        furthest = int(distance.argmax())
        if distance[furthest] > tolerance**2:
            middle = start + 1 + furthest
            needed.add(middle)
            waiting += [(start, middle), (middle, end)]
    return ring[sorted(needed)]


def joined(rings: Sequence[Ring]) -> Ring:
    """One closed line through several rings, each joined at its nearest corner to what is joined before."""
    line, *rest = sorted(rings, key=lambda ring: -abs(area([ring])))
    if not rest:
        return line
    points = np.concatenate(rest)
    owner = np.repeat(np.arange(len(rest)), [len(ring) for ring in rest])
    index = np.concatenate([np.arange(len(ring)) for ring in rest])
    waiting, gap, near = np.ones(len(points), bool), np.full(len(points), np.inf), np.zeros_like(points)
    new = line
    for _ in rest:
        for some in np.array_split(new, 1 + len(new) * len(points) // BLOCK):
            distance = ((points[:, None] - some[None]) ** 2).sum(axis=2)
            closest = distance.argmin(axis=1)
            found = distance[np.arange(len(points)), closest]
            closer = waiting & (found < gap)
            gap[closer], near[closer] = found[closer], some[closest[closer]]
        point = int(np.where(waiting, gap, np.inf).argmin())
        ring, entry = rest[owner[point]], index[point]
        new = np.concatenate([ring[entry:], ring[: entry + 1]])
        place = int((line == near[point]).all(axis=1).argmax())
        line = np.concatenate([line[: place + 1], new, line[place:]])
        waiting &= owner != owner[point]
    return line


def fill(rings: Sequence[Ring], height: int, width: int) -> MaskArray:
    """The pixels whose middles lie within an odd number of closed lines, bool (height, width)."""
    crossings = np.zeros((height, width + 1), np.int64)
    start = np.concatenate([*rings, np.zeros((0, 2))])
    stop = np.concatenate([*(np.concatenate([ring[1:], ring[:1]]) for ring in rings), np.zeros((0, 2))])
    rising = (start[:, 1] <= stop[:, 1])[:, None]
    upper, lower = np.where(rising, start, stop), np.where(rising, stop, start)
    first, end = (np.clip(np.ceil(ends[:, 1] - 0.5), 0, height).astype(np.int64) for ends in (upper, lower))
    count = end - first
    edge = np.repeat(np.arange(len(start)), count)
    row = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    step = lower[edge] - upper[edge]
    x = upper[edge, 0] + (row + 0.5 - upper[edge, 1]) * step[:, 0] / step[:, 1]
    np.add.at(crossings, (row, np.clip(np.ceil(x - 0.5), 0, width).astype(np.int64)), 1)
    return np.cumsum(crossings, axis=1)[:, :-1] % 2 == 1


def _cross(one: Ring, other: Ring) -> NDArray[np.float64]:
    return one[:, 0] * other[:, 1] - one[:, 1] * other[:, 0]
