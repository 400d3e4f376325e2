"""PIFS: prototype-based incremental few-shot segmentation (Cermelli et al. 2021)."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.models.semantic.batch_renorm import renormalise
from aligndiff_cli.models.semantic.batches import Sample
from aligndiff_cli.models.semantic.deeplab import upsample
from aligndiff_cli.models.semantic.novel import Method, NovelSettings
from aligndiff_cli.models.semantic.task import as_sample

DROPS = (0.5, 0.8)
"""Shares of the iterations after which the learning rate falls to a tenth."""


class Pifs(Method):
    """Prototypes as first weights, batch renormalization, and distillation from the prototype-extended old model.

    Only the few shots are seen, no base image. The model before, given the new classes' prototypes as weights, says how
    probable every class is at every position; the new model is kept near that.
    """

    name = "pifs"

    @classmethod
    def defaults(cls) -> NovelSettings:
        """200 iterations at 1e-4, distillation weight 10 (protocol of the authors)."""
        return NovelSettings(backbone_rate=1e-4, classifier_rate=1e-4, distillation=10.0)

    def begin(self, group: Sequence[int]) -> None:
        super().begin(group)
        renormalise(self.model)
        rows = self.model.head.weight[-len(group) :]
        self.previous.head.grow(rows.detach())
        self.previous.head.requires_grad_(False)

    def draw(self, rng: np.random.Generator) -> Sample:
        """A few-shot picture, or a synthetic one where there are any."""
        row = self.current[int(rng.integers(len(self.current)))]
        return as_sample(self.task.novel[row].draw(rng, self.task.inverted_share), row)

    def train_mode(self) -> None:
        """Batch renormalization needs the batch's statistics."""
        self.model.train()

    def rate(self, step: int) -> float:
        """A tenth after each of the drops."""
        return 0.1 ** bisect_right([share * self.settings.iterations for share in DROPS], step)

    def loss(self, features: Tensor, logits: Tensor, labels: Tensor, images: Tensor) -> Tensor:
        """Cross-entropy, and the Kullback-Leibler divergence from the extended old model's probabilities."""
        with torch.no_grad():
            before = upsample(self.previous.head(self.previous.features(images)), labels.shape[-2:]).log_softmax(1)
        now = logits.log_softmax(1)
        divergence = F.kl_div(now, before, reduction="none", log_target=True).sum(1).mean()
        return super().loss(features, logits, labels, images) + self.settings.distillation * divergence
