"""GFS (CAPL): prototype registration with base context enrichment, nothing fine-tuned (Tian et al. 2022)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional as F

from aligndiff_cli.models.semantic.batches import Sample, to_tensors
from aligndiff_cli.models.semantic.novel import Method, NovelSettings
from aligndiff_cli.models.semantic.task import as_sample

ENRICHMENT = 0.5
"""Share of a base class's weight that stays its own where a support picture shows the class as well."""


class Gfs(Method):
    """New classes are the mean features of their few shots; base classes seen beside them are moved towards theirs.

    The authors learn the share that stays of a base weight in an episodic base stage and enrich once more from each
    query; here it is one half, and queries are left alone. Support pictures have no base labels (protocol), so where
    a base class is in them is the model's own prediction.
    """

    name = "gfs"

    @classmethod
    def defaults(cls) -> NovelSettings:
        """Nothing is trained."""
        return replace(NovelSettings(), iterations=0)

    def begin(self, group: Sequence[int]) -> None:
        super().begin(group)
        self.enrich(group)

    @torch.no_grad()
    def enrich(self, group: Sequence[int]) -> None:
        """Move the weights of base classes that the group's few shots show."""
        seen: dict[int, list[torch.Tensor]] = {}
        for row in group:
            for pair in self.task.novel[row].real:
                images, labels = to_tensors([as_sample(pair, row)])
                features = self.previous.features(images)
                found = self.previous.head(features).argmax(1)
                shown = F.interpolate((labels == row)[:, None].float(), features.shape[-2:], mode="area")[:, 0] > 0
                found[shown.to(found.device)] = 0
                for base in set(found.unique().tolist()) & set(range(1, self.task.base_count + 1)):
                    own = F.normalize(features, dim=1).permute(0, 2, 3, 1)[found == base]
                    seen.setdefault(base, []).append(own.mean(0))
        weight = self.model.head.weight
        for base, means in seen.items():
            kept = F.normalize(weight[base], dim=0)
            weight[base] = ENRICHMENT * kept + (1 - ENRICHMENT) * F.normalize(torch.stack(means).mean(0), dim=0)

    def draw(self, rng: np.random.Generator) -> Sample:
        """Never called: nothing is trained."""
        raise NotImplementedError
