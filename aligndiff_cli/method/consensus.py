"""Algorithm 1: masks of synthetic images from the consensus of coarse maps and a few-shot segmenter.

D_good starts as the real pairs. Scoring: the segmenter conditioned on D_good predicts every
synthetic image; where the prediction agrees with the coarse mask (IoU >= alpha) the pair joins
D_good. Re-estimation: the segmenter is conditioned on the larger D_good, and predicts the rest.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from aligndiff_cli.method.diversity import farthest_first, look

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
SoftMap = npt.NDArray[np.float32]
Pair = tuple[Image, Mask]
Keep = Literal["coarse", "prediction"]
State = TypeVar("State")

ALPHA = 0.8
SCORING_PROBABILITY = 0.4
ESTIMATE_PROBABILITY = 0.5
POOL = 20
"""Accepted pairs of highest agreement that a smaller number of supports is chosen from."""
KEPT_BYTES = 256_000_000
"""What seen pictures may take while they wait for a second use; those beyond it are seen again."""


class HasBytes(Protocol):
    """Something whose size in memory is known."""

    @property
    def nbytes(self) -> int: ...


Seen = TypeVar("Seen", bound=HasBytes)
Key = TypeVar("Key", bound=Hashable)
K = TypeVar("K", contravariant=True)
T = TypeVar("T")


class Gives(Protocol[K]):
    """Images by key: a sequence or a mapping."""

    def __getitem__(self, key: K, /) -> Image: ...


class FewShot(Protocol[State, Seen]):
    """f_theta and FSSCond of Algorithm 1, whatever is behind them."""

    @property
    def batch(self) -> int:
        """Images that it sees at once."""
        ...

    def see(self, images: Sequence[Image]) -> Sequence[Seen]:
        """What an image is to it, whatever it is conditioned on: the part that is worth doing once."""
        ...

    def condition(self, pairs: Sequence[tuple[Image | Seen, Mask]]) -> State:
        """Condition on support pairs."""
        ...

    def join(self, states: Sequence[State]) -> State:
        """Conditioned on the supports of all of them, in their order."""
        ...

    def predict(self, state: State, images: Sequence[Image | Seen]) -> Sequence[SoftMap]:
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


class Kept(Generic[Key, Seen]):
    """Images as a segmenter sees them, by any key, kept for the next time: the first ones, up to a limit in bytes."""

    def __init__(self, segmenter: FewShot[Any, Seen], limit: int = KEPT_BYTES) -> None:
        self._segmenter = segmenter
        self._left = limit
        self._held: dict[Key, Seen] = {}

    def keep(self, key: Key, seen: Seen) -> None:
        """Hold what was seen of an image; once there is no room for one, no other is held."""
        self._left -= seen.nbytes
        if self._left >= 0:
            self._held[key] = seen

    def get(self, key: Key, images: Gives[Key]) -> Image | Seen:
        """What is held of an image, or else the image."""
        return self._held[key] if key in self._held else images[key]

    def see(self, images: Mapping[Key, Image]) -> dict[Key, Image | Seen]:
        """Those images as they were or are now seen; where there is no room, as they are."""
        missing = [key for key in images if key not in self._held]
        for chunk in _chunks(missing, self._segmenter.batch):
            if self._left > 0:
                for key, seen in zip(chunk, self._segmenter.see([images[key] for key in chunk]), strict=True):
                    self.keep(key, seen)
        return {key: self.get(key, images) for key in images}


@dataclass(frozen=True)
class _Good(Generic[State]):
    """An accepted pair: consensus IoU, the segmenter conditioned on it alone, and what its image looks like."""

    iou: float
    state: State
    look: npt.NDArray[np.float32]


class Good(Generic[State]):
    """The accepted pairs that join D_good, at most ``limit`` of them (None: all): strong ones that differ.

    Of the `POOL` pairs of highest consensus IoU (the earlier of equal ones) the strongest is taken, then again and
    again the one that looks least like the nearest of those taken (``method.diversity``). No more pairs than the pool
    are held, however many are offered; up to ``limit`` of them, and from a ``limit`` of `POOL` on, it is the strongest.
    """

    def __init__(self, limit: int | None) -> None:
        self._limit = limit
        self._pool = None if limit is None else max(limit, POOL) if limit else 0
        self._held: dict[int, _Good[State]] = {}

    def takes(self, iou: float) -> bool:
        """Whether a pair of this agreement would be held."""
        full = self._pool is not None and len(self._held) >= self._pool
        return not full or any(held.iou < iou for held in self._held.values())

    def offer(self, index: int, iou: float, state: State, look: npt.NDArray[np.float32]) -> None:
        """Take in an accepted pair, and drop the weakest if there are too many."""
        self._held[index] = _Good(iou, state, look)
        if self._pool is not None and len(self._held) > self._pool:
            del self._held[min(self._held, key=lambda i: (self._held[i].iou, -i))]

    def chosen(self) -> list[int]:
        """Their indices, in order."""
        order = sorted(self._held, key=lambda i: (-self._held[i].iou, i))
        if self._limit is not None and len(order) > self._limit:
            looks = np.stack([self._held[index].look for index in order])
            order = [order[place] for place in farthest_first(looks, self._limit)]
        return sorted(order)

    def states(self) -> list[State]:
        """The segmenter conditioned on each of them."""
        return [self._held[index].state for index in self.chosen()]


def refine(
    segmenter: FewShot[State, Seen],
    real: Sequence[Pair],
    images: Sequence[Image],
    coarse: Sequence[Mask],
    *,
    alpha: float = ALPHA,
    keep: Keep = "coarse",
    scoring_probability: float = SCORING_PROBABILITY,
    estimate_probability: float = ESTIMATE_PROBABILITY,
    max_supports: int | None = None,
    kept_bytes: int = KEPT_BYTES,
) -> Iterator[tuple[int, Refined]]:
    """Algorithm 1 over all synthetic images of one class, pooled over its prompts.

    An image is seen once, for scoring, for its part in D_good and for its re-estimation, as long as what waits for the
    last stays within ``kept_bytes``. If ``images`` and ``coarse`` read theirs when asked, memory grows beyond that by
    what the segmenter keeps of the accepted pairs alone, and with ``max_supports`` not at all.

    Args:
        segmenter: conditions and predicts; not changed.
        real: the given pairs, at least one; they always stay in D_good.
        images, coarse: the synthetic images (H, W, 3) and their coarse masks (H, W), in step.
        alpha, keep, scoring_probability: see `score`.
        estimate_probability: from which a pixel is foreground in the second round.
        max_supports: most accepted pairs that join the real ones for the second round, see `Good`; None takes all, as
            the paper and the release do. Real pairs do not count against it.
        kept_bytes: most that is kept of rejected images for the second round.

    Yields:
        Index and result of each image once: first those kept in scoring, then those re-estimated.

    Raises:
        ValueError: ``images`` and ``coarse`` differ in number.
    """
    if len(images) != len(coarse):
        raise ValueError(f"{len(images)} images but {len(coarse)} coarse masks")
    state = segmenter.condition(real)
    good: Good[State] = Good(max_supports)
    waiting: Kept[int, Seen] = Kept(segmenter, kept_bytes)
    rest: dict[int, float] = {}
    for chunk in _chunks(range(len(images)), segmenter.batch):
        read = [images[index] for index in chunk]
        seen = segmenter.see(read)
        for index, image, view, soft in zip(chunk, read, seen, segmenter.predict(state, seen), strict=True):
            found = score(soft, coarse[index], alpha=alpha, keep=keep, probability=scoring_probability)
            if found.accepted:
                if good.takes(found.iou):
                    good.offer(index, found.iou, segmenter.condition([(view, found.mask)]), look(image))
                yield index, Refined(found.mask, found.iou, True, 1)
            else:
                rest[index] = found.iou
                waiting.keep(index, view)
    if rest:
        state = segmenter.join([state, *good.states()])
    for chunk in _chunks(list(rest), segmenter.batch):
        views = [waiting.get(index, images) for index in chunk]
        for index, soft in zip(chunk, segmenter.predict(state, views), strict=True):
            yield index, Refined(soft >= estimate_probability, rest[index], False, 2)


def _chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
