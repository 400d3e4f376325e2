"""Algorithm 1: masks of synthetic images from the consensus of coarse maps and a few-shot segmenter.

D_good starts as the real pairs. Scoring: the segmenter conditioned on D_good predicts every
synthetic image; where the prediction agrees with the coarse mask (IoU >= alpha) the pair joins
D_good. Re-estimation: the segmenter is conditioned on the larger D_good, and predicts the rest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
SoftMap = npt.NDArray[np.float32]
Pair = tuple[Image, Mask]
Keep = Literal["coarse", "prediction"]
State = TypeVar("State")

ALPHA = 0.8
SCORING_PROBABILITY = 0.4
ESTIMATE_PROBABILITY = 0.5
CHUNK = 16
"""Images predicted, or conditioned on, at once."""


class FewShot(Protocol[State]):
    """f_theta and FSSCond of Algorithm 1, whatever is behind them."""

    def condition(self, pairs: Sequence[Pair]) -> State:
        """Condition on support pairs."""
        ...

    def extend(self, state: State, pairs: Sequence[Pair]) -> State:
        """Condition on more support pairs."""
        ...

    def predict(self, state: State, images: Sequence[Image]) -> Sequence[SoftMap]:
        """Foreground probability (H, W) of each image (H, W, 3)."""
        ...


@dataclass(frozen=True)
class Score:
    """What the scoring round says of one synthetic image.

    Attributes:
        mask: the mask that would join D_good, bool (H, W).
        iou: consensus IoU of prediction and coarse mask, in [0, 1].
        accepted: whether it joins.
    """

    mask: Mask
    iou: float
    accepted: bool


@dataclass(frozen=True)
class Refined:
    """The result for one synthetic image.

    Attributes:
        mask: the mask to use, bool (H, W); empty where re-estimation found nothing.
        iou: consensus IoU of the scoring round, in [0, 1].
        accepted: whether the pair joined D_good.
        round: 1 if it was kept in scoring, 2 if it was re-estimated.
    """

    mask: Mask
    iou: float
    accepted: bool
    round: int


def iou(first: Mask, second: Mask) -> float:
    """Intersection over union of two masks (H, W), in [0, 1]; 0 where both are empty.

    Two empty masks agree on nothing that could serve as a support, hence 0 (not 1, nor 0/0).
    """
    union = int(np.logical_or(first, second).sum())
    return int(np.logical_and(first, second).sum()) / union if union else 0.0


def score(
    prediction: SoftMap,
    coarse: Mask,
    *,
    alpha: float = ALPHA,
    keep: Keep = "coarse",
    probability: float = SCORING_PROBABILITY,
) -> Score:
    """Scoring of one image: IoU(prediction > probability, coarse) >= alpha joins D_good.

    Args:
        prediction: the segmenter's soft map (H, W).
        coarse: the coarse mask M_i (H, W).
        alpha: consensus threshold; inf accepts nothing, 0 everything that is not empty.
        keep: which mask joins: "coarse" (the algorithm as printed) or "prediction" (the authors' release).
        probability: from which a pixel of the prediction is foreground.
    """
    predicted = prediction >= probability
    agreement = iou(predicted, coarse)
    mask = coarse if keep == "coarse" else predicted
    # an empty mask can condition nothing, so it never joins, whatever alpha is
    return Score(mask, agreement, agreement >= alpha and bool(mask.any()))


class Strongest:
    """The accepted pairs of highest consensus IoU, at most ``limit`` of them (None: all).

    Equal IoUs go by order. No more than ``limit`` masks are held, however many pairs are offered.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._held: dict[int, Score] = {}

    def offer(self, index: int, score: Score) -> None:
        """Take in a pair if it was accepted, and drop the weakest if there are too many."""
        if not score.accepted:
            return
        self._held[index] = score
        if self._limit is not None and len(self._held) > max(self._limit, 0):
            del self._held[min(self._held, key=lambda i: (self._held[i].iou, -i))]

    def masks(self) -> list[tuple[int, Mask]]:
        """Index and mask of each pair held, in the order of the indices."""
        return [(index, self._held[index].mask) for index in sorted(self._held)]


def refine(
    segmenter: FewShot[State],
    real: Sequence[Pair],
    images: Sequence[Image],
    coarse: Sequence[Mask],
    *,
    alpha: float = ALPHA,
    keep: Keep = "coarse",
    scoring_probability: float = SCORING_PROBABILITY,
    estimate_probability: float = ESTIMATE_PROBABILITY,
    max_supports: int | None = None,
) -> Iterator[tuple[int, Refined]]:
    """Algorithm 1 over all synthetic images of one class, pooled over its prompts.

    If ``images`` and ``coarse`` read theirs when asked, memory grows with the number of images by the masks of the
    accepted ones alone, and with ``max_supports`` not at all.

    Args:
        segmenter: conditions and predicts; not changed.
        real: the given pairs, at least one; they always stay in D_good.
        images, coarse: the synthetic images (H, W, 3) and their coarse masks (H, W), in step.
        alpha, keep, scoring_probability: see `score`.
        estimate_probability: from which a pixel is foreground in the second round.
        max_supports: most accepted pairs that join the real ones for the second round, those of highest consensus IoU;
            None takes all, as the paper and the release do. Real pairs do not count against it.

    Yields:
        Index and result of each image once: first those kept in scoring, then those re-estimated.

    Raises:
        ValueError: ``images`` and ``coarse`` differ in number.
    """
    if len(images) != len(coarse):
        raise ValueError(f"{len(images)} images but {len(coarse)} coarse masks")
    state = segmenter.condition(real)
    good = Strongest(max_supports)
    rest: dict[int, float] = {}
    for index, soft in _predictions(segmenter, state, images, range(len(images))):
        found = score(soft, coarse[index], alpha=alpha, keep=keep, probability=scoring_probability)
        good.offer(index, found)
        if found.accepted:
            yield index, Refined(found.mask, found.iou, True, 1)
        else:
            rest[index] = found.iou
    chosen = good.masks() if rest else []
    for start in range(0, len(chosen), CHUNK):  # so that no more than a few of their images are held
        supports = [(images[index], mask) for index, mask in chosen[start : start + CHUNK]]
        state = segmenter.extend(state, supports)
    for index, soft in _predictions(segmenter, state, images, list(rest)):
        yield index, Refined(soft >= estimate_probability, rest[index], False, 2)


def _predictions(
    segmenter: FewShot[State], state: State, images: Sequence[Image], indices: Sequence[int]
) -> Iterator[tuple[int, SoftMap]]:
    """Index and soft map of each image, a few at a time."""
    for start in range(0, len(indices), CHUNK):
        chunk = indices[start : start + CHUNK]
        yield from zip(chunk, segmenter.predict(state, [images[index] for index in chunk]), strict=True)
