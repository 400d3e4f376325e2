"""Episodic training of HSNet on a frozen backbone, resumable, the best validation mIoU kept (D.4)."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.errors import FolderError
from aligndiff_cli.models.segmenters.backbone import Image
from aligndiff_cli.models.segmenters.base import Mask, Pair, Segmenter
from aligndiff_cli.models.segmenters.hsnet import HSNet, hypercorrelation

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
    first, best = _resume(net, adam, folder)
    total = 0.0
    for step in range(first, steps):
        adam.param_groups[0]["lr"] = LEARNING_RATE * min(1.0, max(0.1, 2.0 * (1.0 - step / steps)))
        net.train()
        loss = episode_loss(net, batches(step))
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        total += loss.item()
        if (step + 1) % every == 0 or step + 1 == steps:
            score = validate(net.eval())
            log(f"step {step + 1}: loss {total / every:.4f}, validation mIoU {score:.4f}")
            total = 0.0
            if score > best:
                best = score
                save_file(_tensors(net), folder / "best.safetensors")
            _save(net, adam, folder, step + 1, best)
    net.load_state_dict(_read(folder / "best.safetensors")[0])
    return best


def _tensors(net: HSNet) -> dict[str, Tensor]:
    return {key: value.detach().cpu().clone() for key, value in net.state_dict().items()}


def _save(net: HSNet, adam: torch.optim.Adam, folder: Path, step: int, best: float) -> None:
    tensors = {f"net.{key}": value for key, value in _tensors(net).items()}
    for index, moments in adam.state_dict()["state"].items():
        tensors |= {f"adam.{index}.{key}": value.cpu().clone() for key, value in moments.items()}
    unfinished = folder / "last.tmp"
    save_file(tensors, unfinished, metadata={"at": json.dumps({"step": step, "best": best})})
    unfinished.replace(folder / "last.safetensors")


def _resume(net: HSNet, adam: torch.optim.Adam, folder: Path) -> tuple[int, float]:
    path = folder / "last.safetensors"
    if not path.is_file():
        return 0, -1.0
    tensors, about = _read(path)
    try:
        net.load_state_dict({key[4:]: value for key, value in tensors.items() if key.startswith("net.")})
    except RuntimeError as error:
        raise FolderError(
            "the training in this folder is of another network", path, "Choose an empty folder."
        ) from error
    state: dict[int, dict[str, Tensor]] = defaultdict(dict)
    for key, value in tensors.items():
        if key.startswith("adam."):
            _, index, name = key.split(".")
            state[int(index)][name] = value
    adam.load_state_dict({"state": dict(state), "param_groups": adam.state_dict()["param_groups"]})
    at = json.loads(about["at"])
    return int(at["step"]), float(at["best"])


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    with safe_open(path, framework="pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
