"""What every segmenter shares: checking pairs, batching, resizing in and out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.errors import InputError, ModelError
from aligndiff_cli.models.at_once import AtOnce
from aligndiff_cli.models.segmenters.backbone import Features, Image, two_sides

T = TypeVar("T")
Mask = npt.NDArray[np.bool_]
SoftMap = npt.NDArray[np.float32]
Pair = tuple[Image, Mask]


MAX_NATIVE = 1024
"""Longest side at which a picture is looked at in its own size; larger ones are scaled down to it."""


@dataclass(frozen=True)
class Seen:
    """A picture after the backbone: it stands for the picture wherever the segmenter that saw it takes one.

    Attributes:
        parts: what the segmenter reads of it, each (1, ...).
        shape: (H, W) of the picture.
        sides: (height, width) at which the backbone looked at it.
        owner: fingerprint of the segmenter.
    """

    parts: tuple[Tensor, ...]
    shape: tuple[int, int]
    sides: tuple[int, int]
    owner: str

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return sum(part.nbytes for part in self.parts)


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

    at_once: AtOnce
    """How many pictures are looked at together; it alone changes, where memory runs out."""

    @property
    def batch(self) -> int:
        """Pictures that are looked at together now."""
        ...

    def see(self, images: Sequence[Image]) -> list[Seen]:
        """Each image uint8 (H, W, 3) after the backbone, for ``condition`` and ``predict`` to take in its place."""
        ...

    def condition(self, pairs: Sequence[tuple[Image | Seen, Mask]]) -> Conditioned:
        """FSSCond of Algorithm 1: image uint8 (H, W, 3) and mask bool (H, W) per support."""
        ...

    def join(self, states: Sequence[Conditioned]) -> Conditioned:
        """Conditioned on the supports of all the states, at least one; nothing is computed again."""
        ...

    def predict(self, state: Conditioned, images: Sequence[Image | Seen]) -> list[SoftMap]:
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
        self.at_once = AtOnce(batch)
        self.fingerprint = f"{self.name}-{self.size or 'native'}-{backbone.fingerprint()}"

    @property
    def batch(self) -> int:
        """Images per forward pass now."""
        return self.at_once.size

    def look(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """What is read of pictures, pixels (N, 3, H, W); each part (N, ...)."""
        raise NotImplementedError

    def encode(self, parts: Sequence[Tensor], masks: Tensor) -> tuple[Tensor, ...]:
        """What to keep of supports: what ``look`` gave of them, masks (N, 1, H, W) in {0, 1}."""
        raise NotImplementedError

    def merge(self, parts: Sequence[tuple[Tensor, ...]], counts: Sequence[int]) -> tuple[Tensor, ...]:
        """What to keep of several sets of supports together: one after another.

        Args:
            parts: of each set, from ``encode`` or ``merge``.
            counts: supports in each set.
        """
        return tuple(torch.cat(tensors) for tensors in zip(*parts, strict=True))

    def score(self, state: Conditioned, parts: Sequence[Tensor], sides: tuple[int, int]) -> Tensor:
        """Foreground probability (N, h, w) of queries: what ``look`` gave of them, and the sides of their pixels."""
        raise NotImplementedError

    @torch.no_grad()
    def see(self, images: Sequence[Image]) -> list[Seen]:
        """Each image uint8 (H, W, 3) after the backbone."""

        def looked(group: Sequence[int]) -> Iterator[tuple[int, Seen]]:
            parts = self._parts([images[index] for index in group])
            for at, index in enumerate(group):
                # clones, so that one of them can be dropped without the others
                own = tuple(part[at : at + 1].clone() for part in parts)
                yield index, Seen(own, _shape(images[index]), self._sides(images[index]), self.fingerprint)

        seen = dict(self._in_groups(images, looked))
        return [seen[index] for index in range(len(images))]

    @torch.no_grad()
    def condition(self, pairs: Sequence[tuple[Image | Seen, Mask]]) -> Conditioned:
        """Keep what is needed of the supports: images uint8 (H, W, 3), seen or not, with masks bool (H, W).

        Raises:
            InputError: no pair, an empty mask, or a mask of another size than its image.
        """
        if not pairs:
            raise InputError(
                "there is no support pair to condition on", remedy="Give at least one image with its mask."
            )
        for index, (image, mask) in enumerate(pairs):
            _check_pair(_shape(image), mask, index)

        def encoded(group: Sequence[int]) -> Iterator[tuple[tuple[Tensor, ...], int]]:
            yield self._encode([pairs[index] for index in group]), len(group)

        parts, counts = zip(*self._in_groups([image for image, _ in pairs], encoded), strict=True)
        return Conditioned(self.merge(parts, counts), self.fingerprint, len(pairs))

    @torch.no_grad()
    def join(self, states: Sequence[Conditioned]) -> Conditioned:
        """Conditioned on the supports of all the states, in their order; nothing is computed again."""
        for state in states:
            self._check_owner(state.owner)
        if len(states) == 1:
            return states[0]
        counts = [len(state) for state in states]
        return Conditioned(self.merge([state.parts for state in states], counts), self.fingerprint, sum(counts))

    @torch.no_grad()
    def predict(self, state: Conditioned, images: Sequence[Image | Seen]) -> list[SoftMap]:
        """Foreground probability of each image, float32 (H, W) in [0, 1] at the image's own size."""
        self._check_owner(state.owner)
        loaded = [images[index] for index in range(len(images))]

        def scored(group: Sequence[int]) -> Iterator[tuple[int, SoftMap]]:
            chunk = [loaded[index] for index in group]
            scores = self.score(state, self._parts(chunk), self._sides(chunk[0]))
            yield from ((i, _to_size(score, _shape(loaded[i]))) for i, score in zip(group, scores, strict=True))

        maps = dict(self._in_groups(loaded, scored))
        return [maps[index] for index in range(len(loaded))]

    def _sides(self, image: Image | Seen) -> tuple[int, int]:
        """(height, width) at which an image is looked at."""
        if isinstance(image, Seen):
            return image.sides
        if self.size is not None:
            return self.size, self.size
        height, width = image.shape[:2]
        scale = min(1.0, MAX_NATIVE / max(height, width))
        return self.backbone.fit(max(1, round(height * scale))), self.backbone.fit(max(1, round(width * scale)))

    def _in_groups(self, images: Sequence[Image | Seen], work: Callable[[Sequence[int]], Iterable[T]]) -> Iterator[T]:
        """What comes of images that are looked at together: of one size, no more than fit.

        Args:
            work: is given their indices.
        """
        alike: dict[tuple[int, int], list[int]] = {}
        for index, image in enumerate(images):
            alike.setdefault(self._sides(image), []).append(index)
        for own in alike.values():
            for found in self.at_once.parts(len(own), lambda part, own=own: list(work(own[part]))):  # type: ignore[misc]
                yield from found

    def _parts(self, images: Sequence[Image | Seen]) -> tuple[Tensor, ...]:
        """What is read of images of one size, those that are not seen yet at once."""
        new = [image for image in images if not isinstance(image, Seen)]
        looked = self.look(self.backbone.pixels(new, self._sides(new[0]))) if new else ()
        if len(new) == len(images):
            return looked
        rows = iter(range(len(new)))
        each = [self._known(i) if isinstance(i, Seen) else _row(looked, next(rows)) for i in images]
        return tuple(torch.cat(parts) for parts in zip(*each, strict=True))

    def _known(self, seen: Seen) -> tuple[Tensor, ...]:
        self._check_owner(seen.owner)
        return seen.parts

    def _encode(self, pairs: Sequence[tuple[Image | Seen, Mask]]) -> tuple[Tensor, ...]:
        images = [image for image, _ in pairs]
        masks = torch.stack([resize_mask(mask, self._sides(images[0])) for _, mask in pairs])
        return self.encode(self._parts(images), masks.to(self.backbone.device))

    def _check_owner(self, owner: str) -> None:
        if owner != self.fingerprint:
            raise ModelError(f"what {owner} has seen cannot be used with {self.fingerprint}")


