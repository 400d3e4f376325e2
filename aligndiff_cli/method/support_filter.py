"""D.4: which synthetic pairs are good enough to join a support set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from aligndiff_cli.method.consensus import FewShot, Image, Mask, Seen, State, iou

BETA = 0.5
PROBABILITY = 0.5


@dataclass(frozen=True)
class Verdict:
    """How well one synthetic pair, alone as support, segments the real support images.

    Attributes:
        iou: mean over the real images, in [0, 1].
        kept: whether it exceeds beta.
    """

    iou: float
    kept: bool


def filter_supports(
    segmenter: FewShot[State, Seen],
    candidates: Sequence[tuple[Image | Seen, Mask]],
    real: Sequence[tuple[Image | Seen, Mask]],
    *,
    ignored: Sequence[Mask] | None = None,
    beta: float = BETA,
) -> list[Verdict]:
    """Judge each candidate by using it alone to segment the real support images (paper D.4).

    The paper has one real image; with several the mean IoU counts. A candidate with an empty mask
    can condition nothing and scores 0.

    Args:
        candidates: synthetic pairs, image (H, W, 3), seen or not, and mask (H, W).
        real: the given pairs, at least one.
        ignored: pixels of each that count for nothing, bool (H, W); None for none.
        beta: what the IoU must exceed.

    Returns:
        One verdict per candidate, in order.
    """
    images = [image for image, _ in real]
    counted = [~own for own in ignored] if ignored is not None else [np.ones_like(mask) for _, mask in real]
    verdicts: list[Verdict] = []
    for image, mask in candidates:
        value = 0.0
        if mask.any():
            maps = segmenter.predict(segmenter.condition([(image, mask)]), images)
            values = [
                iou((soft >= PROBABILITY) & own, truth & own)
                for soft, (_, truth), own in zip(maps, real, counted, strict=True)
            ]
            value = sum(values) / len(values)
        verdicts.append(Verdict(value, value > beta))
    return verdicts
