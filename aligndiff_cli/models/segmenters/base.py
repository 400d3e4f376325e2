"""What every segmenter shares: checking pairs, batching, resizing in and out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.errors import InputError, ModelError
from aligndiff_cli.models.segmenters.backbone import Features, Image, two_sides

Mask = npt.NDArray[np.bool_]
SoftMap = npt.NDArray[np.float32]
Pair = tuple[Image, Mask]


MAX_NATIVE = 1024
"""Longest side at which a picture is looked at in its own size; larger ones are scaled down to it."""


@dataclass(frozen=True)
class Conditioned:
    """A segmenter conditioned on k supports: what it keeps of them, computed once.

    Attributes:
        parts: what it keeps; how it grows with k is the segmenter's own affair.
        owner: fingerprint of the segmenter that made it.
        supports: k.
    """

    parts: tuple[Tensor, ...]
    owner: str
    supports: int

    def __len__(self) -> int:
        return self.supports


class Segmenter(Protocol):
    """A few-shot segmenter (AlignDiff's f_theta). Nothing in it changes by use."""

    name: str
    fingerprint: str
    """Equal for equal weights, input size and kind."""
    size: int | None
    """Side in pixels of the square that images are resized to before the network sees them; None for their own size."""
    max_supports: int | None
    """Most accepted pairs that Algorithm 1 shows it by default, where each costs a pass; None for all."""

    def condition(self, pairs: Sequence[Pair]) -> Conditioned:
        """FSSCond of Algorithm 1: image uint8 (H, W, 3) and mask bool (H, W) per support."""
        ...

    def extend(self, state: Conditioned, pairs: Sequence[Pair]) -> Conditioned:
        """The same state with more supports, at the cost of the new ones only."""
        ...

    def predict(self, state: Conditioned, images: Sequence[Image]) -> list[SoftMap]:
        """Foreground probability float32 (H, W) in [0, 1] of each image, at its own size."""
        ...


class FeatureSegmenter:
    """A few-shot segmenter on a frozen backbone; subclasses say what they keep and how they score.

    Args:
        backbone: the frozen feature extractor.
        size: side in pixels of the square that every image is resized to; None to look at each in its own size. Sides
            are rounded up to what the backbone takes.
        batch: images per forward pass.
    """

    name = ""
    max_supports: int | None = None

    def __init__(self, backbone: Features, size: int | None, *, batch: int = 8) -> None:
        self.backbone = backbone
        self.size = None if size is None else backbone.fit(size)
        self.batch = batch
        self.fingerprint = f"{self.name}-{self.size or 'native'}-{backbone.fingerprint()}"

    def encode(self, pixels: Tensor, masks: Tensor) -> tuple[Tensor, ...]:
        """What to keep of supports: pixels (N, 3, H, W), masks (N, 1, H, W) in {0, 1}."""
        raise NotImplementedError

    def join(self, parts: Sequence[tuple[Tensor, ...]], counts: Sequence[int]) -> tuple[Tensor, ...]:
        """What to keep of several sets of supports together: one after another.

        Args:
            parts: of each set, from ``encode`` or ``join``.
            counts: supports in each set.
        """
        return tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))

    def score(self, state: Conditioned, pixels: Tensor) -> Tensor:
        """Foreground probability (N, h, w) of queries, pixels (N, 3, H, W)."""
        raise NotImplementedError

    @torch.no_grad()
    def condition(self, pairs: Sequence[Pair]) -> Conditioned:
        """Keep what is needed of the supports: images uint8 (H, W, 3) with masks bool (H, W).

        Raises:
            InputError: no pair, an empty mask, or a mask of another size than its image.
        """
        if not pairs:
            raise InputError(
                "there is no support pair to condition on", remedy="Give at least one image with its mask."
            )
        for index, (image, mask) in enumerate(pairs):
            _check_pair(image, mask, index)
        groups = self._groups([image for image, _ in pairs])
        parts = [self._encode([pairs[index] for index in group]) for group in groups]
        return Conditioned(self.join(parts, [len(group) for group in groups]), self.fingerprint, len(pairs))

    def extend(self, state: Conditioned, pairs: Sequence[Pair]) -> Conditioned:
        """The same state with more supports; those already there are not computed again."""
        self._check_owner(state)
        if not pairs:
            return state
        more = self.condition(pairs)
        joined = self.join((state.parts, more.parts), (len(state), len(more)))
        return Conditioned(joined, self.fingerprint, len(state) + len(more))

    @torch.no_grad()
    def predict(self, state: Conditioned, images: Sequence[Image]) -> list[SoftMap]:
        """Foreground probability of each image, float32 (H, W) in [0, 1] at the image's own size."""
        self._check_owner(state)
        loaded = [images[index] for index in range(len(images))]
        maps: dict[int, SoftMap] = {}
        for group in self._groups(loaded):
            chunk = [loaded[index] for index in group]
            scores = self.score(state, self.backbone.pixels(chunk, self._sides(chunk[0])))
            maps |= {i: _to_size(score, loaded[i]) for i, score in zip(group, scores, strict=True)}
        return [maps[index] for index in range(len(loaded))]

    def _sides(self, image: Image) -> tuple[int, int]:
        """(height, width) at which an image is looked at."""
        if self.size is not None:
            return self.size, self.size
        height, width = image.shape[:2]
        scale = min(1.0, MAX_NATIVE / max(height, width))
        return self.backbone.fit(max(1, round(height * scale))), self.backbone.fit(max(1, round(width * scale)))

    def _groups(self, images: Sequence[Image]) -> list[list[int]]:
        """Indices of images that are looked at together: of one size, no more than a batch."""
        alike: dict[tuple[int, int], list[int]] = {}
        for index, image in enumerate(images):
            alike.setdefault(self._sides(image), []).append(index)
        return [own[at : at + self.batch] for own in alike.values() for at in range(0, len(own), self.batch)]

    def _encode(self, pairs: Sequence[Pair]) -> tuple[Tensor, ...]:
        sides = self._sides(pairs[0][0])
        pixels = self.backbone.pixels([image for image, _ in pairs], sides)
        masks = torch.stack([resize_mask(mask, sides) for _, mask in pairs])
        return self.encode(pixels, masks.to(pixels.device))

    def _check_owner(self, state: Conditioned) -> None:
        if state.owner != self.fingerprint:
            raise ModelError(f"supports conditioned by {state.owner} cannot be used with {self.fingerprint}")


