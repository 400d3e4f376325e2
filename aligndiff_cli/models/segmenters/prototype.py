"""The simplest few-shot segmenter: one masked-average prototype per side, nearest by cosine."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.models.segmenters.base import Conditioned, PrototypeBased

TEMPERATURE = 10.0


class PrototypeSegmenter(PrototypeBased):
    """Foreground and background prototypes, averaged over shots; softmax over their cosines."""

    name = "prototype"

    def features(self, pixels: Tensor) -> Tensor:
        return self.backbone.maps(pixels, self.backbone.matched[:1])[0]

    def score(self, state: Conditioned, pixels: Tensor) -> Tensor:
        both = torch.stack(state.parts)
        cosines = torch.einsum("nchw,kc->nkhw", F.normalize(self.features(pixels), dim=1), F.normalize(both, dim=1))
        return (TEMPERATURE * cosines).softmax(1)[:, 0]
