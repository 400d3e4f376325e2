"""The standard augmentation of segmentation training: random scale, crop and mirror (Chen et al. 2017; D.3)."""

from __future__ import annotations

import numpy as np
from PIL import Image

from aligndiff_cli.labels import IGNORE

GREY = (128, 128, 128)
"""What is beyond a picture's edge."""
SCALE_RANGE = (0.5, 2.0)
FLIP = 0.5


def augment(
    rng: np.random.Generator,
    image: np.ndarray,
    labels: np.ndarray,
    crop: tuple[int, int],
    scale_range: tuple[float, float] = SCALE_RANGE,
) -> tuple[np.ndarray, np.ndarray]:
    """Scale by a uniform factor, cut out a random window, mirror half of the time.

    Args:
        rng: source of every random choice.
        image: uint8 (H, W, 3).
        labels: uint8 (H, W).
        crop: (height, width) of the window, pixels.
        scale_range: lowest and highest factor, positive.

    Returns:
        image uint8 (*crop, 3) and labels uint8 (*crop); where the window reaches beyond the scaled picture it is grey
        and its labels are 255 (ignored).
    """
    factor = rng.uniform(*scale_range)
    height, width = (max(1, round(side * factor)) for side in labels.shape)
    picture = Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR)
    label_map = Image.fromarray(labels).resize((width, height), Image.Resampling.NEAREST)
    top, left = (_offset(rng, side, wanted) for side, wanted in zip((height, width), crop, strict=True))
    frame, frame_labels = Image.new("RGB", crop[::-1], GREY), Image.new("L", crop[::-1], IGNORE)
    frame.paste(picture, (-left, -top))
    frame_labels.paste(label_map, (-left, -top))
    out, out_labels = np.asarray(frame), np.asarray(frame_labels)
    if rng.random() < FLIP:
        out, out_labels = out[:, ::-1], out_labels[:, ::-1]
    return np.ascontiguousarray(out), np.ascontiguousarray(out_labels)


def _offset(rng: np.random.Generator, side: int, window: int) -> int:
    """Where a window begins along an axis: anywhere it fits, and anywhere around a picture smaller than it."""
    low, high = sorted((0, side - window))
    return int(rng.integers(low, high + 1))
