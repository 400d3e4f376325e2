"""The novel learning stage: classes are learnt one group after another, by any method, in one loop (D.3)."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aligndiff_cli.labels import IGNORE
from aligndiff_cli.method.augmentation import augment
from aligndiff_cli.method.composition import SCALE_RANGE, ScaleOf
from aligndiff_cli.method.imprinting import imprint, masked_mean
from aligndiff_cli.method.schedules import poly
from aligndiff_cli.models.fit import fit
from aligndiff_cli.models.semantic.base_training import MOMENTUM
from aligndiff_cli.models.semantic.batches import LabelledImage, batches, to_tensors
from aligndiff_cli.models.semantic.deeplab import DeepLab, freeze_batchnorm, upsample
from aligndiff_cli.models.semantic.task import Task, hide_unlearnt
from aligndiff_cli.models.training_state import check_learnt


@dataclass(frozen=True)
class NovelSettings:
    """How novel classes are learnt; the values here are the paper's for PASCAL (D.3, after GAPS).

    Attributes:
        iterations, batch: per group of classes.
        backbone_lr, classifier_lr: learning rates of SGD, falling as ``(1 - t) ** 0.9``.
        distillation: weight of what keeps the model near the one before (0.1 on PASCAL, 0.5 on COCO for GAPS).
        crop: (height, width) of training windows in pixels.
        memory: base images kept for replay (paper: 500).
        scale_low, scale_high: range of a pasted object's scale (D.2: 0.1 to 2).
        scale_of: what scale 1 is, see :mod:`aligndiff_cli.method.composition`.
        guided_share: probability that GAPS draws a base image from those most like the few shots' scenes, and not from
            its whole memory (GAPS: 0.9).
    """

    iterations: int = 200
    batch: int = 16
    backbone_lr: float = 1e-3
    classifier_lr: float = 1e-2
    distillation: float = 0.1
    crop: tuple[int, int] = (512, 512)
    memory: int = 500
    scale_low: float = SCALE_RANGE[0]
    scale_high: float = SCALE_RANGE[1]
    scale_of: ScaleOf = "frame"
    guided_share: float = 0.9

    @property
    def scale(self) -> tuple[float, float]:
        """Lowest and highest scale of pasted objects."""
        return self.scale_low, self.scale_high


class Method(ABC):
    """A way to learn novel classes: what it is shown, what it minimises, what a new class begins as.

    Attributes:
        name: as users write it.
        weight_decay: of SGD (GAPS has none in the novel stage).
        settings: of the loop.
        task: what there is to learn from.
        model: changed in place.
        learnt: rows of the novel classes so far, the present group's last.
        current: rows of the present group.
        previous: the model before the present group, frozen.
    """

    name = ""
    weight_decay = 0.0
    previous: DeepLab

    def __init__(self, model: DeepLab, task: Task, settings: NovelSettings) -> None:
        self.model = model
        self.task = task
        self.settings = settings
        self.learnt: list[int] = []
        self.current: list[int] = []

    @classmethod
    def defaults(cls) -> NovelSettings:
        """The settings its authors use, on PASCAL."""
        return NovelSettings()

    def begin(self, group: Sequence[int]) -> None:
        """Take up a group of classes: remember the model as it is, and add a row for each class."""
        self.previous = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.current = list(group)
        self.model.head.grow(self.first_weights(group))
        self.learnt += group

    def first_weights(self, group: Sequence[int]) -> Tensor:
        """What the rows of new classes begin as, (K, D): imprinted from the few shots."""
        return torch.stack([imprinted(self.model, self.task.novel[row].real, row) for row in group])

    @classmethod
    def study(cls, model: DeepLab, base: Sequence[LabelledImage], base_classes: Sequence[Collection[int]]) -> Any:
        """What the method wants to know of the base images, found once for all runs of a fold."""
        return None

    @property
    def earlier(self) -> list[int]:
        """Rows of the novel classes learnt before the present group."""
        return self.learnt[: len(self.learnt) - len(self.current)]

    @property
    def batch(self) -> int:
        """Pictures per iteration."""
        return self.settings.batch

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> LabelledImage:
        """One training sample of the crop's size, augmented."""

    def augmented(self, rng: np.random.Generator, sample: LabelledImage) -> LabelledImage:
        """A sample scaled, cropped and mirrored at random."""
        return augment(rng, *sample, self.settings.crop)

    def picture(self, rng: np.random.Generator, row: int) -> LabelledImage:
        """A picture of one class as it is: a few shot, or a synthetic one where there are any.

        What is known of the rest of it stays: base classes and those learnt before keep their labels. Other novel
        classes, those of the present group too, are ignored (PIFS).
        """
        drawn = self.task.novel[row].draw(rng, self.task.inverted_share)
        return hide_unlearnt(drawn, self.task.base_count, [*self.earlier, row])

    def loss(self, features: Tensor, logits: Tensor, labels: Tensor, images: Tensor) -> Tensor:
        """What is minimised: cross-entropy over the pixels that are not ignored; 0 where all are.

        Args:
            features: (N, D, h, w).
            logits: (N, classes, H, W).
            labels: (N, H, W), 255 ignored.
            images: uint8 (N, 3, H, W), for methods that ask the model before.
        """
        # a batch of one crop may lie beyond its picture altogether, and a mean over no pixel is no number
        total = F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum")
        return total / (labels != IGNORE).sum().clamp(min=1)

    def train_mode(self) -> None:
        """Set the model's mode before training; batch normalization is frozen, its weights too (GAPS)."""
        self.model.train()
        freeze_batchnorm(self.model)

    def rate(self, step: int) -> float:
        """Factor of the learning rates at a step of the present group."""
        return poly(step, self.settings.iterations)


