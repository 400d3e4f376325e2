"""GAPS: guided copy-paste, memory replay, distillation and imprinting (Qiu et al. 2023)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.method.composition import Cutout, ScaleOf, copy_pixels, resize_cutout, unit_scale
from aligndiff_cli.method.gaps import clamped_scale, diverse_memory, memory_scores, most_similar, paste_probability
from aligndiff_cli.method.imprinting import masked_mean
from aligndiff_cli.models.semantic.batches import LabelledImage, to_tensors
from aligndiff_cli.models.semantic.deeplab import DeepLab
from aligndiff_cli.models.semantic.novel import Method
from aligndiff_cli.models.semantic.task import as_cutout, hide_unlearnt

PASTED = 2
"""Objects of other novel classes, if any are pasted, and of the present class, if any are."""
FLIP = 0.5


@dataclass(frozen=True)
class Study:
    """What the base model sees in the base images.

    Attributes:
        scores: class -> (index of an image that shows it, its score for the class).
        scenes: mean of the ResNet's last map of every image, float (M, C).
    """

    scores: Mapping[int, Sequence[tuple[int, float]]]
    scenes: np.ndarray


class Gaps(Method):
    """A diverse memory of base images is replayed, with novel objects pasted where similar scenes are.

    Synthetic samples are candidates for pasting, beside the few shots (paper D.3). With the layout ``plain`` a training
    picture is, half of the time each, a memory image or an object-centric picture as it is.

    Otherwise than in the authors' code: a scale of 1 is the object's picture fitted into the training window, unless
    ``scale_of`` says pixels; an object's edge is resampled with its alpha; the memory counts for the probability of
    pasting as large as it is where there are fewer base images than it may hold; batches are of 16 (AlignDiff's D.3),
    theirs of 10.
    """

    name = "gaps"

    @classmethod
    def study(cls, model: DeepLab, base: Sequence[LabelledImage], base_classes: Sequence[Collection[int]]) -> Study:
        """Scores and scenes of the base images, seen by the base model."""
        return study_base(model.eval(), base, base_classes)

    def begin(self, group: Sequence[int]) -> None:
        super().begin(group)
        study: Study = self.task.study
        memory = diverse_memory(study.scores, np.random.default_rng(self.task.seed), self.settings.memory)
        scenes = study.scenes[memory]
        self._memory = memory
        self._similar = {}
        for row in group:
            queries = [scene_of(self.previous, image) for image, _ in self.task.novel[row].real]
            self._similar[row] = sorted({memory[i] for query in queries for i in most_similar(query, scenes)})
        classes = self.task.base_count + len(self.learnt)
        shots = max(len(self.task.novel[row].real) for row in group)
        self._probability = paste_probability(classes, shots, max(1, len(memory)))

    def draw(self, rng: np.random.Generator) -> LabelledImage:
        """A memory image, augmented, with other-novel and present objects pasted onto it."""
        task = self.task
        if task.layout == "scenes":
            scene = task.scenes[int(rng.integers(len(task.scenes)))]
            return self.augmented(rng, hide_unlearnt(scene, task.base_count, self.learnt))
        row = self.current[int(rng.integers(len(self.current)))]
        if task.layout == "plain" and rng.random() < 0.5:
            return self.augmented(rng, self.picture(rng, row))
        pool = self._similar[row] if rng.random() < self.settings.guided_share else self._memory
        image, labels = self.augmented(rng, task.base[pool[int(rng.integers(len(pool)))]])
        if task.layout == "plain":
            return image, labels
        # objects come after the crop, so that none is cut away
        image, labels = image.copy(), labels.copy()
        for pasted in self._pasted(rng, row):
            cutout = as_cutout(task.novel[pasted].draw(rng, task.inverted_share), pasted)
            paste_clamped(rng, image, labels, cutout, self.settings.scale, self.settings.scale_of)
        return image, labels

    def _pasted(self, rng: np.random.Generator, row: int) -> Iterator[int]:
        """Classes of the objects to paste, other novel ones first so that they do not cover the present ones.

        One coin decides on the objects of other classes together, one on those of the present class.
        """
        others = [other for other in self.learnt if other != row]
        if others and rng.random() < self._probability:
            for _ in range(PASTED):
                yield others[int(rng.integers(len(others)))]
        if rng.random() < self._probability:
            yield from [row] * PASTED

    def loss(self, features: Tensor, logits: Tensor, labels: Tensor, images: Tensor) -> Tensor:
        """Cross-entropy, and the mean squared distance to the features of the model before."""
        loss = super().loss(features, logits, labels, images)
        if not self.settings.distillation:
            return loss
        with torch.no_grad():
            before = self.previous.features(images)
        return loss + self.settings.distillation * F.mse_loss(features, before)


@torch.no_grad()
def study_base(model: DeepLab, base: Sequence[LabelledImage], classes_of: Sequence[Collection[int]]) -> Study:
    """How well each base image stands for each class it shows, and what its scene looks like.

    The score is the cosine of the image's class feature and the class's weight over the share of pixels it covers.
    """
    scores: dict[int, list[tuple[int, float]]] = {}
    scenes = []
    weight = F.normalize(model.head.weight, dim=1)
    for index, sample in enumerate(base):
        images, labels = to_tensors([sample])
        encoded = model.encode(images)
        scenes.append(encoded.mean((2, 3))[0].cpu())
        features = model.aspp(encoded)
        for row in classes_of[index]:
            inside = (labels == row).float()[:, None].to(features.device)
            share = F.interpolate(inside, features.shape[-2:], mode="area")
            cosine = F.cosine_similarity(masked_mean(features, share[:, 0])[0], weight[row], dim=0)
            scores.setdefault(row, []).append(
                (index, float(memory_scores(cosine.numpy(force=True), inside.mean().numpy(force=True))))
            )
    return Study(scores, torch.stack(scenes).numpy())


@torch.no_grad()
def scene_of(model: DeepLab, image: np.ndarray) -> np.ndarray:
    """Mean of the ResNet's last map (C,) of an image, uint8 (H, W, 3)."""
    pixels = torch.from_numpy(image.copy()).permute(2, 0, 1)[None]
    return model.encode(pixels).mean((2, 3))[0].cpu().numpy()


def paste_clamped(
    rng: np.random.Generator,
    image: np.ndarray,
    labels: np.ndarray,
    cutout: Cutout,
    scale: tuple[float, float],
    scale_of: ScaleOf = "frame",
) -> None:
    """Paste one object, in place: mirrored half of the time, scaled so that it fits, anywhere, without blending.

    What a scale of 1 is: see :mod:`aligndiff_cli.method.composition`.
    """
    pixels, mask = cutout.image, cutout.mask
    if rng.random() < FLIP:
        pixels, mask = pixels[:, ::-1], mask[:, ::-1]
    height, width = labels.shape
    fit = unit_scale(cutout, (height, width), scale_of)
    box = (max(1, round(mask.shape[0] * fit)), max(1, round(mask.shape[1] * fit)))
    pixels, mask = resize_cutout(pixels, mask, fit * clamped_scale(rng, box, (height, width), *scale))
    pixels, mask = pixels[:height, :width], mask[:height, :width]  # rounding may exceed the frame by a pixel
    top = int(rng.integers(height - mask.shape[0] + 1))
    left = int(rng.integers(width - mask.shape[1] + 1))
    window = np.s_[top : top + mask.shape[0], left : left + mask.shape[1]]
    copy_pixels(image[window], pixels, mask)
    np.copyto(labels[window], cutout.class_id, where=mask, casting="unsafe")