class PrototypeBased(FeatureSegmenter):
    """A segmenter that keeps prototypes averaged over the supports: what a query costs does not depend on their number.

    Subclasses give the features; each support counts alike, however large its object.
    """

    def features(self, pixels: Tensor) -> Tensor:
        """What prototypes are averages of: pixels (N, 3, H, W) -> (N, C, h, w)."""
        raise NotImplementedError

    def inside(self, masks: Tensor, shape: tuple[int, int]) -> Tensor:
        """Masks (N, 1, H, W) -> how much each feature position counts as foreground, (N, 1, h, w) in [0, 1]."""
        return pool_mask(masks, shape)

    def encode(self, pixels: Tensor, masks: Tensor) -> tuple[Tensor, ...]:
        """Foreground and background prototype (C,), the mean over the supports."""
        features = self.features(pixels)
        inside = self.inside(masks, (features.shape[2], features.shape[3]))
        return masked_average(features, inside).mean(0), masked_average(features, 1.0 - inside).mean(0)

    def join(self, parts: Sequence[tuple[Tensor, ...]], counts: Sequence[int]) -> tuple[Tensor, ...]:
        """The mean over the supports of all sets."""
        total = sum(counts)
        weighted = [[part * (count / total) for part in own] for own, count in zip(parts, counts, strict=True)]
        return tuple(torch.stack(side).sum(0) for side in zip(*weighted, strict=True))


def resize_mask(mask: Mask, size: int | tuple[int, int]) -> Tensor:
    """Mask bool (H, W) -> float32 (1, *size) in {0, 1}, nearest pixel; square where one side is given."""
    plane = torch.tensor(mask)[None, None].float()
    return F.interpolate(plane, two_sides(size), mode="nearest-exact")[0]


def pool_mask(masks: Tensor, shape: tuple[int, int]) -> Tensor:
    """Masks (N, 1, S, S) -> share of each feature cell that is foreground, (N, 1, h, w).

    Area shares rather than samples, so that a mask smaller than a cell keeps some weight.
    """
    return F.interpolate(masks, shape, mode="area")


def masked_average(features: Tensor, weights: Tensor) -> Tensor:
    """Average of features (N, C, h, w) under weights (N, 1, h, w) -> (N, C); 0 where they sum to 0."""
    total = weights.sum(dim=(2, 3)).clamp_min(1e-6)
    return (features * weights).sum(dim=(2, 3)) / total


def _to_size(score: Tensor, image: Image) -> SoftMap:
    height, width = image.shape[:2]
    full = F.interpolate(score[None, None].float(), (height, width), mode="bilinear", align_corners=False)
    return full[0, 0].clamp(0.0, 1.0).cpu().numpy()


def _check_pair(image: Image, mask: Mask, index: int) -> None:
    if image.shape[:2] != mask.shape:
        raise InputError(
            f"the mask of support {index + 1} is {mask.shape[1]} x {mask.shape[0]} pixels,"
            f" its image {image.shape[1]} x {image.shape[0]}"
        )
    if not mask.any():
        raise InputError(f"the mask of support {index + 1} is empty")
