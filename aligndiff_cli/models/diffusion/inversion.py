"""Image-mask pairs -> embeddings v* (paper 3.4): the optimisation of Eq. 3 on a frozen model.

Several instances share one batch; each has its own v*, optimiser, and noise levels and noise from its own generator, so
that what an instance learns does not depend on its neighbours.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.amp import GradScaler
from torch.optim import AdamW

from aligndiff_cli.errors import InputError, UsageError
from aligndiff_cli.method.framing import resized
from aligndiff_cli.method.inversion import MaskedLoss, latent_mask, masked_mse, spread_vectors
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.method.schedules import cosine
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.diffusion.inversion_options import InversionOptions
from aligndiff_cli.models.diffusion.model import DiffusionModel, LatentMoments
from aligndiff_cli.models.diffusion.text import Conditioning
from aligndiff_cli.models.fit import set_rate

Progress = Callable[[int, int, float], None]

_HELD_OUT_LEVELS = 16
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


@dataclass(frozen=True, eq=False)
class _Encoded:
    """An instance as the loop needs it: rows 0..n-1 are its pairs, rows n..2n-1 their mirror images."""

    moments: LatentMoments
    masks: Tensor
    pairs: int


@dataclass(frozen=True, eq=False)
class _Draw:
    """Samples of all instances, instance by instance, on the model's device.

    ``prompts`` are the different (instance, template) that they are given with, ``rows`` the one of each sample.
    """

    x0: Tensor
    noise: Tensor
    t: Tensor
    masks: Tensor
    prompts: tuple[tuple[int, int], ...]
    rows: tuple[int, ...]


class _Learner(NamedTuple):
    """What moves one v*: where a gradient overflows, only its own step is left out and its own scale halved."""

    optimiser: AdamW
    scaler: GradScaler

    @classmethod
    def of(cls, v: nn.Parameter, model: DiffusionModel, options: InversionOptions) -> _Learner:
        # Half precision would round the small gradients of a mean over positions to nothing.
        half = model.dtype is torch.float16
        # fused: GradScaler then leaves the step out on the device, without asking it
        optimiser = AdamW([v], options.learning_rate, weight_decay=options.weight_decay, fused=half or None)
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
        progress: called after each step with (steps done, steps in all, mean loss).

    Raises:
        UsageError: an impossible size, or not one seed per instance.
        InputError: a prompt is too long.
    """
    if len(seeds) != len(instances):
        raise UsageError(f"{len(instances)} instances but {len(seeds)} seeds")
    data = [_encode(model, instance, options) for instance in instances]
    starts = [_start(model, i, options, s) for i, s in zip(instances, seeds, strict=True)]
    v = [nn.Parameter(start.to(model.device)) for start in starts]
    held_out = _draw_held_out(model, data, seeds, len(options.templates))
    initial = _held_out_losses(model, instances, options, v, held_out)
    losses = _optimise(model, instances, options, seeds, data, v, progress)
    final = _held_out_losses(model, instances, options, v, held_out)
    learned = [own.detach().float().cpu() for own in v]
    return [Inversion(*found) for found in zip(learned, losses, initial, final, strict=True)]


