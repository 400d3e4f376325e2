"""The gauge of conditioning: how much of what the U-Net says depends on the caption."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import CLIPTokenizer

from aligndiff_cli.datasets.emoji_classes import EMOJI_5I_CLASSES, prompt_name
from aligndiff_cli.pocket.recipe.denoiser import Denoiser
from aligndiff_cli.pocket.recipe.pool import Pool
from aligndiff_cli.pocket.recipe.text import MAX_TOKENS

LEVELS = (980, 700, 400)
CLASSES = EMOJI_5I_CLASSES[::2]
"""Ten of the known classes, far apart."""


@torch.no_grad()
def spread(
    model: Denoiser, tokenizer: CLIPTokenizer, alphas_bar: Tensor, x0: Tensor, bare: bool = False
) -> dict[int, float]:
    """At each of `LEVELS`, the spread over ten captions of the picture predicted from one x_t.

    The picture is x0 = sqrt(a) x_t - sqrt(1 - a) v, so that models of either kind of prediction compare.

    Args:
        model: in training; its present weights are used.
        tokenizer, alphas_bar: its tokenizer and noise schedule.
        x0: (1, C, h, w), a clean picture's latents.
        bare: whether the states after the last word are those of the empty caption.
    """
    text = [f"a photo of a {prompt_name(name)}" for name in CLASSES]
    tokens = tokenizer(text, padding="max_length", max_length=MAX_TOKENS, return_tensors="pt").input_ids.to(x0.device)
    states = model.states(tokens, torch.full((len(text),), bare, device=x0.device))
    noise = torch.randn(x0.shape, generator=torch.Generator().manual_seed(0)).to(x0)
    found = {}
    for level in LEVELS:
        a = alphas_bar[level]
        x_t = (a.sqrt() * x0 + (1 - a).sqrt() * noise).expand(len(text), -1, -1, -1)
        v = model.unet(x_t, level, states).sample
        found[level] = relative_spread(a.sqrt() * x_t - (1 - a).sqrt() * v)
    return found


def relative_spread(outputs: Tensor) -> float:
    """Root mean square distance of outputs (B, C, h, w) from their mean, in units of latents of unit variance."""
    return float((outputs - outputs.mean(0)).square().mean().sqrt())


def spread_line(model: Denoiser, tokenizer: CLIPTokenizer, alphas_bar: Tensor, pool: Pool) -> str:
    """Both gauges in one line, for the training's log."""
    x0 = pool.latents[:1].float().to(alphas_bar.device) * pool.scale
    whole, bare = (spread(model, tokenizer, alphas_bar, x0, bare) for bare in (False, True))
    levels = "  ".join(f"{level}: {whole[level]:.4f} / {bare[level]:.4f}" for level in LEVELS)
    return f"gauge (all states / name's own only)  {levels}"
