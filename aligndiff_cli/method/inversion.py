"""Normalized masked textual inversion: the loss of Eq. 3 (paper 3.4) and what it is measured on."""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

LossKind = Literal["normalized", "plain", "foreground"]
MaskMode = Literal["nearest-exact", "nearest", "area"]


class MaskedLoss(NamedTuple):
    """Per sample, each (B,): the loss of the chosen kind, and the mean error over either side of the mask."""

    total: Tensor
    foreground: Tensor
    background: Tensor


def latent_mask(
    mask: Tensor, size: tuple[int, int], *, mode: MaskMode = "nearest-exact", threshold: float = 0.3
) -> Tensor:
    """Which latent positions are foreground.

    Args:
        mask: (B, H, W) bool, or soft in [0, 1], at any resolution.
        size: (h, w) of the latents.
        mode: ``"nearest-exact"`` looks at one pixel, at a position's centre; ``"nearest"`` at the one in its corner
            (the public release), half a position off; ``"area"`` at the share of foreground among all its pixels, which
            keeps thin parts.
        threshold: a position is foreground above this.

    Returns:
        (B, h, w) bool.
    """
    return F.interpolate(mask.float()[:, None], size, mode=mode)[:, 0] > threshold


def masked_mse(kind: LossKind, error: Tensor, mask: Tensor, background_weight: float) -> MaskedLoss:
    """Squared error of each sample, weighed by its own mask.

    ``normalized`` is Eq. 3: the mean over the foreground plus lambda times the mean over the background, so
    that a small object counts as much as a large one. ``plain`` is the mean over all positions (vanilla
    textual inversion, Eq. 2); ``foreground`` leaves the background out. A side without positions counts 0.

    Args:
        error: (B, C, h, w) prediction minus target; its square is averaged over C.
        mask: (B, h, w) bool.
        background_weight: lambda of Eq. 3.
    """
    squared = error.square().mean(1)
    y = mask.to(squared.dtype)
    foreground = _mean_where(squared, y)
    background = _mean_where(squared, 1 - y)
    if kind == "normalized":
        total = foreground + background_weight * background
    elif kind == "plain":
        total = squared.mean((1, 2))
    else:
        total = foreground
    return MaskedLoss(total, foreground, background)


def _mean_where(values: Tensor, weights: Tensor) -> Tensor:
    return (values * weights).sum((1, 2)) / weights.sum((1, 2)).clamp(min=1)


def spread_vectors(word: Tensor, vectors: int, generator: torch.Generator) -> Tensor:
    """Starting point of v* from the token embeddings of a word.

    One vector is the mean over the word's tokens. Further vectors are that mean with noise of a tenth of its
    root mean square: equal vectors would receive nearly equal gradients and stay alike.

    Args:
        word: (tokens, dim).

    Returns:
        (vectors, dim) float32.
    """
    mean = word.float().mean(0).cpu()
    start = mean.repeat(vectors, 1)
    if vectors > 1:
        noise = torch.randn((vectors - 1, len(mean)), generator=generator)
        start[1:] += 0.1 * mean.square().mean().sqrt() * noise
    return start
