"""Figures for masks: counts first, ratios after.

Counts are whole numbers of pixels and add up, so that parts of an evaluation can be made apart, in any
order, and joined. Ratios are taken once, at the end: an IoU is the ratio of summed intersections and summed
unions, never a mean of ratios of images.

An IoU whose union is empty (the class is neither there nor predicted) is undefined: None, ``null`` in JSON. Means leave
it out, and are None themselves if nothing is left.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

BOUNDARY_RATIO = 0.02


@dataclass(frozen=True)
class Overlap:
    """Pixels that two masks share, and pixels that at least one of them has."""

    intersection: int = 0
    union: int = 0

    def __add__(self, other: Overlap) -> Overlap:
        return Overlap(self.intersection + other.intersection, self.union + other.union)

    @property
    def iou(self) -> float | None:
        """Intersection over union in [0, 1]; None where the union is empty."""
        return self.intersection / self.union if self.union else None


@dataclass(frozen=True)
class Counts:
    """What binary masks of several classes have in common with the true ones.

    Attributes:
        foreground: overlap of each class, summed over its images.
        boundary: the same of the boundary bands.
        background: overlap of what is not foreground, pooled over all classes.
        images: number of images of each class.
    """

    foreground: Mapping[str, Overlap] = field(default_factory=dict)
    boundary: Mapping[str, Overlap] = field(default_factory=dict)
    background: Overlap = field(default_factory=Overlap)
    images: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            _joined(self.foreground, other.foreground),
            _joined(self.boundary, other.boundary),
            self.background + other.background,
            {c: self.images.get(c, 0) + other.images.get(c, 0) for c in {**self.images, **other.images}},
        )

    def iou(self, cls: str) -> float | None:
        """IoU of one class."""
        return self.foreground.get(cls, Overlap()).iou

    def miou(self, classes: Collection[str] | None = None) -> float | None:
        """Mean of the classes' IoU, over all classes or those named."""
        return mean(overlap.iou for overlap in _selected(self.foreground, classes))

    def boundary_iou(self, classes: Collection[str] | None = None) -> float | None:
        """Mean of the classes' boundary IoU, over all classes or those named."""
        return mean(overlap.iou for overlap in _selected(self.boundary, classes))

    def fb_iou(self) -> float | None:
        """Mean of the foreground's and the background's IoU, each pooled over all classes."""
        pooled = sum(self.foreground.values(), Overlap())
        return mean((pooled.iou, self.background.iou))

    def to_json(self) -> dict[str, Any]:
        """Plain data with sorted keys; an overlap is [intersection, union]."""
        return {
            "foreground": _pairs(self.foreground),
            "boundary": _pairs(self.boundary),
            "background": [self.background.intersection, self.background.union],
            "images": dict(sorted(self.images.items())),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Counts:
        """The inverse of :meth:`to_json`."""
        return cls(
            {c: Overlap(*pair) for c, pair in data["foreground"].items()},
            {c: Overlap(*pair) for c, pair in data["boundary"].items()},
            Overlap(*data["background"]),
            dict(data["images"]),
        )


def mean(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are defined; None if none is."""
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None


def overlap(prediction: np.ndarray, target: np.ndarray, ignored: np.ndarray | None = None) -> Overlap:
    """Overlap of two masks, bool (H, W), outside the ignored pixels, bool (H, W).

    Raises:
        ValueError: the shapes differ.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"expected masks of one shape, got {prediction.shape} and {target.shape}")
    both, either = prediction & target, prediction | target
    if ignored is not None:
        both, either = both & ~ignored, either & ~ignored
    return Overlap(int(both.sum()), int(either.sum()))


def boundary_band(mask: np.ndarray, ratio: float = BOUNDARY_RATIO) -> np.ndarray:
    """The mask's pixels near its contour (Cheng et al., 2021, Boundary IoU).

    Args:
        mask: bool (H, W).
        ratio: width of the band as a share of the image's diagonal; the band is at least 1 pixel wide.

    Returns:
        bool (H, W), part of ``mask``: what goes when it is eroded that many times by a 3 x 3 square. The image's border
        counts as contour.
    """
    width = max(1, round(ratio * math.hypot(*mask.shape)))
    return mask & ~_full_along(_full_along(mask, width, axis=0), width, axis=1)


def _full_along(mask: np.ndarray, reach: int, axis: int) -> np.ndarray:
    """Where the mask holds over ``reach`` pixels to both sides along an axis; outside the image it does not."""
    lines = np.moveaxis(mask, axis, 0)
    sums = np.zeros((len(lines) + 2 * reach + 1, lines.shape[1]), dtype=np.int64)
    sums[reach + 1 : reach + 1 + len(lines)] = lines.cumsum(axis=0)
    sums[reach + 1 + len(lines) :] = sums[reach + len(lines)]
    window = 2 * reach + 1
    return np.moveaxis(sums[window:] - sums[:-window] == window, 0, axis)


def score(prediction: np.ndarray, target: np.ndarray, cls: str, ignored: np.ndarray | None = None) -> Counts:
    """Counts of one predicted mask of a class against the true one.

    Args:
        prediction, target: bool (H, W).
        cls: name of the class.
        ignored: bool (H, W), pixels that count for nothing (VOC's 255). Bands are found first, so that the edge of
            an ignored region is no contour.

    Raises:
        ValueError: the shapes differ.
    """
    bands = overlap(boundary_band(prediction), boundary_band(target), ignored)
    return Counts(
        {cls: overlap(prediction, target, ignored)}, {cls: bands}, overlap(~prediction, ~target, ignored), {cls: 1}
    )


def total(counts: Iterable[Counts]) -> Counts:
    """The sum of many counts."""
    return sum(counts, Counts())


def _joined(one: Mapping[str, Overlap], other: Mapping[str, Overlap]) -> dict[str, Overlap]:
    return {c: one.get(c, Overlap()) + other.get(c, Overlap()) for c in {**one, **other}}


def _selected(overlaps: Mapping[str, Overlap], classes: Collection[str] | None) -> list[Overlap]:
    return [value for c, value in overlaps.items() if classes is None or c in classes]


def _pairs(overlaps: Mapping[str, Overlap]) -> dict[str, list[int]]:
    return {c: [value.intersection, value.union] for c, value in sorted(overlaps.items())}
