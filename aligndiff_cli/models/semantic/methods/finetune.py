"""Plain fine-tuning (the paper's FINETUNE rows; D.3)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from aligndiff_cli.method.composition import paste, sample_layout
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.semantic.batches import LabelledImage
from aligndiff_cli.models.semantic.novel import Method
from aligndiff_cli.models.semantic.task import as_cutout, hide_unlearnt


class Finetune(Method):
    """Cross-entropy on the few shots alone, or with synthetic samples.

    Without samples a training picture is one of the few shots; so it is with the layout ``plain``, where the samples
    join them. With ``paste`` it is a base image of a random memory with objects pasted onto it as D.2 says; with
    ``scenes`` it is a ready scene. New classes begin at random: nothing here is taken from the methods compared with,
    but the settings are GAPS's (D.3): batch normalization frozen, no weight decay.
    """

    name = "finetune"

    def begin(self, group: Sequence[int]) -> None:
        super().begin(group)
        rng = np.random.default_rng(self.task.seed)
        self._memory = rng.permutation(len(self.task.base))[: self.settings.memory].tolist()

    def first_weights(self, group: Sequence[int]) -> Tensor:
        """Random rows of the length that the others have."""
        generator = torch.Generator().manual_seed(item_seed(self.task.seed, f"first weights/{len(self.learnt)}"))
        rows = torch.randn(len(group), self.model.head.weight.shape[1], generator=generator)
        return rows / rows.norm(dim=1, keepdim=True) * self.model.head.weight.detach().cpu().norm(dim=1).mean()

    def draw(self, rng: np.random.Generator) -> LabelledImage:
        """A few-shot or synthetic picture, a composed one, or a ready scene."""
        task = self.task
        if task.layout == "scenes":
            ready = task.scenes[int(rng.integers(len(task.scenes)))]
            return self.augmented(rng, hide_unlearnt(ready, task.base_count, self.learnt))
        synthetic = any(novel.inverted or novel.text for novel in task.novel.values())
        if task.layout == "plain" or not synthetic:
            return self.augmented(rng, self.picture(rng, self.current[int(rng.integers(len(self.current)))]))
        # objects come after the crop, so that none is cut away
        image, labels = self.augmented(rng, task.base[self._memory[int(rng.integers(len(self._memory)))]])
        objects = []
        for placement in sample_layout(rng, [(1, 0)] * len(self.learnt), scale_range=self.settings.scale):
            row = self.learnt[placement.class_index]
            objects.append((as_cutout(task.novel[row].draw(rng, task.inverted_share), row), placement))
        scene = paste(image, labels, objects, self.settings.scale_of)
        return scene.image, scene.labels
