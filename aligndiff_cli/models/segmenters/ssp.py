"""Self-support matching (SSP; Fan et al. 2022): the query's own confident pixels become its prototypes.

Training-free on a given backbone. The matching, both passes of it, is that of the published network, which fine-tunes
its backbone and reads stage 3 (``ssp_published.py``); on ImageNet's weights left as they are, stages 3 and 4 together
match better.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.models.segmenters.backbone import Features
from aligndiff_cli.models.segmenters.base import Conditioned, PrototypeBased

ATTENDING = 2048
"""Positions whose background prototypes are made at once: every position looks at every other."""


@dataclass(frozen=True)
class SspSettings:
    """Constants of the matching; the defaults are the published ones.

    Attributes:
        stages: whose last blocks are compared (1-based). Each is scaled to unit
            length and brought to the resolution of the first.
        temperature: what cosines are multiplied by before the softmax.
        sure_foreground, sure_background: probability above which a query pixel supports its side.
        fallback: how many of the most probable pixels do so where none is sure.
        refine: whether the second pass is made, with 0.5 support + 0.2 first pass + 0.3 own prototypes, and mixed
            0.7 : 0.3 with the first. The authors' checkpoints called "baseline" are made without it.
    """

    stages: tuple[int, ...] = (3,)
    temperature: float = 10.0
    sure_foreground: float = 0.7
    sure_background: float = 0.6
    fallback: int = 12
    refine: bool = True


def match(query: Tensor, foreground: Tensor, background: Tensor, settings: SspSettings) -> Tensor:
    """Two passes of self-support matching.

    Args:
        query: features (N, C, h, w).
        foreground, background: support prototypes (N, C, 1, 1).

    Returns:
        Logits (N, 2, h, w): background, foreground.
    """
    logits = similarity(query, foreground, background, settings.temperature)
    first_fg, first_bg = mixed_prototypes(query, foreground, logits, settings)
    first = similarity(query, first_fg, first_bg, settings.temperature)
    if not settings.refine:
        return first
    own_fg, own_bg = mixed_prototypes(query, foreground, first, settings)
    second_fg = 0.5 * foreground + 0.2 * first_fg + 0.3 * own_fg
    second_bg = 0.5 * background + 0.2 * first_bg + 0.3 * own_bg
    second = similarity(query, second_fg, second_bg, settings.temperature)
    return 0.7 * second + 0.3 * first


def similarity(query: Tensor, foreground: Tensor, background: Tensor, temperature: float) -> Tensor:
    """Cosines of (N, C, h, w) with two prototypes, each (N, C, 1, 1) or (N, C, h, w), as logits."""
    sides = [F.cosine_similarity(query, side, dim=1) for side in (background, foreground)]
    return temperature * torch.stack(sides, dim=1)


def mixed_prototypes(query: Tensor, foreground: Tensor, logits: Tensor, settings: SspSettings) -> tuple[Tensor, Tensor]:
    """Foreground 0.5 support + 0.5 self (N, C, 1, 1); background 0.3 global + 0.7 local (N, C, h, w)."""
    probability = logits.softmax(1).flatten(2)
    flat = query.flatten(2)
    sure_fg = confident(probability[:, 1], settings.sure_foreground, settings.fallback)
    sure_bg = confident(probability[:, 0], settings.sure_background, settings.fallback)
    own_fg = _mean_of(flat, sure_fg)[..., None]
    own_bg = _mean_of(flat, sure_bg)[..., None]
    local_bg = local_background(flat, sure_bg).view_as(query)
    return 0.5 * foreground + 0.5 * own_fg, 0.3 * own_bg + 0.7 * local_bg


def confident(probability: Tensor, threshold: float, fallback: int) -> Tensor:
    """Which of (N, P) pixels exceed the threshold; where none does, the `fallback` most probable."""
    sure = probability > threshold
    top = probability.topk(min(fallback, probability.shape[1]), dim=1).indices
    instead = torch.zeros_like(sure).scatter_(1, top, True)
    return torch.where(sure.any(1, keepdim=True), sure, instead)


def local_background(flat: Tensor, sure: Tensor) -> Tensor:
    """Background prototype of each pixel: attention over the sure background pixels.

    Args:
        flat: query features (N, C, P).
        sure: bool (N, P), at least one true per row.

    Returns:
        (N, C, P).
    """
    unit = F.normalize(flat, dim=1)
    found = []
    for some in unit.split(ATTENDING, dim=2):
        weights = 2.0 * torch.einsum("ncp,ncq->npq", some, unit)
        weights = weights.masked_fill(~sure[:, None, :], float("-inf")).softmax(2)
        found.append(torch.einsum("npq,ncq->ncp", weights, flat))
    return torch.cat(found, dim=2)


def _mean_of(flat: Tensor, sure: Tensor) -> Tensor:
    weights = sure.to(flat.dtype)[:, None]
    return (flat * weights).sum(2, keepdim=True) / weights.sum(2, keepdim=True)


class SspSegmenter(PrototypeBased):
    """SSP on the last blocks of some stages; prototypes are averaged over shots."""

    name = "ssp"

    def __init__(
        self, backbone: Features, size: int | None, settings: SspSettings | None = None, *, batch: int = 8
    ) -> None:
        super().__init__(backbone, size, batch=batch)
        self.settings = settings or SspSettings()
        self.fingerprint += f"-{hashlib.sha256(repr(self.settings).encode()).hexdigest()[:8]}"

    def look(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.backbone.maps(pixels, self.settings.stages))

    def features(self, parts: Sequence[Tensor]) -> Tensor:
        return joined(parts)

    def logits(self, state: Conditioned, parts: Sequence[Tensor]) -> Tensor:
        """Background and foreground (N, 2, h, w) at the features' resolution."""
        foreground, background = (part[None, :, None, None] for part in state.parts)
        return match(*reduced(self.features(parts), foreground, background), self.settings)

    def score(self, state: Conditioned, parts: Sequence[Tensor], sides: tuple[int, int]) -> Tensor:
        return self.logits(state, parts).softmax(1)[:, 1]


def reduced(query: Tensor, foreground: Tensor, background: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """What ``match`` takes, in fewer dimensions where there are fewer vectors than channels.

    Matching takes nothing from vectors but weighted sums and cosines, so any orthonormal basis of their span will do.
    On a GPU finding one takes longer than it saves.

    Args:
        query: (N, C, h, w).
        foreground, background: (1, C, 1, 1).

    Returns:
        The same three, or (N, D, h, w) and (N, D, 1, 1) with D = h w + 2.
    """
    count, channels, height, width = query.shape
    if query.device.type != "cpu" or height * width + 2 >= channels:
        return query, foreground, background
    sides = [side.expand(count, -1, -1, -1).flatten(2) for side in (foreground, background)]
    vectors = torch.linalg.qr(torch.cat([query.flatten(2), *sides], 2), mode="r").R
    return vectors[..., :-2].unflatten(2, (height, width)), vectors[..., -2:-1, None], vectors[..., -1:, None]


def joined(maps: Sequence[Tensor]) -> Tensor:
    """Feature maps (N, C_i, h_i, w_i) -> unit vectors side by side, (N, sum C_i, h_0, w_0)."""
    shape = maps[0].shape[-2:]
    units = [F.normalize(features, dim=1) for features in maps]
    same = [F.interpolate(unit, shape, mode="bilinear", align_corners=False) for unit in units]
    return torch.cat(same, dim=1)
