"""Variants of drawings that nobody drew: more outlines and colours for the space of looks than the artists left."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aligndiff_cli.pocket.recipe.drawings import Drawing

WARP = (0.03, 0.12)
"""Range of the largest shift of a point, as a share of the drawing."""
STRETCH = 0.3
"""Sides are multiplied and divided by up to exp of this."""
TURNED = 0.7
"""Share of the variants whose hues are turned round the circle."""
SIDE, GRID = 80, 96
LEAST_PIXELS = 50


def variant(rng: np.random.Generator, drawing: Drawing) -> Drawing:
    """A drawing warped smoothly, stretched, its hues turned; without a concept, for nothing says what it is.

    Args:
        rng: the only source of chance.
        drawing: of a training artist.

    Returns:
        A sprite of `SIDE` pixels on its longer side; the drawing itself where nothing visible is left.
    """
    sprite = _warped(rng, drawing.sprite)
    if rng.random() < TURNED:
        sprite = _turned(sprite, int(rng.integers(256)))
    rows, columns = np.nonzero(sprite[..., 3] > 8)
    if len(rows) < LEAST_PIXELS:
        return drawing
    sprite = sprite[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    stretch = float(np.exp(rng.uniform(-STRETCH, STRETCH)))
    height, width = sprite.shape[0] * stretch, sprite.shape[1] / stretch
    ratio = SIDE / max(height, width)
    size = (max(1, round(width * ratio)), max(1, round(height * ratio)))
    resized = Image.fromarray(sprite).resize(size, Image.Resampling.LANCZOS)
    return Drawing(drawing.artist, "", np.asarray(resized))


def _warped(rng: np.random.Generator, sprite: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The sprite (h, w, 4), read at places shifted smoothly; `GRID` pixels a side."""
    cells, size = int(rng.integers(3, 6)), float(rng.uniform(*WARP))
    shifts = []
    for _ in range(2):
        coarse = Image.fromarray(rng.uniform(-1, 1, (cells, cells)).astype(np.float32))
        shifts.append(np.asarray(coarse.resize((GRID, GRID), Image.Resampling.BICUBIC)) * size)
    height, width = sprite.shape[:2]
    padded = np.pad(sprite, ((height // 8, height // 8), (width // 8, width // 8), (0, 0))).astype(np.float32)
    padded[..., :3] *= padded[..., 3:] / 255
    rows, columns = np.mgrid[:GRID, :GRID] / (GRID - 1)
    found = _bilinear(padded, rows + shifts[0], columns + shifts[1])
    alpha = found[..., 3:]
    found[..., :3] = np.where(alpha > 1, found[..., :3] * 255 / np.maximum(alpha, 1), 0)
    return np.clip(found, 0, 255).astype(np.uint8)


def _bilinear(image: NDArray[np.float32], rows: NDArray, columns: NDArray) -> NDArray[np.float32]:
    """Values of `image` (h, w, 4) at places in [0, 1] of its sides; those beyond are read at its border."""
    height, width = image.shape[:2]
    y, x = np.clip(rows * (height - 1), 0, height - 1), np.clip(columns * (width - 1), 0, width - 1)
    top, left = np.minimum(y.astype(int), height - 2), np.minimum(x.astype(int), width - 2)
    down, right = (y - top)[..., None], (x - left)[..., None]
    upper = image[top, left] * (1 - right) + image[top, left + 1] * right
    lower = image[top + 1, left] * (1 - right) + image[top + 1, left + 1] * right
    result: NDArray[np.float32] = (upper * (1 - down) + lower * down).astype(np.float32)
    return result


def _turned(sprite: NDArray[np.uint8], by: int) -> NDArray[np.uint8]:
    """Hues moved by so many of 256 steps round the circle."""
    tones = np.array(Image.fromarray(sprite[..., :3]).convert("HSV"))
    tones[..., 0] += np.uint8(by)
    return np.dstack([np.asarray(Image.fromarray(tones, "HSV").convert("RGB")), sprite[..., 3]])
