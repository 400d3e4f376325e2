"""Training batches: made from (seed, name of the training, step) alone, a batch ahead of the network, on its device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.device import pinned, to_device

LabelledImage = tuple[np.ndarray, np.ndarray]
"""An image, uint8 (H, W, 3), and its labels, uint8 (H, W), 255 where ignored."""
WORKERS = 4
CPU = torch.device("cpu")


def batches(
    make: Callable[[np.random.Generator], LabelledImage],
    seed: int,
    name: str,
    steps: range,
    count: int | range,
    device: torch.device = CPU,
) -> Iterator[tuple[Tensor, Tensor]]:
    """One batch per step, each of its samples drawn from its own seed, so that a resumed training sees the same ones.

    While a batch is being learnt from, threads make and stack the next one, and a GPU fetches it without the CPU
    waiting; no more than two are ever held.

    Args:
        make: draws one sample; called from several threads.
        steps: numbers of the steps to be taken.
        count: samples in a batch; a range for those of them that are wanted.
        device: where the batches are wanted.

    Yields:
        images uint8 (N, 3, H, W) and labels int64 (N, H, W), on the device.
    """

    indices = range(count) if isinstance(count, int) else count

    def one(step: int, index: int) -> LabelledImage:
        return make(np.random.default_rng(item_seed(seed, f"{name}/{step}/{index}")))

    def together(samples: Sequence[Future[LabelledImage]]) -> tuple[Tensor, Tensor]:
        # it may wait for samples that were asked for before it, so they are being made: the threads take them in turn
        images, labels = stacked([sample.result() for sample in samples])
        return pinned(images, device), pinned(labels, device)

    with ThreadPoolExecutor(WORKERS) as pool:
        waiting: Future[tuple[Tensor, Tensor]] | None = None
        for step in [*steps, None]:
            ready, waiting = waiting, None
            if step is not None:
                waiting = pool.submit(together, [pool.submit(one, step, index) for index in indices])
            if ready is not None:
                images, labels = (to_device(part, device) for part in ready.result())
                yield images, labels.long()


def to_tensors(samples: Sequence[LabelledImage]) -> tuple[Tensor, Tensor]:
    """Samples of one size as tensors: images (N, 3, H, W) uint8, labels (N, H, W) int64."""
    images, labels = stacked(samples)
    return images, labels.long()


def stacked(samples: Sequence[LabelledImage]) -> tuple[Tensor, Tensor]:
    """Samples of one size as tensors: images (N, 3, H, W), labels (N, H, W), both uint8."""
    images = torch.from_numpy(np.stack([image for image, _ in samples])).permute(0, 3, 1, 2)
    return images, torch.from_numpy(np.stack([labels for _, labels in samples]))
