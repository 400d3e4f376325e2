"""Sharper edges for a mask from a promptable segmenter: what to prompt it with, and which answer to believe.

Beyond the paper, whose masks are as sharp as the few-shot segmenter makes them; off unless asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aligndiff_cli.method.consensus import Mask, iou

MIN_IOU = 0.7
"""Agreement with the mask below which an answer is of something else; ours."""


@dataclass(frozen=True)
class Prompt:
    """What a mask says to a promptable segmenter, in pixels of its image, x to the right and y down.

    Attributes:
        box: left, top, right, bottom; the outermost pixels of the mask, inclusive.
        point: x and y of a pixel deep inside the mask.
    """

    box: tuple[int, int, int, int]
    point: tuple[int, int]


@dataclass(frozen=True)
class Sharpened:
    """The result for one mask.

    Attributes:
        mask: the mask to use, bool (H, W): an answer, or the one before.
        iou: of the best answer with the mask before, in [0, 1]; 0 without an answer.
        accepted: whether that answer is used.
    """

    mask: Mask
    iou: float
    accepted: bool


def prompt_of(mask: Mask) -> Prompt:
    """Box and deepest point of a mask, bool (H, W), that is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    box = (int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1]))
    return Prompt(box, deepest(mask))


def deepest(mask: Mask) -> tuple[int, int]:
    """x and y of a pixel that survives most erosions by a 3 x 3 square; outside the image counts as outside.

    Of several, the one nearest to their mean.
    """
    left = mask
    while (inner := eroded(left)).any():
        left = inner
    rows, columns = np.nonzero(left)
    nearest = np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2)
    return int(columns[nearest]), int(rows[nearest])


def eroded(mask: Mask) -> Mask:
    """The pixels whose eight neighbours are in the mask too."""
    padded = np.pad(mask, 1)
    tall = padded[:-2] & padded[1:-1] & padded[2:]
    return tall[:, :-2] & tall[:, 1:-1] & tall[:, 2:]


def choose(mask: Mask, answers: Sequence[Mask], min_iou: float = MIN_IOU) -> Sharpened:
    """The answer that agrees best with the mask, if it agrees well enough; otherwise the mask as it is.

    Args:
        mask: bool (H, W).
        answers: bool (H, W) each; may be none.
        min_iou: least IoU with the mask.
    """
    agreements = [iou(mask, answer) for answer in answers]
    best = max(agreements, default=0.0)
    if not agreements or best < min_iou or best == 0.0:
        return Sharpened(mask, best, False)
    return Sharpened(answers[agreements.index(best)], best, True)
