"""Training a grounding module on base classes, the diffusion model frozen. Resumable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from aligndiff_cli.errors import UsageError
from aligndiff_cli.labels import IGNORE
from aligndiff_cli.method.grounding import mask_loss
from aligndiff_cli.method.schedules import cosine
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.diffusion.grounding import (
    LAYERS,
    NORM_GROUPS,
    WIDTH,
    Grounding,
    build_grounding,
    name_classes,
    read_features,
    upsample,
    word_states,
)
from aligndiff_cli.models.diffusion.model import DiffusionModel
from aligndiff_cli.models.fit import fit
from aligndiff_cli.models.semantic.batches import LabelledImage, batches
from aligndiff_cli.models.training_state import Checkpoints, load_tensors

WEIGHT_DECAY = 1e-2
WEIGHTS = "grounding.safetensors"
NAME = "grounding"


@dataclass(frozen=True)
class GroundingSettings:
    """How the module is trained: AdamW, weight decay 1e-2, a cosine schedule down to zero; and how large it is.

    Attributes:
        steps: optimization steps.
        batch: objects per step.
        learning_rate: at the first step.
        width, layers: see `Grounding`.
        dice: weight of dice beside cross-entropy (Li et al.: none).

    Raises:
        UsageError: the width is no multiple of 8.
    """

    steps: int = 500
    batch: int = 16
    learning_rate: float = 1e-3
    width: int = WIDTH
    layers: int = LAYERS
    dice: float = 1.0

    def __post_init__(self) -> None:
        if self.width % NORM_GROUPS:
            raise UsageError(f"the grounding module's width must be a multiple of {NORM_GROUPS}, got {self.width}")


def is_trained(folder: Path) -> bool:
    """Whether a training was brought to its end in this folder."""
    return (folder / WEIGHTS).is_file()


def load_grounding(folder: Path, model: DiffusionModel) -> Grounding:
    """The trained module of a folder, of whatever size it was trained.

    Raises:
        FolderError: the weights are damaged.
    """
    tensors = load_tensors(folder / WEIGHTS)
    layers = len({name.split(".")[2] for name in tensors if name.startswith("decoder.layers.")})
    net = build_grounding(model, 0, len(tensors["query.weight"]), layers)
    net.load_state_dict(tensors)
    return net


def train_grounding(
    model: DiffusionModel,
    names: Sequence[str],
    draw: Callable[[np.random.Generator], LabelledImage],
    settings: GroundingSettings,
    seed: int,
    folder: Path,
    advance: Callable[[int], None],
) -> Grounding:
    """Train a module, or go on with its training.

    Args:
        model: frozen; its features are read anew for every sample.
        names: of classes 1, 2, ...
        draw: one training sample: an image of the model's size, and labels that are the index of one class where it is
            seen, 0 elsewhere, 255 where ignored; called from several threads.
        folder: holds state.safetensors while training, grounding.safetensors once it is done.
        advance: called with the number of steps taken.

    Raises:
        FolderError: the state cannot be read.
    """
    net = build_grounding(model, item_seed(seed, NAME), settings.width, settings.layers).train()
    optimizer = torch.optim.AdamW(net.parameters(), settings.learning_rate, weight_decay=WEIGHT_DECAY)
    checkpoints = Checkpoints(folder / WEIGHTS, net, optimizer)
    first = checkpoints.first
    advance(first)
    named = name_classes(model, names)
    words = word_states(named)

    def loss(step: int, batch: tuple[Tensor, Tensor]) -> Tensor | None:
        images, labels = batch
        classes = labels.where(labels != IGNORE, 0).amax((1, 2))
        shown = (classes > 0).nonzero()[:, 0]  # an object that shrank to nothing teaches nothing
        if not len(shown):
            return None
        rows = classes[shown] - 1
        generator = torch.Generator().manual_seed(item_seed(seed, f"{NAME}/noise/{step}"))
        pictures = [image.permute(1, 2, 0).numpy() for image in images[shown]]
        features = read_features(model, pictures, named.select(rows.tolist()), generator)
        return _loss(net(features, words[rows.to(words.device)]), labels[shown], settings.dice)

    def after(taken: int, _: Tensor | None) -> None:
        advance(1)
        checkpoints.step(taken)

    drawn = batches(draw, seed, NAME, range(first, settings.steps), settings.batch)
    fit(optimizer, drawn, loss, lambda step: cosine(step, settings.steps), after, first=first)
    checkpoints.finish()
    return net


def _loss(logits: Tensor, labels: Tensor, dice: float) -> Tensor:
    labels = labels.to(logits.device)
    full = upsample(logits, labels.shape[1:])
    return mask_loss(full, ((labels > 0) & (labels != IGNORE)).float(), (labels != IGNORE).float(), dice)
