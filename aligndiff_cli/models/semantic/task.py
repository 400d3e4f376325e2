"""What a novel stage learns from: base images, real pairs, synthetic samples; all read when asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from aligndiff_cli.labels import IGNORE
from aligndiff_cli.method.composition import Cutout, cut_out
from aligndiff_cli.models.semantic.batches import LabelledImage

Layout = Literal["paste", "plain", "scenes"]
LAYOUTS: tuple[Layout, ...] = ("paste", "plain", "scenes")


@dataclass(frozen=True)
class Novel:
    """One novel class; every picture with its labels by row, the class's own row on its object.

    Attributes:
        real: the few shots; 255 where their masks or label maps are void, and the rows of other classes where there are
            label maps.
        inverted, text: synthetic pictures by how they were conditioned (D.3), 0 around the object; both may be empty.
    """

    real: Sequence[LabelledImage]
    inverted: Sequence[LabelledImage] = ()
    text: Sequence[LabelledImage] = ()

    def __len__(self) -> int:
        return len(self.real) + len(self.inverted) + len(self.text)

    def draw(self, rng: np.random.Generator, inverted_share: float) -> LabelledImage:
        """One picture (D.3): half from the few shots and the inverted samples, half from the text ones.

        The first half is divided evenly between the few shots and the inverted samples, so that a handful of real pairs
        is not lost among hundreds. A kind that is empty leaves its share to the other.
        """
        inverted = self.real if not self.inverted or rng.random() < 0.5 else self.inverted
        pool = self.text if self.text and rng.random() >= inverted_share else inverted
        return pool[int(rng.integers(len(pool)))]


@dataclass(frozen=True)
class Task:
    """One run of the novel stage.

    Attributes:
        base: base images with their labels; rows of the classifier, 255 where ignored.
        base_classes: the classes each of them shows.
        base_count: number of base classes, background left out.
        novel: by row of the classifier, in the order in which they are learnt.
        labelled: whether the few shots have label maps, and so tell base classes from background.
        layout: what synthetic samples become: pasted by the method, pictures as they are, or ready scenes.
        scenes: ready scenes, for that layout; novel classes by their rows.
        inverted_share: see `Novel.draw`.
        seed: of everything drawn.
        study: what the method's ``study`` found in the base images.
    """

    base: Sequence[LabelledImage]
    base_classes: Sequence[Collection[int]]
    base_count: int
    novel: Mapping[int, Novel]
    labelled: bool = False
    layout: Layout = "paste"
    scenes: Sequence[LabelledImage] = field(default=())
    inverted_share: float = 0.5
    seed: int = 0
    study: Any = None


def hide_unlearnt(sample: LabelledImage, base_count: int, learnt: Collection[int]) -> LabelledImage:
    """A picture in which novel classes other than the learnt ones are ignored (255)."""
    image, labels = sample
    known = np.isin(labels, [*range(base_count + 1), *learnt])
    return image, np.where(known, labels, IGNORE).astype(np.uint8)


def as_cutout(sample: LabelledImage, row: int) -> Cutout:
    """A picture's object of one class, cut out."""
    image, labels = sample
    return cut_out(image, labels == row, row, f"class {row}")
