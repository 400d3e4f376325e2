"""Training of U-Net, text encoder and encoder of looks on encoded pictures and fresh captions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from transformers import CLIPTokenizer

from aligndiff_cli.datasets.emoji_classes import prompt_name
from aligndiff_cli.method.schedules import trapezoid
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.fit import set_rate
from aligndiff_cli.models.training_state import save_state
from aligndiff_cli.pocket.recipe.captions import GOOD, LOOKS_SHARE, Caption, draw_caption, known_words
from aligndiff_cli.pocket.recipe.denoiser import Batch, Denoiser, build_scheduler
from aligndiff_cli.pocket.recipe.drawings import UNNAMED
from aligndiff_cli.pocket.recipe.gauge import spread_line
from aligndiff_cli.pocket.recipe.pool import Pool, encode_pool
from aligndiff_cli.pocket.recipe.side_by_side import SideBySide
from aligndiff_cli.pocket.recipe.text import MAX_TOKENS, WIDTH, write_tokenizer
from aligndiff_cli.pocket.recipe.training import Ema, LossLog, resume
from aligndiff_cli.pocket.recipe.vae import trained_vae

UNET_LR = 1e-3
TEXT_LR = 4e-4
EMA_DECAY = 0.9995
GAUGE_EVERY = 250


@dataclass(frozen=True)
class DiffusionOptions:
    """How the diffusion model is trained.

    Attributes:
        steps: length of the schedule; its last fifth brings the rate down.
        until: step to stop after.
        batch: samples per step.
        looks_share: how many captions of named drawings have vectors of looks.
        bare_share: how many captions say nothing after their last word.
        noisy_share: how many noise levels are drawn from the denser density 2 t on [0, 1]; the others evenly.
        half, parts: see `SideBySide`.
        seed: of weights, batches, noise and captions.
    """

    steps: int
    until: int
    batch: int = 16
    parts: int = 1
    looks_share: float = LOOKS_SHARE
    bare_share: float = 0.5
    noisy_share: float = 0.5
    half: bool = False
    seed: int = 0


def train_diffusion(work: Path, options: DiffusionOptions, device: torch.device) -> None:
    """Train, resuming from ``work/diffusion.safetensors`` if it is there.

    Args:
        work: folder with the VAE's state and the rendered pool.
        options: how.
        device: where.
    """
    if not (work / "latents.safetensors").exists():
        side = int(np.load(work / "pool.npy", mmap_mode="r").shape[1])
        encode_pool(trained_vae(work, side).to(device), work, device)
    pool = Pool.load(work)
    tokenizer = write_tokenizer(work / "tokenizer", known_words())
    torch.manual_seed(item_seed(options.seed, "diffusion/weights"))
    model = Denoiser(tokenizer, *pool.latents.shape[1:3]).to(device).train()
    optimizer = torch.optim.AdamW(parameter_groups(model), weight_decay=1e-2, betas=(0.9, 0.99), fused=True)
    ema = Ema(model, EMA_DECAY)
    start = resume(work / "diffusion.safetensors", model, optimizer, ema)
    alphas_bar = build_scheduler().alphas_cumprod.to(device)
    side_by_side = SideBySide(model, options.parts, options.half)
    log = LossLog(GAUGE_EVERY)
    for step in range(start, options.until):
        rng = np.random.default_rng(item_seed(options.seed, f"diffusion/step/{step}"))
        batch = draw_batch(rng, pool, tokenizer, len(alphas_bar), options, device)
        set_rate(optimizer, trapezoid(step, options.steps))
        loss = side_by_side.backward(alphas_bar, batch)  # threads leave the gradients, so that `fit` will not do
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        ema.update(model, step)
        if (step + 1) % GAUGE_EVERY == 0:
            print(spread_line(model, tokenizer, alphas_bar, pool), flush=True)
        if log.step(step + 1, options.until, loss, options.batch):
            save_state(work / "diffusion.safetensors", model, optimizer, step + 1, ema.mean)


def parameter_groups(model: Denoiser) -> list[dict[str, Any]]:
    """The text encoder learns at a rate of its own."""
    rest = [*model.unet.parameters(), *model.looks.parameters()]
    return [{"params": model.text_encoder.parameters(), "lr": TEXT_LR}, {"params": rest, "lr": UNET_LR}]


def draw_batch(
    rng: np.random.Generator,
    pool: Pool,
    tokenizer: CLIPTokenizer,
    levels: int,
    options: DiffusionOptions,
    device: torch.device,
) -> Batch:
    """Random pictures with fresh captions, noise and noise levels in [0, `levels`)."""
    count = options.batch
    chosen, others = pool.draw(rng, count)
    captions = [_caption(rng, pool, int(i), options.looks_share) for i in chosen]
    text = [caption.text for caption in captions]
    tokens = tokenizer(text, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt")
    good = (tokens.input_ids == tokenizer.convert_tokens_to_ids(f"{GOOD}</w>")).int().argmax(1)
    has_looks = torch.tensor([caption.looks for caption in captions])
    u = rng.random(count)
    u = np.where(rng.random(count) < options.noisy_share, np.sqrt(u), u)
    x0 = pool.scaled(chosen)
    drawn = Batch(
        x0=x0,
        noise=torch.from_numpy(rng.standard_normal(x0.shape, np.float32)),
        t=torch.from_numpy((u * levels).astype(np.int64)),
        tokens=tokens.input_ids,
        looks_at=torch.where(has_looks, good, -1),
        other=pool.scaled(others),
        looks_noise=torch.from_numpy(rng.standard_normal((count, WIDTH), np.float32)),
        bare=torch.from_numpy(rng.random(count) < options.bare_share),
    )
    return Batch(*(tensor.to(device) for tensor in vars(drawn).values()))


def _caption(rng: np.random.Generator, pool: Pool, index: int, looks_share: float) -> Caption:
    entry = pool.entries[index]
    name: str | None = None if entry.concept in _UNNAMED else prompt_name(entry.concept)
    return draw_caption(rng, name, entry.adjectives, looks_share)


_UNNAMED = frozenset(UNNAMED)
