"""What a novel stage learns from: base images, real pairs, synthetic samples; all read when asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from aligndiff_cli.method.composition import Cutout, cut_out
from aligndiff_cli.models.semantic.batches import Sample

Layout = Literal["paste", "plain", "scenes"]
LAYOUTS: tuple[Layout, ...] = ("paste", "plain", "scenes")
Pair = tuple[np.ndarray, np.ndarray]
"""An image, uint8 (H, W, 3), and the mask of its one object, bool (H, W)."""


@dataclass(frozen=True)
class Novel:
    """One novel class.

    Attributes:
        real: the few shots.
        inverted, text: synthetic pairs by how they were conditioned (D.3); both may be empty.
    """

    real: Sequence[Pair]
    inverted: Sequence[Pair] = ()
    text: Sequence[Pair] = ()

    def draw(self, rng: np.random.Generator, inverted_share: float) -> Pair:
        """One pair (D.3): half from the few shots and the inverted samples, half from the plain ones.

        The first half is divided evenly between the few shots and the inverted samples, so that a handful of real pairs
        is not lost among hundreds. A kind that is empty leaves its share to the other.
        """
        guided = self.real if not self.inverted or rng.random() < 0.5 else self.inverted
        pool = self.text if self.text and rng.random() >= inverted_share else guided
        return pool[int(rng.integers(len(pool)))]


@dataclass(frozen=True)
class Task:
    """One run of the novel stage.

    Attributes:
        base: base images with their labels; rows of the classifier, 255 where ignored.
        base_classes: the classes each of them shows.
        base_count: number of base classes, background left out.
        novel: by row of the classifier, in the order in which they are learnt.
        layout: what synthetic samples become: pasted by the method, pictures as they are, or ready scenes.
        scenes: ready scenes, for that layout; novel classes by their rows.
        inverted_share: see `Novel.draw`.
        seed: of everything drawn.
        study: what the method's ``study`` found in the base images.
    """

    base: Sequence[Sample]
    base_classes: Sequence[Collection[int]]
    base_count: int
    novel: Mapping[int, Novel]
    layout: Layout = "paste"
    scenes: Sequence[Sample] = field(default=())
    inverted_share: float = 0.5
    seed: int = 0
    study: Any = None


def as_sample(pair: Pair, row: int) -> Sample:
    """An object-centric picture as a training sample: its object has the class's row, the rest is background."""
    image, mask = pair
    return image, np.where(mask, row, 0).astype(np.uint8)


def as_cutout(pair: Pair, row: int) -> Cutout:
    """A pair's object, cut out along its mask."""
    return cut_out(*pair, row, f"class {row}")
