"""What inversion learns from: the latents of image-mask pairs, and samples of them."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from aligndiff_cli.method.framing import resized
from aligndiff_cli.method.inversion import latent_mask
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.device import to_device
from aligndiff_cli.models.diffusion.inversion_options import InversionOptions
from aligndiff_cli.models.diffusion.model import DiffusionModel, LatentMoments

_HELD_OUT_LEVELS = 16


@dataclass(frozen=True, eq=False)
class Encoded:
    """All instances as the loop needs them, on the model's device.

    Of an instance with n pairs, n rows are these and the next n their mirror images.

    Attributes:
        moments, masks: instance after instance.
        pairs: n of each instance.
        first: each instance's first row.
    """

    moments: LatentMoments
    masks: Tensor
    pairs: tuple[int, ...]
    first: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Draw:
    """Samples of all instances, instance by instance, on the model's device.

    ``prompts`` are the different (instance, template) that they are given with, ``rows`` the one of each sample.
    """

    x0: Tensor
    noise: Tensor
    t: Tensor
    masks: Tensor
    prompts: tuple[tuple[int, int], ...]
    rows: tuple[int, ...]


def encode(
    model: DiffusionModel,
    instances: Sequence[tuple[Sequence[np.ndarray], Sequence[np.ndarray]]],
    options: InversionOptions,
) -> Encoded:
    """Encode each image and its mirror image once.

    Args:
        instances: the images and masks of each, uint8 (H, W, 3) and bool (H, W).
    """
    height, width = options.size or model.image_size
    size = model.latent_size(height, width)
    moments, masks, pairs = [], [], []
    for given, own_masks in instances:
        images = [resized(image, height, width, options.framing) for image in given]
        moments.append(model.encode_images(images + [image[:, ::-1] for image in images]))
        own = torch.cat([_small_mask(mask, size, options) for mask in own_masks])
        masks += [own, own.flip(-1)]
        pairs.append(len(images))
    joined = LatentMoments(torch.cat([own.mean for own in moments]), torch.cat([own.std for own in moments]))
    first = itertools.accumulate((2 * n for n in pairs[:-1]), initial=0)
    return Encoded(joined, torch.cat(masks).to(model.device), tuple(pairs), tuple(first))


def _small_mask(mask: np.ndarray, size: tuple[int, int], options: InversionOptions) -> Tensor:
    y = torch.from_numpy(np.ascontiguousarray(mask))[None]
    return latent_mask(y, size, mode=options.mask_mode, threshold=options.mask_threshold)


def draw_samples(
    model: DiffusionModel, data: Encoded, generators: Sequence[torch.Generator], options: InversionOptions
) -> Draw:
    """Random samples of each instance: pair, mirroring, noise level, template, noise."""
    rows, levels, templates = [], [], []
    for pairs, g in zip(data.pairs, generators, strict=True):
        pair = torch.randint(pairs, (options.batch,), generator=g)
        mirrored = torch.rand(options.batch, generator=g) < options.flip
        rows.append(pair + pairs * mirrored)
        levels.append(torch.randint(model.train_steps, (options.batch,), generator=g))
        templates.append(_templates(len(options.templates), options.batch, g))
    return _gather(model, data, rows, torch.cat(levels), templates, generators)


def _templates(known: int, count: int, generator: torch.Generator) -> list[int]:
    """The template of each of ``count`` samples; where there is one, nothing is drawn."""
    return [0] * count if known == 1 else torch.randint(known, (count,), generator=generator).tolist()


def draw_held_out(model: DiffusionModel, data: Encoded, seeds: Sequence[int], templates: int) -> list[Draw]:
    """Fixed samples at evenly spaced noise levels, in passes small enough for any group; the templates take turns."""
    generators = [torch.Generator().manual_seed(item_seed(seed, "held-out")) for seed in seeds]
    levels = (torch.arange(_HELD_OUT_LEVELS) + 0.5) / _HELD_OUT_LEVELS * model.train_steps
    draws = []
    for k, chunk in enumerate(levels.long().split(4)):
        rows = [(torch.arange(len(chunk)) + len(chunk) * k) % pairs for pairs in data.pairs]
        turns = [(n + len(chunk) * k) % templates for n in range(len(chunk))]
        draws.append(_gather(model, data, rows, chunk.repeat(len(seeds)), [turns] * len(seeds), generators))
    return draws


def _gather(
    model: DiffusionModel,
    data: Encoded,
    rows: Sequence[Tensor],
    levels: Tensor,
    templates: Sequence[Sequence[int]],
    generators: Sequence[torch.Generator],
) -> Draw:
    """The latents of ``rows`` of each instance, drawn from their moments, with fresh noise at ``levels``."""
    given = [(i, template) for i, own in enumerate(templates) for template in own]
    prompts = tuple(sorted(set(given)))
    spread, noise = [], []
    for own, g in zip(rows, generators, strict=True):
        shape = (len(own), *data.moments.mean.shape[1:])
        spread.append(torch.randn(shape, generator=g))
        noise.append(torch.randn(shape, generator=g))
    where = torch.cat([first + own for first, own in zip(data.first, rows, strict=True)])
    index, spread_, noise_ = (to_device(part, model.device) for part in (where, torch.cat(spread), torch.cat(noise)))
    x0 = data.moments.mean[index] + data.moments.std[index] * spread_
    times = to_device(model.training_times(levels, (x0.shape[-2], x0.shape[-1])), model.device)
    return Draw(x0, noise_, times, data.masks[index], prompts, tuple(prompts.index(own) for own in given))
