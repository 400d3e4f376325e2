"""The simplest few-shot segmenter: one masked-average prototype per side, nearest by cosine."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.models.segmenters.base import Conditioned, PrototypeBased

TEMPERATURE = 10.0


class PrototypeSegmenter(PrototypeBased):
    """Foreground and background prototypes, averaged over shots; softmax over their cosines."""

    name = "prototype"

    def look(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.backbone.maps(pixels, self.backbone.matched[:1]))

    def score(self, state: Conditioned, parts: Sequence[Tensor], sides: tuple[int, int]) -> Tensor:
        both = torch.stack(state.parts)
        cosines = torch.einsum("nchw,kc->nkhw", F.normalize(self.features(parts), dim=1), F.normalize(both, dim=1))
        return (TEMPERATURE * cosines).softmax(1)[:, 0]
