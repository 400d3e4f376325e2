"""The sampling loop: batched, classifier-free guidance, one generator per item, attention on request."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aligndiff_cli.errors import UsageError
from aligndiff_cli.method.attention import soft_maps
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.diffusion.model import DiffusionModel
from aligndiff_cli.models.diffusion.sampling_options import SampleOptions as SampleOptions
from aligndiff_cli.models.diffusion.schedulers import build_scheduler, scale_input, scheduler_step, set_steps
from aligndiff_cli.models.diffusion.start import Start, last_steps, noised
from aligndiff_cli.models.diffusion.text import Conditioning


@torch.inference_mode()
def sample(
    model: DiffusionModel,
    prompts: Sequence[Prompt],
    seeds: Sequence[int],
    options: SampleOptions,
    start: Start | None = None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Draw one image per prompt, with the attention to its class name.

    Args:
        seeds: one per prompt; the starting noise and any later noise of an item depend on its seed alone.
        start: pictures to begin from, one per prompt; None for noise alone (the paper).

    Returns:
        images (B, H, W, 3) uint8, and coarse maps (B, H, W) float32 in [0, 1] or None without capture.

    Raises:
        UsageError: an impossible size, step count, scheduler or attention level.
    """
    height, width = options.height or model.image_size[0], options.width or model.image_size[1]
    h, w = model.latent_size(height, width)
    conditioning = model.encode_prompts(prompts)
    tokens = options.attention_tokens or model.defaults.attention_tokens
    wanted = (conditioning.object_tokens(tokens), options.attention_levels, tokens)
    with model.capture((h, w), *wanted) if options.capture else nullcontext() as sums:
        latents = denoise(model, conditioning, seeds, (h, w), options, start)
    images = model.decode(latents)
    if sums is None:
        return images, None
    scaling = options.attention_scaling or model.defaults.attention_scaling
    return images, soft_maps(sums.means(), sums.valid, (height, width), scaling).cpu().numpy()


def check_sampling(model: DiffusionModel, options: SampleOptions, strength: float | None = None) -> None:
    """Refuse, before anything is made, what this model cannot do.

    Args:
        strength: that of samples which begin from pictures, if there are to be any.

    Raises:
        UsageError: as :func:`sample`.
    """
    latent_size = model.latent_size(options.height or model.image_size[0], options.width or model.image_size[1])
    _guidance(model, options)
    _scheduler(model, options, latent_size, None if strength is None else Start((), strength))
    if options.capture:
        tokens = options.attention_tokens or model.defaults.attention_tokens
        with model.capture(latent_size, [(1,)], options.attention_levels, tokens):
            pass


def _guidance(model: DiffusionModel, options: SampleOptions) -> float:
    guidance = model.defaults.guidance if options.guidance is None else options.guidance
    if guidance > 1 and model.guidance_kind == "none":
        raise UsageError(f"this model was distilled without guidance, got {guidance:g}", remedy="Leave guidance out")
    if options.negative and not (guidance > 1 and model.guidance_kind == "unconditional"):
        why = "with a guidance of 1 or less" if guidance <= 1 else "for this model, which is told its guidance"
        raise UsageError(f"a negative prompt has no meaning {why}", remedy="Leave out the negative prompt")
    return guidance


def _scheduler(
    model: DiffusionModel, options: SampleOptions, latent_size: tuple[int, int], start: Start | None
) -> tuple[Any, Tensor]:
    """A fresh scheduler, set to the number of steps, and the noise levels of those that are run."""
    steps = options.steps or model.defaults.steps
    scheduler = build_scheduler(options.scheduler or model.defaults.scheduler, model.scheduler)
    timesteps = set_steps(scheduler, steps, model.device, model.schedule(steps, latent_size))
    if start is not None:
        timesteps = last_steps(scheduler, timesteps, steps, start.steps(steps))
    return scheduler, timesteps


def _unwanted(model: DiffusionModel, negative: str, count: int) -> Conditioning:
    """What guidance leads away from: the empty prompt or a negative one, ``count`` times."""
    if not negative:
        return model.unconditional(count)
    encoded = model.encode_prompts([Prompt("{class}", negative)]).select([0] * count)
    return replace(encoded, class_tokens=((),) * count, v_tokens=((),) * count)


def denoise(
    model: DiffusionModel,
    conditioning: Conditioning,
    seeds: Sequence[int],
    latent_size: tuple[int, int],
    options: SampleOptions,
    start: Start | None = None,
) -> Tensor:
    """Latents (B, C, h, w) from noise, or from noised pictures.

    With guidance by a second pass, a batch is [unconditional rows, conditional rows]; a distilled model is told the
    scale and makes one pass.
    """
    if len(seeds) != len(conditioning.hidden):
        raise UsageError(f"{len(conditioning.hidden)} prompts but {len(seeds)} seeds")
    guidance = _guidance(model, options)
    scheduler, timesteps = _scheduler(model, options, latent_size, start)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    shape = (1, model.latent_channels, *latent_size)
    noise = torch.cat([torch.randn(shape, generator=g, dtype=model.dtype) for g in generators]).to(model.device)
    if start is None:
        x_t = noise * getattr(scheduler, "init_noise_sigma", 1.0)
    else:
        x_t = noised(scheduler, _encoded(model, start, noise), noise, timesteps[0])
    twice = guidance > 1 and model.guidance_kind == "unconditional"
    if twice:
        conditioning = conditioning.after(_unwanted(model, options.negative, len(seeds)))
    conditioning = replace(conditioning, guidance=guidance)
    for t in timesteps:
        x_in = scale_input(scheduler, torch.cat([x_t] * 2) if twice else x_t, t)
        output = model.predict(x_in, t, conditioning)
        if twice:
            without, with_prompt = output.chunk(2)
            output = without + guidance * (with_prompt - without)
        x_t = scheduler_step(scheduler, output, t, x_t, generators)
    return x_t


def _encoded(model: DiffusionModel, start: Start, like: Tensor) -> Tensor:
    """The pictures' latents, their means, in the shape and precision of ``like``."""
    x0 = model.encode_images(start.images).mean
    if x0.shape != like.shape:
        expected, got = (f"{len(x)} with latents of {tuple(x.shape[-2:])}" for x in (like, x0))
        raise UsageError(f"expected a picture of its size for each sample to begin from, {expected}, got {got}")
    return x0.to(like)
