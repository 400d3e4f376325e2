"""From cross-attention to a coarse mask (paper 3.6, after Hertz et al. 2022)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:  # thresholds and names are read where torch is not needed
    from torch import Tensor

Tokens = Literal["class", "onward"]
Scaling = Literal["maximum", "range"]
CoarseCut = Literal["at-least", "above"]
CUTS: tuple[CoarseCut, ...] = ("at-least", "above")


def token_groups(class_tokens: Sequence[int], length: int, tokens: Tokens) -> list[list[int]]:
    """Which tokens' attention is read, in groups whose attention is added up.

    ``"class"``: each token of the class name on its own, as the public release does. ``"onward"``: the class
    name and all that follows it, end and padding, as one. In a causal text encoder only these know the class,
    and nothing in training says which of them the denoiser reads it from; a small model need not choose the
    name itself.

    Args:
        class_tokens: positions that name the object, in order: the class name's, and v*'s where it counts.
        length: of the token sequence.
    """
    if tokens == "onward":
        return [list(range(class_tokens[0], length))]
    return [[position] for position in class_tokens]


def soft_maps(maps: Sequence[Tensor], valid: Tensor, size: tuple[int, int], scaling: Scaling = "maximum") -> Tensor:
    """One soft map per image from attention probabilities at several resolutions.

    Each map is resized (bicubic) to the image and scaled; then resolutions, and then token groups, are
    averaged, as the public release does.

    Args:
        maps: per resolution, (B, K, h, w): attention of each position to each of K token groups, >= 0.
        valid: (B, K) bool: which of the K groups the image has; the rest is padding.
        size: (H, W) of the images.
        scaling: ``"maximum"`` divides a map by its maximum (the public release); ``"range"`` also takes its
            minimum off first, for attention that is high everywhere and higher on the object.

    Returns:
        (B, H, W) float32 in [0, 1]; all zero where there is no attention at all.
    """
    import torch
    from torch.nn import functional as F

    total = torch.zeros(*valid.shape, *size, device=valid.device)
    for a in maps:
        total += scaled(F.interpolate(a.float(), size=size, mode="bicubic", align_corners=False), scaling)
    weights = valid.float()[:, :, None, None]
    mean = (total / len(maps) * weights).sum(1) / weights.sum(1).clamp(min=1)
    return mean.clamp(0, 1)


def scaled(a: Tensor, scaling: Scaling) -> Tensor:
    """Each map of (..., H, W) brought into [0, 1]; a map of zeros stays so."""
    import torch

    a = a.clamp(min=0)  # bicubic weights undershoot a little at edges
    if scaling == "range":
        a = a - a.amin(dim=(-2, -1), keepdim=True)
    peak = a.amax(dim=(-2, -1), keepdim=True)
    return a / torch.where(peak > 0, peak, torch.ones_like(peak))


def coarse_threshold(threshold: float, cut: CoarseCut) -> float:
    """From where a stored 8-bit soft map, in [0, 1], is foreground.

    ``"at-least"``: at the threshold. ``"above"``: from the first grey level above that of the threshold, as the public
    release does (which truncates levels when it stores them, where they are rounded here: half a level at most).
    """
    return threshold if cut == "at-least" else (math.floor(threshold * 255) + 0.5) / 255


def quantise(soft: np.ndarray) -> np.ndarray:
    """A soft map in [0, 1] as 8 bits, as it is stored: 0 -> 0, 1 -> 255, rounded to nearest."""
    return np.asarray(np.rint(np.clip(soft, 0.0, 1.0) * 255.0).astype(np.uint8))