class PrototypeBased(FeatureSegmenter):
    """A segmenter that keeps prototypes averaged over the supports: what a query costs does not depend on their number.

    Subclasses give the features; each support counts alike, however large its object.
    """

    def features(self, parts: Sequence[Tensor]) -> Tensor:
        """What prototypes are averages of, (N, C, h, w), from what ``look`` gave."""
        return parts[0]

    def inside(self, masks: Tensor, shape: tuple[int, int]) -> Tensor:
        """Masks (N, 1, H, W) -> how much each feature position counts as foreground, (N, 1, h, w) in [0, 1]."""
        return pool_mask(masks, shape)

    def encode(self, parts: Sequence[Tensor], masks: Tensor) -> tuple[Tensor, ...]:
        """Foreground and background prototype (C,), the mean over the supports."""
        features = self.features(parts)
        inside = self.inside(masks, (features.shape[2], features.shape[3]))
        return masked_average(features, inside).mean(0), masked_average(features, 1.0 - inside).mean(0)

    def merge(self, parts: Sequence[tuple[Tensor, ...]], counts: Sequence[int]) -> tuple[Tensor, ...]:
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


def _shape(image: Image | Seen) -> tuple[int, int]:
    """(H, W) of a picture."""
    return image.shape if isinstance(image, Seen) else (image.shape[0], image.shape[1])


def _row(parts: Sequence[Tensor], index: int) -> tuple[Tensor, ...]:
    return tuple(part[index : index + 1] for part in parts)


def _to_size(score: Tensor, shape: tuple[int, int]) -> SoftMap:
    full = F.interpolate(score[None, None].float(), shape, mode="bilinear", align_corners=False)
    return full[0, 0].clamp(0.0, 1.0).cpu().numpy()


def _check_pair(shape: tuple[int, int], mask: Mask, index: int) -> None:
    if shape != mask.shape:
        raise InputError(
            f"the mask of support {index + 1} is {mask.shape[1]} x {mask.shape[0]} pixels,"
            f" its image {shape[1]} x {shape[0]}"
        )
    if not mask.any():
        raise InputError(f"the mask of support {index + 1} is empty")
