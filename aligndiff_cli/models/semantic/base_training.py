"""The base learning stage: DeepLab on the base classes alone (paper 4.1, D.3; GAPS's settings). Resumable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.errors import FolderError
from aligndiff_cli.labels import IGNORE
from aligndiff_cli.method.augmentation import augment
from aligndiff_cli.method.schedules import poly
from aligndiff_cli.models.fit import fit
from aligndiff_cli.models.parallel import ALONE, Ranks
from aligndiff_cli.models.semantic.batches import LabelledImage, batches
from aligndiff_cli.models.semantic.deeplab import DeepLab
from aligndiff_cli.models.training_state import REMEDY, Checkpoints, load_tensors

MOMENTUM, WEIGHT_DECAY = 0.9, 1e-4
WEIGHTS = "model.safetensors"


@dataclass(frozen=True)
class BaseSettings:
    """How the base classes are learnt; the values here are the paper's (D.3).

    Attributes:
        epochs, batch, learning_rate: of SGD with momentum 0.9, weight decay 1e-4 and a polynomial schedule.
        crop: (height, width) of training windows in pixels.
    """

    epochs: int = 20
    batch: int = 32
    learning_rate: float = 0.01
    crop: tuple[int, int] = (512, 512)

    def steps(self, images: int) -> int:
        """Optimization steps over so many images."""
        return max(1, self.epochs * images // self.batch)


def train_base(
    model: DeepLab,
    images: Sequence[LabelledImage],
    settings: BaseSettings,
    seed: int,
    folder: Path,
    advance: Callable[[int], None],
    ranks: Ranks = ALONE,
) -> None:
    """Train, or go on with a training, or read the weights of one that is done; the model is changed in place.

    Args:
        images: base images with labels as rows of the classifier, 255 where ignored; read when asked for.
        folder: holds state.safetensors while training, model.safetensors once it is done.
        advance: called with the number of steps taken.
        ranks: the processes that train together; the first writes the files, and all have the same weights at the end.

    Raises:
        FolderError: what the folder holds is damaged or of another network.
    """
    steps = settings.steps(len(images))
    if (folder / WEIGHTS).is_file():
        tensors = load_tensors(folder / WEIGHTS)
        try:
            model.load_state_dict(tensors)
        except RuntimeError as error:
            raise FolderError("holds the weights of another network", folder / WEIGHTS, REMEDY) from error
        advance(steps)
        return
    optimizer = torch.optim.SGD(model.parameters(), settings.learning_rate, MOMENTUM, weight_decay=WEIGHT_DECAY)
    checkpoints = Checkpoints(folder / WEIGHTS, model, optimizer)
    first = checkpoints.first
    advance(first)

    def draw(rng: np.random.Generator) -> LabelledImage:
        return augment(rng, *images[int(rng.integers(len(images)))], settings.crop)

    net = ranks.share(model.train())
    drawn = batches(draw, seed, "base", range(first, steps), ranks.part(settings.batch), model.mean.device)

    def loss(_: int, batch: tuple[Tensor, Tensor]) -> Tensor:
        pixels, labels = batch
        return batch_loss(net(pixels), labels, ranks)

    def after(taken: int, _: Tensor | None) -> None:
        advance(1)
        if ranks.rank == 0:
            checkpoints.step(taken)

    fit(optimizer, drawn, loss, lambda step: poly(step, steps), after, first=first)
    if ranks.rank == 0:
        checkpoints.finish()
    ranks.wait()
    if ranks.rank != 0:  # the running statistics of the last step are each process's own
        model.load_state_dict(load_tensors(folder / WEIGHTS))


def batch_loss(logits: Tensor, labels: Tensor, ranks: Ranks) -> Tensor:
    """Mean cross-entropy over a batch's pixels; where several processes share it, a part that averages to that mean.

    Args:
        logits: (N, classes, H, W).
        labels: int64 (N, H, W), 255 where ignored.
    """
    if ranks.count == 1:
        return F.cross_entropy(logits, labels, ignore_index=IGNORE)
    pixels = ranks.sum((labels != IGNORE).sum())
    return F.cross_entropy(logits, labels, ignore_index=IGNORE, reduction="sum") * ranks.count / pixels
