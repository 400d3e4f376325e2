"""How different the pictures of a class are from one another, and which are nearly the same (beyond the paper).

A picture is seen as a *look*: 8 x 8 mean colours and as many mean strengths of edges, which any picture gives without a
network. Two looks are compared by their Euclidean distance, 0 for the same picture and 1 between black and white.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

CELLS = 8
FINE = 32
"""Pixels along a side in which edges are looked for."""
LUMA = (0.299, 0.587, 0.114)
"""Weights of R, G and B (ITU-R BT.601)."""
LOOK = CELLS * CELLS * 5
"""Numbers of a look: of each cell three of colour and two of edges."""
NEAR = 0.02
"""Distance below which two pictures are near-duplicates: twice what noise of 8 grey values or JPEG of quality 75 makes
of a picture. Two different aeroplanes in the same blue sky were 0.03 apart, other photographs of a class 0.09 and more.
"""
_BLOCK = 512
"""Looks compared at once with as many others: 2 MB of distances."""


@dataclass(frozen=True)
class Diversity:
    """Of n pictures.

    Attributes:
        mean: distance, over all n (n - 1) / 2 pairs; 0 for fewer than two pictures.
        near: pairs nearer than NEAR.
        first: some of them, as indices (i, j) with i < j, in that order.
    """

    mean: float
    near: int
    first: tuple[tuple[int, int], ...]


def look(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What a picture looks like from afar.

    It is squeezed to 32 x 32 pixels by area. A cell is 4 x 4 of them; it has their mean R, G and B in [0, 1], and the
    means of |right neighbour - pixel| and |lower neighbour - pixel| in luma, 0 at the far border. Colours are divided
    by sqrt(192) and edges by sqrt(128), so that a distance is sqrt(mean squared difference in colour + that in edges).

    Args:
        image: (H, W, 3).

    Returns:
        (320,): cells row by row, the colours of all of them, then the edges.
    """
    small = Image.fromarray(image).resize((FINE, FINE), Image.Resampling.BOX)
    pixels = np.asarray(small, np.float32) / 255.0
    luma = pixels @ np.asarray(LUMA, np.float32)
    edges = np.zeros((FINE, FINE, 2), np.float32)
    edges[:, :-1, 0] = np.abs(np.diff(luma, axis=1))
    edges[:-1, :, 1] = np.abs(np.diff(luma, axis=0))
    cells = [_cells(plane).ravel() / np.sqrt(CELLS * CELLS * plane.shape[2]) for plane in (pixels, edges)]
    return np.concatenate(cells).astype(np.float32)


def _cells(planes: NDArray[np.float32]) -> NDArray[np.float32]:
    side = FINE // CELLS
    return planes.reshape(CELLS, side, CELLS, side, planes.shape[2]).mean((1, 3))


def diversity(looks: NDArray[np.float32], most: int = 20) -> Diversity:
    """Compare all pairs, block by block: memory grows with the number of pictures, time with its square.

    Args:
        looks: (n, 320).
        most: near pairs that are named.
    """
    total, near = 0.0, 0
    first: list[tuple[int, int]] = []
    for row, column, distances in _blocks(looks):
        total += float(distances.sum())
        close = np.argwhere(distances < NEAR)
        if row == column:
            close = close[close[:, 0] < close[:, 1]]
        near += len(close)
        first += [(row + int(i), column + int(j)) for i, j in close[: most - len(first)]]
    n = len(looks)
    pairs = n * (n - 1) // 2
    return Diversity(total / pairs if pairs else 0.0, near, tuple(sorted(first)))


def farthest_first(looks: NDArray[np.float32], count: int) -> list[int]:
    """The first of some looks, then again and again the one farthest from the nearest of those taken (Gonzalez 1985).

    Args:
        looks: (n, 320), at least one.
        count: how many to take.

    Returns:
        min(n, count) indices in the order taken; of equally far ones the earlier is.
    """
    taken: list[int] = []
    nearest = np.full(len(looks), np.inf)
    for _ in range(min(len(looks), count)):
        taken.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, np.linalg.norm(looks - looks[taken[-1]], axis=1))
        nearest[taken] = -1.0
    return taken


def _blocks(looks: NDArray[np.float32]) -> Iterator[tuple[int, int, NDArray[np.float64]]]:
    """Distances between two stretches of looks, each pair once: on the diagonal the lower half is 0 (first row, first
    column, distances).
    """
    for row in range(0, len(looks), _BLOCK):
        a = looks[row : row + _BLOCK].astype(np.float64)
        for column in range(row, len(looks), _BLOCK):
            b = looks[column : column + _BLOCK].astype(np.float64)
            squares = (a * a).sum(1)[:, None] + (b * b).sum(1) - 2 * (a @ b.T)
            distances = np.sqrt(np.maximum(squares, 0))
            yield row, column, np.triu(distances, 1) if row == column else distances