def _optimise(
    model: DiffusionModel,
    instances: Sequence[Instance],
    options: InversionOptions,
    seeds: Sequence[int],
    data: Sequence[_Encoded],
    v: Sequence[nn.Parameter],
    progress: Progress | None,
) -> list[tuple[LossRecord, ...]]:
    """Run the steps on ``v`` in place; the records of each instance."""
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    learners = [_Learner.of(own, model, options) for own in v]
    records: list[list[LossRecord]] = [[] for _ in instances]
    interval = -(-options.steps // _RECORDS)
    sums = torch.zeros(3, len(instances), device=model.device)
    counted = 0
    for step in range(options.steps):
        for learner in learners:
            set_rate(learner.optimiser, cosine(step, options.steps))
            learner.optimiser.zero_grad()
        for _ in range(options.accumulation):
            losses = _descend(model, instances, options, v, _draw(model, data, generators, options), learners)
            sums += torch.stack(losses).detach()
            counted += 1
        for learner in learners:
            learner.scaler.step(learner.optimiser)
            learner.scaler.update()
        if progress is not None:
            progress(step + 1, options.steps, float(losses.total.detach().mean()))
        if (step + 1) % interval == 0 or step + 1 == options.steps:
            for i, values in enumerate((sums / counted).T.tolist()):
                records[i].append(LossRecord(step + 1, *values))
            sums.zero_()
            counted = 0
    return [tuple(own) for own in records]


def _descend(
    model: DiffusionModel,
    instances: Sequence[Instance],
    options: InversionOptions,
    v: Sequence[Tensor],
    draw: _Draw,
    learners: Sequence[_Learner],
) -> MaskedLoss:
    """Add one pass's gradient to that of ``v``; the losses of each instance.

    In two halves, so that text encoders and denoiser need not be on the device together. The graph of the first would
    keep the text encoders' weights there, so with offloading it is built again when it is needed.
    """
    with torch.set_grad_enabled(not model.placement.offload):
        conditioning = _condition(model, instances, options, v, draw)
    leaves = conditioning.cut()
    losses = _losses(model, options, leaves, draw, len(instances))
    # Summed over instances: the gradient of each v* is that of its own mean loss.
    scaled = [own.scaler.scale(total / options.accumulation) for own, total in zip(learners, losses.total, strict=True)]
    torch.stack(scaled).sum().backward()
    if model.placement.offload:
        conditioning = _condition(model, instances, options, v, draw)
    conditioning.join(leaves)
    return losses


def _condition(
    model: DiffusionModel, instances: Sequence[Instance], options: InversionOptions, v: Sequence[Tensor], draw: _Draw
) -> Conditioning:
    """The prompts of a draw with their v*, encoded, each once."""
    return model.encode_prompts(
        [
            Prompt(options.templates[template], instances[i].class_name, v[i], options.insertion)
            for i, template in draw.prompts
        ]
    )


def _losses(
    model: DiffusionModel, options: InversionOptions, encoded: Conditioning, draw: _Draw, instances: int
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
    held_out: list[_Draw],
) -> list[LossRecord]:
    """Losses of each instance on the held-out draws."""
    losses = []
    for draw in held_out:
        encoded = _condition(model, instances, options, v, draw)
        losses.append(torch.stack(_losses(model, options, encoded, draw, len(instances))))
    means = torch.stack(losses).mean(0)
    return [LossRecord(0, *values) for values in means.T.tolist()]


def _draw(
    model: DiffusionModel, data: Sequence[_Encoded], generators: Sequence[torch.Generator], options: InversionOptions
) -> _Draw:
    """Random samples of each instance: pair, mirroring, noise level, template, noise."""
    rows, levels, templates = [], [], []
    for own, g in zip(data, generators, strict=True):
        pair = torch.randint(own.pairs, (options.batch,), generator=g)
        mirrored = torch.rand(options.batch, generator=g) < options.flip
        rows.append(pair + own.pairs * mirrored)
        levels.append(torch.randint(model.train_steps, (options.batch,), generator=g))
        templates.append(_templates(len(options.templates), options.batch, g))
    return _gather(model, data, rows, torch.cat(levels), templates, generators)


def _templates(known: int, count: int, generator: torch.Generator) -> list[int]:
    """The template of each of ``count`` samples; where there is one, nothing is drawn."""
    return [0] * count if known == 1 else torch.randint(known, (count,), generator=generator).tolist()


def _draw_held_out(
    model: DiffusionModel, data: Sequence[_Encoded], seeds: Sequence[int], templates: int
) -> list[_Draw]:
    """Fixed samples at evenly spaced noise levels, in passes small enough for any group; the templates take turns."""
    generators = [torch.Generator().manual_seed(item_seed(seed, "held-out")) for seed in seeds]
    levels = (torch.arange(_HELD_OUT_LEVELS) + 0.5) / _HELD_OUT_LEVELS * model.train_steps
    draws = []
    for k, chunk in enumerate(levels.long().split(4)):
        rows = [(torch.arange(len(chunk)) + len(chunk) * k) % own.pairs for own in data]
        turns = [(n + len(chunk) * k) % templates for n in range(len(chunk))]
        draws.append(_gather(model, data, rows, chunk.repeat(len(data)), [turns] * len(data), generators))
    return draws


def _gather(
    model: DiffusionModel,
    data: Sequence[_Encoded],
    rows: Sequence[Tensor],
    levels: Tensor,
    templates: Sequence[Sequence[int]],
    generators: Sequence[torch.Generator],
) -> _Draw:
    """The latents of ``rows`` of each instance, drawn from their moments, with fresh noise at ``levels``."""
    given = [(i, template) for i, own in enumerate(templates) for template in own]
    prompts = tuple(sorted(set(given)))
    x0, noise, masks = [], [], []
    for own, index, g in zip(data, rows, generators, strict=True):
        mean, std = own.moments.mean[index], own.moments.std[index]
        x0.append(mean + std * torch.randn(mean.shape, generator=g).to(mean.device))
        noise.append(torch.randn(mean.shape, generator=g))
        masks.append(own.masks[index])
    latents = torch.cat(x0)
    times = model.training_times(levels, (latents.shape[-2], latents.shape[-1])).to(model.device)
    noisy = torch.cat(noise).to(model.device)
    return _Draw(latents, noisy, times, torch.cat(masks), prompts, tuple(prompts.index(own) for own in given))


def _encode(model: DiffusionModel, instance: Instance, options: InversionOptions) -> _Encoded:
    """Encode each image and its mirror image once."""
    height, width = options.size or model.image_size
    images = [resized(image, height, width, options.framing) for image in instance.images]
    moments = model.encode_images(images + [image[:, ::-1] for image in images])
    size = model.latent_size(height, width)
    masks = torch.cat([_small_mask(mask, size, options) for mask in instance.masks])
    return _Encoded(moments, torch.cat([masks, masks.flip(-1)]).to(model.device), len(images))


def _small_mask(mask: np.ndarray, size: tuple[int, int], options: InversionOptions) -> Tensor:
    y = torch.from_numpy(np.ascontiguousarray(mask))[None]
    return latent_mask(y, size, mode=options.mask_mode, threshold=options.mask_threshold)


def _start(model: DiffusionModel, instance: Instance, options: InversionOptions, seed: int) -> Tensor:
    """(vectors, dim): the initialiser's embedding, in the space v* is inserted into."""
    word = model.word_embedding(options.initializer)
    if options.insertion == "encoded":
        with torch.no_grad():
            word = model.encoded_word(Prompt(options.templates[0], instance.class_name, word))
    return spread_vectors(word, options.vectors, torch.Generator().manual_seed(item_seed(seed, "start")))
