"""The segmenter of noise learning: a small two-class DeepLab, trained anew for each fold of each class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.labels import IGNORE
from aligndiff_cli.method.augmentation import augment
from aligndiff_cli.method.consensus import Image, Mask, SoftMap
from aligndiff_cli.method.noise_learning import Predict
from aligndiff_cli.method.schedules import poly
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.fit import fit
from aligndiff_cli.models.semantic.base_training import MOMENTUM, WEIGHT_DECAY
from aligndiff_cli.models.semantic.batches import LabelledImage, batches
from aligndiff_cli.models.semantic.deeplab import Architecture, DeepLab
from aligndiff_cli.models.semantic.load import build_deeplab
from aligndiff_cli.models.training_state import check_learnt

ARCHITECTURE = Architecture(output_stride=8, rates=(2, 4, 6), width=64)
SCALES = (1.0, 1.5)


@dataclass(frozen=True)
class NoiseSettings:
    """How each segmenter is trained: SGD with momentum 0.9, weight decay 1e-4 and a polynomial schedule.

    Attributes:
        steps: optimization steps.
        batch: images per step.
        learning_rate: at the first step.
    """

    steps: int = 60
    batch: int = 8
    learning_rate: float = 0.02


class NoiseLearner:
    """Trains segmenters for one class, at the size the images have.

    Args:
        backbone: folder or hub id of a ResNet in transformers' layout; None for the bundled one.
        settings: of each training.
        device: where it runs.
        seed: with the name of a training, decides everything random about it.
        advance: called with the number of steps taken.
    """

    def __init__(
        self,
        backbone: str | Path | None,
        settings: NoiseSettings,
        device: torch.device,
        seed: int,
        advance: Callable[[int], None],
    ) -> None:
        self._backbone = backbone
        self._settings = settings
        self._device = device
        self._seed = seed
        self._advance = advance

    def learn(self, images: Sequence[Image], masks: Sequence[Mask], chosen: Sequence[int], name: str) -> Predict:
        """Train on the chosen pairs; see ``method.noise_learning.Learner``."""
        seed = item_seed(self._seed, name)
        model = build_deeplab(self._backbone, ARCHITECTURE, 2, self._device, seed).train()
        settings = self._settings
        optimizer = torch.optim.SGD(model.parameters(), settings.learning_rate, MOMENTUM, weight_decay=WEIGHT_DECAY)
        height, width = masks[chosen[0]].shape

        def draw(rng: np.random.Generator) -> LabelledImage:
            index = chosen[int(rng.integers(len(chosen)))]
            return augment(rng, images[index], masks[index].astype(np.uint8), (height, width), SCALES)

        def loss(_: int, batch: tuple[Tensor, Tensor]) -> Tensor:
            pixels, labels = batch
            return F.cross_entropy(model(pixels), labels, ignore_index=IGNORE)

        drawn = batches(draw, seed, name, range(settings.steps), settings.batch, self._device)
        fit(optimizer, drawn, loss, lambda step: poly(step, settings.steps), lambda *_: self._advance(1))
        check_learnt(model)
        model.eval()
        return lambda some: [foreground(model, image) for image in some]


@torch.no_grad()
def foreground(model: DeepLab, image: Image) -> SoftMap:
    """Probability of class 1 in an image (H, W, 3): float32 (H, W)."""
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
    return model(pixels).softmax(1)[0, 1].cpu().numpy()
