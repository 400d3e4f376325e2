"""A coarse mask of a sample that starts from a real picture, whose mask is known (beyond the paper)."""

from __future__ import annotations

import numpy as np

BAND = 8
"""Boxes that a real mask is blurred by go so often into the picture's longer side."""


def both_coarse(soft: np.ndarray, real: np.ndarray, threshold: float, strength: float) -> np.ndarray:
    """A vote of attention and the real mask: each by its margin, attention's weight the root of the strength.

    At strength 0 the picture is the real one, and so is the mask; at 1 little is left of it, and attention decides.
    (Chosen on the pocket model's validation classes, among eleven rules: an intersection, unions, means, products and
    other weights, with ``tests/benchmarks/start_real.py``; others were 2 points better at strength 0.3, and no class
    was held out.)

    Args:
        soft: attention (H, W) in [0, 1].
        real: bool (H, W), in the sample's frame; it votes blurred, so that it is sure far from its edge alone.
        threshold: where attention is cut.
        strength: share of the sampling steps that was run, in [0, 1].

    Returns:
        bool (H, W).
    """
    weight = strength**0.5
    return np.asarray(weight * (soft - threshold) + (1 - weight) * (blurred(real) - 0.5) >= 0)


def blurred(mask: np.ndarray) -> np.ndarray:
    """For each pixel, the share of the box round it (cut at the picture's edge) that a mask covers, float32 (H, W)."""
    import torch
    from torch.nn import functional as F

    side = max(mask.shape) // BAND | 1
    planes = torch.from_numpy(np.ascontiguousarray(mask))[None, None].float()
    return F.avg_pool2d(planes, side, 1, side // 2, count_include_pad=False)[0, 0].numpy()
