"""Image-mask pairs -> embeddings v* (paper 3.4): the optimisation of Eq. 3 on a frozen model.

Several instances share one batch; each has its own v*, optimiser, and noise levels and noise from its own generator, so
that what an instance learns does not depend on its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import AdamW

from aligndiff_cli.errors import InputError, UsageError
from aligndiff_cli.method.inversion import MaskedLoss, masked_mse, spread_vectors
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.method.schedules import cosine
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.diffusion.inversion_draws import Draw, Encoded, draw_held_out, draw_samples, encode
from aligndiff_cli.models.diffusion.inversion_options import InversionOptions
from aligndiff_cli.models.diffusion.model import DiffusionModel
from aligndiff_cli.models.diffusion.text import Conditioning
from aligndiff_cli.models.fit import set_rate

Progress = Callable[[int, int, float], None]

_RECORDS = 20


@dataclass(frozen=True, eq=False)
class Instance:
    """What one v* is learned from: one image-mask pair (the paper), or several of one class (the release).

    Attributes:
        class_name: in words.
        images: each uint8 (H, W, 3), of any sizes.
        masks: each bool (H, W), of its image's size.
    """

    class_name: str
    images: tuple[np.ndarray, ...]
    masks: tuple[np.ndarray, ...]

    def __post_init__(self) -> None:
        if not self.images or len(self.images) != len(self.masks):
            raise InputError(f"{len(self.images)} images and {len(self.masks)} masks of {self.class_name}")
        for image, mask in zip(self.images, self.masks, strict=True):
            if image.shape[:2] != mask.shape:
                raise InputError(
                    f"an image of {image.shape[:2]} with a mask of {mask.shape} (height, width)",
                    remedy="Give each image a mask of its own size",
                )


class LossRecord(NamedTuple):
    """Mean losses over the steps up to ``step`` since the previous record."""

    step: int
    total: float
    foreground: float
    background: float


@dataclass(frozen=True, eq=False)
class Inversion:
    """A learned v*.

    Attributes:
        embedding: (vectors, dim) float32 on the CPU.
        losses: about twenty records along the way.
        initial, final: losses on noise levels and noise held out from learning, the same before and after.
    """

    embedding: Tensor
    losses: tuple[LossRecord, ...]
    initial: LossRecord
    final: LossRecord

    @property
    def diverged(self) -> bool:
        """Whether it is none: its numbers, or the losses it gives, are not finite."""
        return not (bool(torch.isfinite(self.embedding).all()) and math.isfinite(self.final.total))


class _Learner(NamedTuple):
    """What moves one v*: where a gradient overflows, only its own step is left out and its own scale halved."""

    optimiser: AdamW
    scaler: GradScaler

    @classmethod
    def of(cls, v: nn.Parameter, model: DiffusionModel, options: InversionOptions) -> _Learner:
        # Half precision would round the small gradients of a mean over positions to nothing.
        half = model.dtype is torch.float16
        # fused: GradScaler then leaves the step out on the device, without asking it
        fused = True if half and model.device.type == "cuda" else None
        optimiser = AdamW([v], options.learning_rate, weight_decay=options.weight_decay, fused=fused)
        return cls(optimiser, GradScaler(model.device.type, enabled=half))


def invert(
    model: DiffusionModel,
    instances: Sequence[Instance],
    options: InversionOptions,
    seeds: Sequence[int],
    progress: Progress | None = None,
) -> list[Inversion]:
    """Learn one v* per instance, all in one batch of ``len(instances) * options.batch`` samples.

    Args:
        seeds: one per instance.
        progress: called after each step with (steps done, steps in all, mean loss when it was last read).

    Raises:
        UsageError: an impossible size, or not one seed per instance.
        InputError: a prompt is too long.
    """
    if len(seeds) != len(instances):
        raise UsageError(f"{len(instances)} instances but {len(seeds)} seeds")
    data = encode(model, [(instance.images, instance.masks) for instance in instances], options)
    starts = [_start(model, i, options, s) for i, s in zip(instances, seeds, strict=True)]
    v = [nn.Parameter(start.to(model.device)) for start in starts]
    held_out = draw_held_out(model, data, seeds, len(options.templates))
    initial = _held_out_losses(model, instances, options, v, held_out)
    with _checkpointed(model.denoiser) if options.checkpointing else nullcontext():
        losses = _optimise(model, instances, options, seeds, data, v, progress)
    final = _held_out_losses(model, instances, options, v, held_out)
    learned = [own.detach().float().cpu() for own in v]
    return [Inversion(*found) for found in zip(learned, losses, initial, final, strict=True)]


@contextmanager
def _checkpointed(denoiser: Any) -> Iterator[None]:
    """While open, the blocks of a U-Net or transformer of diffusers are computed again in the backward pass."""
    denoiser.enable_gradient_checkpointing()
    try:
        yield
    finally:
        denoiser.disable_gradient_checkpointing()


def _optimise(
    model: DiffusionModel,
    instances: Sequence[Instance],
    options: InversionOptions,
    seeds: Sequence[int],
    data: Encoded,
    v: Sequence[nn.Parameter],
    progress: Progress | None,
) -> list[tuple[LossRecord, ...]]:
    """Run the steps on ``v`` in place; the records of each instance."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    learners = [_Learner.of(own, model, options) for own in v]
    records: list[list[LossRecord]] = [[] for _ in instances]
    interval = -(-options.steps // _RECORDS)
    sums = torch.zeros(3, len(instances), device=model.device)
    counted, shown = 0, math.nan
    for step in range(options.steps):
        for learner in learners:
            set_rate(learner.optimiser, cosine(step, options.steps))
            learner.optimiser.zero_grad()
        draws = [draw_samples(model, data, generators, options) for _ in range(options.accumulation)]
        for losses in _descend(model, instances, options, v, draws, learners):
            sums += torch.stack(losses).detach()
            counted += 1
        for learner in learners:
            learner.scaler.step(learner.optimiser)
            learner.scaler.update()
        due = (step + 1) % interval == 0 or step + 1 == options.steps
        if due or step == 0:  # each look makes the device wait
            means = (sums / counted).T.tolist()
            shown = sum(total for total, *_ in means) / len(means)
        if due:
            for own, values in zip(records, means, strict=True):
                own.append(LossRecord(step + 1, *values))
            sums.zero_()
            counted = 0
        if progress is not None:
            progress(step + 1, options.steps, shown)
    return [tuple(own) for own in records]


def _descend(
    model: DiffusionModel,
    instances: Sequence[Instance],
    options: InversionOptions,
    v: Sequence[Tensor],
    draws: Sequence[Draw],
    learners: Sequence[_Learner],
) -> Iterator[MaskedLoss]:
    """Add the gradient of each pass to that of ``v``; the losses of each instance, pass by pass.

    In two halves, so that text encoders and denoiser need not be on the device together. The graph of the first would
    keep the text encoders' weights there, so with offloading it is built again when it is needed; else a pass with the
    prompts of the one before takes that one's.
    """
    offload, conditioning = model.placement.offload, None
    for number, draw in enumerate(draws):
        if conditioning is None or offload or draw.prompts != draws[number - 1].prompts:
            with torch.set_grad_enabled(not offload):
                conditioning = _condition(model, instances, options, v, draw)
        leaves = conditioning.cut()
        losses = _losses(model, options, leaves, draw, len(instances))
        totals = zip(learners, losses.total, strict=True)
        # Summed over instances: the gradient of each v* is that of its own mean loss.
        torch.stack([own.scaler.scale(total / options.accumulation) for own, total in totals]).sum().backward()
        if offload:
            conditioning = _condition(model, instances, options, v, draw)
        conditioning.join(leaves, keep=number + 1 < len(draws))
        yield losses


def _condition(
    model: DiffusionModel, instances: Sequence[Instance], options: InversionOptions, v: Sequence[Tensor], draw: Draw
) -> Conditioning:
    """The prompts of a draw with their v*, encoded, each once."""
    return model.encode_prompts(
        [
            Prompt(options.templates[template], instances[i].class_name, v[i], options.insertion)
            for i, template in draw.prompts
        ]
    )


def _losses(
    model: DiffusionModel, options: InversionOptions, encoded: Conditioning, draw: Draw, instances: int
) -> MaskedLoss:
    """Mean losses of each instance, each (instances,)."""
    each = len(draw.t) // instances
    conditioning = encoded.select(draw.rows)
    x_t, target = model.noise_and_target(draw.x0, draw.noise, draw.t)
    error = model.predict(x_t, draw.t, conditioning).float() - target
    losses = masked_mse(options.loss, error, draw.masks, options.background_weight)
    return MaskedLoss(*(loss.unflatten(0, (instances, each)).mean(1) for loss in losses))


@torch.no_grad()
def _held_out_losses(
    model: DiffusionModel,
    instances: Sequence[Instance],
    options: InversionOptions,
    v: Sequence[Tensor],
    held_out: list[Draw],
) -> list[LossRecord]:
    """Losses of each instance on the held-out draws."""
    losses = []
    for draw in held_out:
        encoded = _condition(model, instances, options, v, draw)
        losses.append(torch.stack(_losses(model, options, encoded, draw, len(instances))))
    means = torch.stack(losses).mean(0)
    return [LossRecord(0, *values) for values in means.T.tolist()]


def _start(model: DiffusionModel, instance: Instance, options: InversionOptions, seed: int) -> Tensor:
    """(vectors, dim): the initialiser's embedding, in the space v* is inserted into."""
    word = model.word_embedding(options.initializer)
    if options.insertion == "encoded":
        with torch.no_grad():
            word = model.encoded_word(Prompt(options.templates[0], instance.class_name, word))
    return spread_vectors(word, options.vectors, torch.Generator().manual_seed(item_seed(seed, "start")))
