"""PIFS: prototype-based incremental few-shot segmentation (Cermelli et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.method.imprinting import imprint
from aligndiff_cli.models.semantic.base_training import WEIGHT_DECAY
from aligndiff_cli.models.semantic.batch_renorm import renormalise
from aligndiff_cli.models.semantic.batches import LabelledImage
from aligndiff_cli.models.semantic.deeplab import upsample
from aligndiff_cli.models.semantic.novel import Method, NovelSettings, shot_means


class Pifs(Method):
    """Prototypes as first weights, batch renormalization, and distillation from the prototype-extended old model.

    Only the few shots are seen, no base image; what they show of classes already learnt keeps its label. The model
    before, given the new classes' prototypes as weights, says how probable every class is at every position; the new
    model is kept near that.

    Otherwise than in the authors' code: prototypes are averaged at the features' resolution, with the share of each
    position that the object covers, where they enlarge the features; every picture of a batch is drawn for itself, so
    one may come twice; and the network is the one of the other methods.
    """

    name = "pifs"
    weight_decay = WEIGHT_DECAY

    @classmethod
    def defaults(cls) -> NovelSettings:
        """200 iterations at 1e-4, batches of at most 10, distillation weight 10 (the authors' steps of one class)."""
        return NovelSettings(batch=10, backbone_lr=1e-4, classifier_lr=1e-4, distillation=10.0)

    @property
    def batch(self) -> int:
        """No more pictures than there are."""
        return min(self.settings.batch, sum(len(self.task.novel[row]) for row in self.current))

    def first_weights(self, group: Sequence[int]) -> Tensor:
        """Imprinted, each shot's prototype of length 1 before they are averaged."""
        shots = [shot_means(self.model, self.task.novel[row].real, row) for row in group]
        return torch.stack([imprint(F.normalize(means, dim=1)) for means in shots])

    def begin(self, group: Sequence[int]) -> None:
        super().begin(group)
        renormalise(self.model)
        rows = self.model.head.weight[-len(group) :]
        self.previous.head.grow(rows.detach())
        self.previous.head.requires_grad_(False)

    def draw(self, rng: np.random.Generator) -> LabelledImage:
        """A few-shot picture, or a synthetic one where there are any."""
        return self.augmented(rng, self.picture(rng, self.current[int(rng.integers(len(self.current)))]))

    def train_mode(self) -> None:
        """Batch renormalization needs the batch's statistics."""
        self.model.train()

    def loss(self, features: Tensor, logits: Tensor, labels: Tensor, images: Tensor) -> Tensor:
        """Cross-entropy, and the divergence from the extended old model's probabilities, averaged over classes.

        The mean over classes, not their sum, is what the authors' weight of 10 is for.
        """
        with torch.no_grad():
            before = upsample(self.previous.head(self.previous.features(images)), labels.shape[-2:]).log_softmax(1)
        divergence = F.kl_div(logits.log_softmax(1), before, reduction="none", log_target=True).mean()
        return super().loss(features, logits, labels, images) + self.settings.distillation * divergence
