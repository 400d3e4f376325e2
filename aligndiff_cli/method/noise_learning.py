"""Noise learning: a segmenter trained on coarse masks tells which of them disagree with the others.

After DiffuMask (Wu et al. 2023, "DiffuMask: synthesizing images with pixel-level annotations for semantic segmentation
using diffusion models"; paper 3.6 and Table A2). The images of a class are dealt into folds; a segmenter trained on the
coarse masks of the other folds predicts each; where its prediction and the coarse mask overlap too little, the pair is
noise and dropped. DiffuMask then trains on the rest, with the masks they have: so here a kept image keeps its coarse
mask, and the model to be trained on the result is the user's own. With ``keep="prediction"`` it gets the held-out
prediction instead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

import numpy as np

from aligndiff_cli.method.consensus import ESTIMATE_PROBABILITY, Image, Keep, Mask, Refined, SoftMap, iou
from aligndiff_cli.method.seeds import item_seed

FOLDS = 3
NOISE_IOU = 0.6
CHUNK = 16
"""Images predicted at once."""

Predict = Callable[[Sequence[Image]], Sequence[SoftMap]]


class Learner(Protocol):
    """Trains a segmenter of one class on image-mask pairs."""

    def learn(self, images: Sequence[Image], masks: Sequence[Mask], chosen: Sequence[int], name: str) -> Predict:
        """A function from images (H, W, 3) to foreground probabilities (H, W).

        Args:
            images, masks: in step.
            chosen: indices of the pairs to learn from, and from no other.
            name: tells this training from others, for its seed.
        """
        ...


def deal(ids: Sequence[str], folds: int, seed: int) -> list[list[int]]:
    """Deal items into folds of equal size (give or take one), in the order of a hash of (seed, id).

    Returns:
        Per fold, the indices of its items, ascending; no more folds than items.
    """
    order = sorted(range(len(ids)), key=lambda index: (item_seed(seed, f"fold/{ids[index]}"), ids[index]))
    return [sorted(order[first::folds]) for first in range(min(folds, len(ids)))]


def judge(prediction: SoftMap, coarse: Mask, *, threshold: float = NOISE_IOU, keep: Keep = "coarse") -> Refined:
    """Keep a coarse mask, or drop it as noise.

    Args:
        prediction: foreground probability (H, W) by a segmenter that has not seen this image.
        coarse: the coarse mask (H, W).
        threshold: IoU of both from which the image is kept.
        keep: which mask a kept image gets.

    Returns:
        The result; a dropped image has an empty mask.
    """
    predicted = prediction >= ESTIMATE_PROBABILITY
    agreement = iou(predicted, coarse)
    mask = coarse if keep == "coarse" else predicted
    if agreement >= threshold and mask.any():
        return Refined(mask, agreement, True, 1)
    return Refined(np.zeros_like(coarse), agreement, False, 1)


def learn_noise(
    learner: Learner,
    ids: Sequence[str],
    images: Sequence[Image],
    coarse: Sequence[Mask],
    *,
    folds: int = FOLDS,
    threshold: float = NOISE_IOU,
    keep: Keep = "coarse",
    seed: int = 0,
) -> Iterator[tuple[int, Refined]]:
    """Cross-validate the coarse masks of one class.

    Args:
        learner: trains a segmenter per fold.
        ids: decide, with the seed, which fold an image is in.
        images, coarse: the images (H, W, 3) and their coarse masks (H, W), in step with ``ids``; may be lazy.
        folds: parts, at least 2.
        threshold, keep: see ``judge``.

    Yields:
        Index and result of each image once, fold by fold. A single image has no others to learn from, and is dropped.
    """
    parts = deal(ids, folds, seed)
    for number, held_out in enumerate(parts):
        others = sorted(index for part in parts if part is not held_out for index in part)
        if not others:
            yield from ((index, judge(np.zeros(coarse[index].shape, np.float32), coarse[index])) for index in held_out)
            continue
        predict = learner.learn(images, coarse, others, f"fold/{number}")
        for start in range(0, len(held_out), CHUNK):
            chunk = held_out[start : start + CHUNK]
            for index, soft in zip(chunk, predict([images[index] for index in chunk]), strict=True):
                yield index, judge(soft, coarse[index], threshold=threshold, keep=keep)
