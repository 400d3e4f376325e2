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
from aligndiff_cli.models.segmenters.backbone import Features, Image

Mask = npt.NDArray[np.bool_]
SoftMap = npt.NDArray[np.float32]
Pair = tuple[Image, Mask]


@dataclass(frozen=True)
class Conditioned:
    """A segmenter conditioned on k supports: what it keeps of them, computed once.

    Attributes:
        parts: tensors whose first axis is the support, in the order given.
        owner: fingerprint of the segmenter that made it.
    """

    parts: tuple[Tensor, ...]
    owner: str

    def __len__(self) -> int:
        return len(self.parts[0])


class Segmenter(Protocol):
    """A few-shot segmenter (AlignDiff's f_theta). Nothing in it changes by use."""

    name: str
    fingerprint: str
    """Equal for equal weights, input size and kind."""
    size: int
    """Side in pixels of the square that images are resized to before the network sees them."""

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
        size: side in pixels of the square that every image is resized to; rounded up to what the backbone takes.
        batch: images per forward pass.
    """

    name = ""

    def __init__(self, backbone: Features, size: int, *, batch: int = 8) -> None:
        self.backbone = backbone
        self.size = backbone.fit(size)
        self.batch = batch
        self.fingerprint = f"{self.name}-{self.size}-{backbone.fingerprint()}"

    def encode(self, pixels: Tensor, masks: Tensor) -> tuple[Tensor, ...]:
        """What to keep of supports: pixels (N, 3, S, S), masks (N, 1, S, S) in {0, 1}."""
        raise NotImplementedError

    def score(self, state: Conditioned, pixels: Tensor) -> Tensor:
        """Foreground probability (N, h, w) of queries, pixels (N, 3, S, S)."""
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
        chunks = [self._encode(pairs[at : at + self.batch]) for at in range(0, len(pairs), self.batch)]
        parts = tuple(torch.cat(tensors) for tensors in zip(*chunks, strict=True))
        return Conditioned(parts, self.fingerprint)

    def extend(self, state: Conditioned, pairs: Sequence[Pair]) -> Conditioned:
        """The same state with more supports; those already there are not computed again."""
        self._check_owner(state)
        if not pairs:
            return state
        more = self.condition(pairs)
        joined = tuple(torch.cat(two) for two in zip(state.parts, more.parts, strict=True))
        return Conditioned(joined, self.fingerprint)

    @torch.no_grad()
    def predict(self, state: Conditioned, images: Sequence[Image]) -> list[SoftMap]:
        """Foreground probability of each image, float32 (H, W) in [0, 1] at the image's own size."""
        self._check_owner(state)
        maps: list[SoftMap] = []
        for at in range(0, len(images), self.batch):
            chunk = [images[i] for i in range(at, min(at + self.batch, len(images)))]
            scores = self.score(state, self.backbone.pixels(chunk, self.size))
            maps += [_to_size(score, image) for score, image in zip(scores, chunk, strict=True)]
        return maps

    def _encode(self, pairs: Sequence[Pair]) -> tuple[Tensor, ...]:
        pixels = self.backbone.pixels([image for image, _ in pairs], self.size)
        masks = torch.stack([resize_mask(mask, self.size) for _, mask in pairs])
        return self.encode(pixels, masks.to(pixels.device))

    def _check_owner(self, state: Conditioned) -> None:
        if state.owner != self.fingerprint:
            raise ModelError(f"supports conditioned by {state.owner} cannot be used with {self.fingerprint}")


def resize_mask(mask: Mask, size: int) -> Tensor:
    """Mask bool (H, W) -> float32 (1, size, size) in {0, 1}, nearest pixel."""
    plane = torch.tensor(mask)[None, None].float()
    return F.interpolate(plane, (size, size), mode="nearest-exact")[0]


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
