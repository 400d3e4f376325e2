"""The cosine classifier of generalized few-shot segmentation (PIFS, GAPS; paper D.3)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SCALE = 10.0


class CosineHead(nn.Module):
    """Logits are ``SCALE`` times the cosine of each position's features and each class's weight; no bias.

    Args:
        width: D, channels of the features.
        classes: rows of the weight, background (row 0) among them.
    """

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(classes, width) / width**0.5)

    def forward(self, features: Tensor) -> Tensor:
        """(N, D, h, w) -> logits (N, classes, h, w) in [-SCALE, SCALE]."""
        weight = F.normalize(self.weight, dim=1)
        return SCALE * torch.einsum("ndhw,cd->nchw", F.normalize(features, dim=1), weight)

    @torch.no_grad()
    def grow(self, rows: Tensor) -> None:
        """Add classes with these weights (K, D); the order of classes is the order in which they were learnt."""
        self.weight = nn.Parameter(torch.cat([self.weight, rows.to(self.weight)]))
