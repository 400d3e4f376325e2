"""Episodic training of HSNet on a frozen backbone, resumable, the best validation mIoU kept (D.4)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.models.fit import fit
from aligndiff_cli.models.segmenters.backbone import Image
from aligndiff_cli.models.segmenters.base import Mask, Pair, Segmenter
from aligndiff_cli.models.segmenters.hsnet import HSNet, hypercorrelation
from aligndiff_cli.models.training_state import load_state, load_tensors, save_state, save_tensors

LEARNING_RATE = 1e-3


@dataclass(frozen=True)
class Batch:
    """One step's one-shot episodes, as frozen features.

    Attributes:
        queries: levels fine to coarse, each (N, L, C, h, w).
        supports: the same of the supports, masked.
        truth: query masks, int64 (N, S, S) in {0, 1}.
    """

    queries: Sequence[Tensor]
    supports: Sequence[Tensor]
    truth: Tensor


@dataclass(frozen=True)
class Episode:
    """A query with its true mask, the supports, and the class all are of."""

    category: str
    supports: Sequence[Pair]
    image: Image
    mask: Mask


def episode_loss(net: HSNet, batch: Batch) -> Tensor:
    """Cross-entropy of the logits, resized to the masks, over all pixels."""
    pairs = [hypercorrelation(q, s) for q, s in zip(batch.queries, batch.supports, strict=True)]
    logits = F.interpolate(net(pairs), batch.truth.shape[1:], mode="bilinear", align_corners=True)
    return F.cross_entropy(logits, batch.truth)


def mean_iou(
    segmenter: Segmenter, episodes: Iterable[Episode], probability: float = 0.5
) -> tuple[float, dict[str, float]]:
    """Mean over classes of pooled foreground IoU, at the images' own size, and the IoU of each class."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for episode in episodes:
        state = segmenter.condition(episode.supports)
        found = segmenter.predict(state, [episode.image])[0] >= probability
        counts[episode.category][0] += int((found & episode.mask).sum())
        counts[episode.category][1] += int((found | episode.mask).sum())
    ious = {name: both / max(either, 1) for name, (both, either) in sorted(counts.items())}
    return sum(ious.values()) / len(ious), ious


def train_hsnet(
    net: HSNet,
    batches: Callable[[int], Batch],
    validate: Callable[[HSNet], float],
    folder: Path,
    *,
    steps: int,
    every: int,
    log: Callable[[str], None] = print,
) -> float:
    """Train with Adam at 1e-3, falling to a tenth over the last half; resume where `folder` left off.

    Args:
        net: changed in place; holds the best validated weights at the end.
        batches: the episodes of a step, by its number, always the same for the same number.
        validate: validation mIoU of the weights so far.
        folder: holds last.safetensors (to resume) and best.safetensors.
        steps, every: how many steps to take, and after how many to validate and save.

    Returns:
        The best validation mIoU.
    """
    folder.mkdir(parents=True, exist_ok=True)
    adam = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    last, kept = folder / "last.safetensors", folder / "best.safetensors"
    first = load_state(last, net, adam)
    best = _score(kept) if first else -1.0
    total = 0.0

    def loss(step: int, _: int) -> Tensor:
        return episode_loss(net.train(), batches(step))

    def after(taken: int, found: Tensor | None) -> None:
        nonlocal best, total
        assert found is not None
        total += found.item()
        if taken % every and taken != steps:
            return
        score = validate(net.eval())
        log(f"step {taken}: loss {total / every:.4f}, validation mIoU {score:.4f}")
        total = 0.0
        if score > best:
            best = score
            save_tensors(kept, net.state_dict(), {"score": repr(score)})
        save_state(last, net, adam, taken)

    def rate(step: int) -> float:
        return min(1.0, max(0.1, 2.0 * (1.0 - step / steps)))

    fit(adam, range(first, steps), loss, rate, after, first=first)
    net.load_state_dict(load_tensors(kept))
    return best


def _score(path: Path) -> float:
    """The validation mIoU that the best weights so far were kept for."""
    with safe_open(path, framework="pt") as file:
        return float((file.metadata() or {})["score"])