def learn(
    method: Method, groups: Sequence[Sequence[int]], advance: Callable[[int], None]
) -> Iterator[tuple[int, Sequence[int]]]:
    """Learn group after group; after each, hand over for evaluation.

    Args:
        groups: rows of the novel classes: one class a group (PASCAL's protocol), or several (COCO's).
        advance: called with the number of iterations done.

    Yields:
        Number of the group from 0, and the rows learnt so far; the method's model is in eval mode then.
    """
    for number, group in enumerate(groups):
        method.begin(group)
        if method.settings.iterations:
            _train(method, number, advance)
        method.model.eval()
        yield number, tuple(method.learnt)


def _train(method: Method, number: int, advance: Callable[[int], None]) -> None:
    s, model = method.settings, method.model
    method.train_mode()
    learning = [(name, parameter) for name, parameter in model.named_parameters() if parameter.requires_grad]
    body = [parameter for name, parameter in learning if not name.startswith("head.")]
    groups = [{"params": body, "lr": s.backbone_lr}, {"params": model.head.parameters(), "lr": s.classifier_lr}]
    optimizer = torch.optim.SGD(groups, momentum=MOMENTUM, weight_decay=method.weight_decay)
    steps, device = range(s.iterations), model.mean.device
    drawn = batches(method.draw, method.task.seed, f"novel/{number}", steps, method.batch, device)

    def loss(_: int, batch: tuple[Tensor, Tensor]) -> Tensor:
        images, labels = batch
        features = model.features(images)
        return method.loss(features, upsample(model.head(features), labels.shape[-2:]), labels, images)

    fit(optimizer, drawn, loss, method.rate, lambda *_: advance(1))
    check_learnt(model)


def imprinted(model: DeepLab, samples: Sequence[LabelledImage], row: int) -> Tensor:
    """The weight (D,) of a class from its few shots, with the model as it is now (Qi et al. 2018; GAPS)."""
    return imprint(shot_means(model, samples, row))


@torch.no_grad()
def shot_means(model: DeepLab, samples: Sequence[LabelledImage], row: int) -> Tensor:
    """The masked mean of each shot's features (N, D), with the model as it is now."""
    was_training = model.training
    model.eval()
    means = []
    for sample in samples:
        images, labels = to_tensors([sample])
        features = model.features(images)
        inside = F.interpolate((labels == row)[:, None].float(), features.shape[-2:], mode="area")[:, 0]
        means.append(masked_mean(features, inside.to(features.device))[0])
    model.train(was_training)
    return torch.stack(means)


@torch.no_grad()
def predict(model: nn.Module, images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Rows of the classifier (H, W), uint8, for images of one size, each uint8 (H, W, 3), in a single pass."""
    pixels = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
    return list(model(pixels).argmax(1).to(torch.uint8).cpu().numpy())
