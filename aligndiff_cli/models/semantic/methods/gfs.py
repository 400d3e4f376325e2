"""GFS (CAPL): prototype registration with base context enrichment, nothing fine-tuned (Tian et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.labels import IGNORE
from aligndiff_cli.models.semantic.batches import LabelledImage, to_tensors
from aligndiff_cli.models.semantic.novel import Method, NovelSettings

ENRICHMENT = 0.5
"""Share of a base class's weight that stays its own."""


class Gfs(Method):
    """New classes are the mean features of their few shots; base classes seen beside them are moved towards theirs.

    Base weights, the background's too, are enriched once, before the first step, from the weights of the base stage:
    each is mixed with its mean features in the few shots of every novel class, where a class that does not show it
    counts as its own weight. Every step after that only adds prototypes.

    Otherwise than in the authors' code: they learn the share that stays of a base weight in an episodic base stage,
    and enrich once more from each query; here it is one half, and queries are left alone. They average features as
    they are, here by their direction, as the classifier sees them. Where a base class is in a few shot is told by its
    label map, and without one by the base model's own prediction.
    """

    name = "gfs"

    @classmethod
    def defaults(cls) -> NovelSettings:
        """Nothing is trained."""
        return replace(NovelSettings(), iterations=0)

    def begin(self, group: Sequence[int]) -> None:
        super().begin(group)
        if not self.earlier:
            self.enrich()

    @torch.no_grad()
    def enrich(self) -> None:
        """Mix the weights of background and base classes with what all few shots show of them."""
        own = F.normalize(self.previous.head.weight, dim=1)
        contexts = torch.stack([self._context(own, novel.real) for novel in self.task.novel.values()])
        mixed = ENRICHMENT * own + (1 - ENRICHMENT) * F.normalize(contexts.mean(0), dim=1)
        self.model.head.weight[: len(own)] = mixed

    def _context(self, own: Tensor, shots: Sequence[LabelledImage]) -> Tensor:
        """Direction of each base class's features in the few shots of one novel class; its weight where there are none.

        Args:
            own: (B, D), the weights at length 1, background first.

        Returns:
            (B, D), at length 1.
        """
        features, found = zip(*(self._seen(sample) for sample in shots), strict=True)
        directions, rows = torch.cat(features), torch.cat(found)
        context = own.clone()
        for row in sorted({*rows.tolist()} & {*range(len(own))}):
            context[row] = F.normalize(directions[rows == row].mean(0), dim=0)
        return context

    def _seen(self, sample: LabelledImage) -> tuple[Tensor, Tensor]:
        """Directions (P, D) of a picture's positions, and the row (P,) that each shows; 255 where that is not known."""
        images, labels = to_tensors([sample])
        features = self.previous.features(images)
        size = features.shape[-2:]
        if self.task.labelled:
            rows = F.interpolate(labels[:, None].float(), size, mode="nearest-exact")[:, 0].long().to(features.device)
        else:
            around = F.interpolate((labels == 0)[:, None].float(), size, mode="area")[:, 0].to(features.device)
            rows = torch.where(around == 1, self.previous.head(features).argmax(1), IGNORE)
        return F.normalize(features, dim=1).permute(0, 2, 3, 1).flatten(0, 2), rows.flatten()

    def draw(self, rng: np.random.Generator) -> LabelledImage:
        """Never called: nothing is trained."""
        raise NotImplementedError
