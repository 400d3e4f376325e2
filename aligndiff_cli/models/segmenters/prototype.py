"""The simplest few-shot segmenter: one masked-average prototype per side, nearest by cosine."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.models.segmenters.base import Conditioned, FeatureSegmenter, masked_average, pool_mask

TEMPERATURE = 10.0


class PrototypeSegmenter(FeatureSegmenter):
    """Foreground and background prototypes, averaged over shots; softmax over their cosines."""

    name = "prototype"

    def encode(self, pixels: Tensor, masks: Tensor) -> tuple[Tensor, ...]:
        features = self._features(pixels)
        inside = pool_mask(masks, (features.shape[2], features.shape[3]))
        return masked_average(features, inside), masked_average(features, 1.0 - inside)

    def score(self, state: Conditioned, pixels: Tensor) -> Tensor:
        features = self._features(pixels)
        both = torch.stack([part.mean(0) for part in state.parts])
        cosines = torch.einsum("nchw,kc->nkhw", F.normalize(features, dim=1), F.normalize(both, dim=1))
        return (TEMPERATURE * cosines).softmax(1)[:, 0]

    def _features(self, pixels: Tensor) -> Tensor:
        return self.backbone.maps(pixels, self.backbone.matched[:1])[0]
