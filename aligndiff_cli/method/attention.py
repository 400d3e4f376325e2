"""From cross-attention to a coarse mask (paper 3.6, after Hertz et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor


def soft_maps(maps: Sequence[Tensor], valid: Tensor, size: tuple[int, int]) -> Tensor:
    """One soft map per image from attention probabilities at several resolutions.

    Each map is resized (bicubic) to the image and divided by its own maximum; then resolutions, and then the
    tokens of the class name, are averaged, as the public release does.

    Args:
        maps: per resolution, (B, K, h, w): attention of each position to each of K class tokens, >= 0.
        valid: (B, K) bool: which of the K tokens the image's class name has; the rest is padding.
        size: (H, W) of the images.

    Returns:
        (B, H, W) float32 in [0, 1]; all zero where there is no attention at all.
    """
    total = torch.zeros(*valid.shape, *size, device=valid.device)
    for a in maps:
        total += scaled_to_maximum(F.interpolate(a.float(), size=size, mode="bicubic", align_corners=False))
    weights = valid.float()[:, :, None, None]
    # Bicubic weights overshoot a little at edges, hence the clamp.
    mean = (total / len(maps) * weights).sum(1) / weights.sum(1).clamp(min=1)
    return mean.clamp(0, 1)


def scaled_to_maximum(a: Tensor) -> Tensor:
    """Each map of (..., H, W), negative overshoot cut off, divided by its maximum; zero stays zero."""
    a = a.clamp(min=0)
    peak = a.amax(dim=(-2, -1), keepdim=True)
    return a / torch.where(peak > 0, peak, torch.ones_like(peak))


def quantise(soft: np.ndarray) -> np.ndarray:
    """A soft map in [0, 1] as 8 bits, as it is stored: 0 -> 0, 1 -> 255, rounded to nearest."""
    return np.asarray(np.rint(np.clip(soft, 0.0, 1.0) * 255.0).astype(np.uint8))
