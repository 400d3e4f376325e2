"""Training batches: made from (seed, name of the training, step) alone, a batch ahead of the network."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor

from aligndiff_cli.method.seeds import item_seed

LabelledImage = tuple[np.ndarray, np.ndarray]
"""An image, uint8 (H, W, 3), and its labels, uint8 (H, W), 255 where ignored."""
WORKERS = 4


def batches(
    make: Callable[[np.random.Generator], LabelledImage], seed: int, name: str, steps: range, count: int | range
) -> Iterator[tuple[Tensor, Tensor]]:
    """One batch per step, each of its samples drawn from its own seed, so that a resumed training sees the same ones.

    While a batch is being learnt from, threads make the next one; no more than two are ever held.

    Args:
        make: draws one sample; called from several threads.
        steps: numbers of the steps to be taken.
        count: samples in a batch; a range for those of them that are wanted.

    Yields:
        images uint8 (N, 3, H, W) and labels int64 (N, H, W).
    """

    indices = range(count) if isinstance(count, int) else count

    def one(step: int, index: int) -> LabelledImage:
        return make(np.random.default_rng(item_seed(seed, f"{name}/{step}/{index}")))

    with ThreadPoolExecutor(WORKERS) as pool:
        waiting = None
        for step in [*steps, None]:
            ready, waiting = waiting, None
            if step is not None:
                waiting = [pool.submit(one, step, index) for index in indices]
            if ready is not None:
                yield to_tensors([future.result() for future in ready])


def to_tensors(samples: list[LabelledImage]) -> tuple[Tensor, Tensor]:
    """Samples of one size as tensors: images (N, 3, H, W) uint8, labels (N, H, W) int64."""
    images = torch.from_numpy(np.stack([image for image, _ in samples])).permute(0, 3, 1, 2)
    return images, torch.from_numpy(np.stack([labels for _, labels in samples])).long()
