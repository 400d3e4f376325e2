"""Training samples and loss of a grounding module: windows around one object each, cross-entropy and dice.

Of these cross-entropy alone is in Li et al. 2023 ("Guiding text-to-image diffusion model towards grounded generation").
"""

from __future__ import annotations

import numpy as np
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.labels import IGNORE
from aligndiff_cli.method.augmentation import FLIP, GREY

MARGINS = (1.0, 2.0)


def object_window(
    rng: np.random.Generator,
    image: np.ndarray,
    labels: np.ndarray,
    cls: int,
    size: tuple[int, int],
    margins: tuple[float, float] = MARGINS,
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a random window around the pixels of one class, mirror it half of the time, and resize it.

    Args:
        rng: source of every random choice.
        image: uint8 (H, W, 3).
        labels: uint8 (H, W), with at least one pixel of ``cls``.
        cls: the class, in [1, 254].
        size: (height, width) wanted, pixels; the window has these proportions.
        margins: lowest and highest ratio of the window to the tightest one, at least 1; a window larger than the
            picture is cut down to it as far as the object allows.

    Returns:
        image uint8 (*size, 3) and labels uint8 (*size): ``cls``, 0, or 255 where they were ignored or there is no
        picture. A thin object may be gone after resizing.
    """
    own = labels == cls
    spans = [_span(own.any(axis)) for axis in (1, 0)]
    tightest = max((end - start) / side for (start, end), side in zip(spans, size, strict=True))
    picture = min(whole / side for whole, side in zip(own.shape, size, strict=True))
    scale = max(tightest, min(picture, tightest * rng.uniform(*margins)))
    window = [max(1, int(np.ceil(side * scale - 1e-9))) for side in size]
    top, left = (
        _offset(rng, span, whole, length) for span, whole, length in zip(spans, own.shape, window, strict=True)
    )
    target = np.where(own, np.uint8(cls), np.where(labels == IGNORE, np.uint8(IGNORE), np.uint8(0)))
    out = _window(Image.fromarray(image), GREY, top, left, window).resize(size[::-1], Image.Resampling.BILINEAR)
    out_labels = _window(Image.fromarray(target), IGNORE, top, left, window).resize(
        size[::-1], Image.Resampling.NEAREST
    )
    step = -1 if rng.random() < FLIP else 1
    return np.asarray(out)[:, ::step].copy(), np.asarray(out_labels)[:, ::step].copy()


def _span(present: np.ndarray) -> tuple[int, int]:
    """First index that is set, and one beyond the last."""
    where = np.flatnonzero(present)
    return int(where[0]), int(where[-1]) + 1


def _offset(rng: np.random.Generator, span: tuple[int, int], whole: int, window: int) -> int:
    """Where a window that holds ``span`` may begin: inside the picture if it fits, else anywhere that holds it all."""
    if window > whole:
        return int(rng.integers(whole - window, 1))
    return int(rng.integers(max(span[1] - window, 0), min(span[0], whole - window) + 1))


def _window(picture: Image.Image, ground: int | tuple[int, ...], top: int, left: int, window: list[int]) -> Image.Image:
    frame = Image.new(picture.mode, (window[1], window[0]), ground)
    frame.paste(picture, (-left, -top))
    return frame


def mask_loss(logits: Tensor, target: Tensor, counted: Tensor, dice_weight: float = 1.0) -> Tensor:
    """Binary cross-entropy over the counted pixels, plus 1 - dice (Milletari et al. 2016) averaged over samples.

    Dice is smoothed by one pixel, so that a sample without foreground has a gradient. It is ours: it lets a small
    object count in a short training.

    Args:
        logits: (N, H, W).
        target: (N, H, W), 1 foreground, 0 background.
        counted: (N, H, W), 1 where a pixel counts, 0 where it is ignored; at least one counts.
        dice_weight: of the second term (Li et al.: 0).
    """
    entropy = F.binary_cross_entropy_with_logits(logits, target, weight=counted, reduction="sum") / counted.sum()
    probability = logits.sigmoid() * counted
    target = target * counted
    overlap = 2 * (probability * target).sum((1, 2)) + 1
    dice = overlap / (probability.sum((1, 2)) + target.sum((1, 2)) + 1)
    return entropy + dice_weight * (1 - dice).mean()
