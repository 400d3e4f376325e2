"""The pocket U-Net and text encoder, trained together on encoded pictures and fresh captions."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.pocket.captions import caption, known_words
from aligndiff_cli.pocket.pool import Entry, encode_pool, load_pool
from aligndiff_cli.pocket.text import MAX_TOKENS, WIDTH, build_text_encoder, write_tokenizer
from aligndiff_cli.pocket.training import Ema, Progress, ema_weights, load_state, save_state, scheduled_lr
from aligndiff_cli.pocket.vae import build_vae

MIN_SNR = 5.0
PEAK_LR = 1.2e-3
EMA_DECAY = 0.998


def build_unet() -> UNet2DConditionModel:
    """An untrained U-Net for 16 x 16 latents, 8.7 M parameters.

    Text cross-attention at 16 x 16 (up path), 8 x 8 (both) and 4 x 4; self-attention at 8 x 8 and 4 x 4 only, for at
    16 x 16 it would be a quarter of a training step.
    """
    return UNet2DConditionModel(
        sample_size=16,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        only_cross_attention=(True, False, False),
        block_out_channels=(64, 128, 192),
        layers_per_block=1,
        attention_head_dim=(2, 4, 6),
        cross_attention_dim=WIDTH,
        norm_num_groups=16,
    )


def build_scheduler() -> DDIMScheduler:
    """Stable Diffusion's noise schedule, sampled by DDIM, predicting the noise."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )


class Denoiser(nn.Module):
    """Text encoder and U-Net as one module, so that they share an optimiser, an average and a state file."""

    def __init__(self, tokenizer: CLIPTokenizer) -> None:
        super().__init__()
        self.text_encoder: CLIPTextModel = build_text_encoder(tokenizer)
        self.unet: UNet2DConditionModel = build_unet()

    def forward(self, x_t: Tensor, t: Tensor, tokens: Tensor) -> Tensor:
        """The noise predicted (B, 4, 16, 16) in x_t at steps t (B,) for token ids (B, `MAX_TOKENS`)."""
        encoded = self.text_encoder(tokens).last_hidden_state
        return self.unet(x_t, t, encoded).sample


def min_snr_weight(alphas_bar: Tensor, t: Tensor) -> Tensor:
    """min(SNR, 5) / SNR per sample: the weight of an error in the noise that keeps easy steps from ruling."""
    snr = alphas_bar[t] / (1 - alphas_bar[t])
    return snr.clamp(max=MIN_SNR) / snr


def trained_vae(work: Path) -> AutoencoderKL:
    """The averaged VAE of ``work/vae.safetensors``, or with its decoder of ``work/decoder.safetensors`` if there."""
    vae = build_vae().eval()
    vae.load_state_dict(ema_weights(work / "vae.safetensors"))
    if (work / "decoder.safetensors").exists():
        vae.load_state_dict(ema_weights(work / "decoder.safetensors"), strict=False)
    return vae


@dataclass(frozen=True)
class Batch:
    """Samples of one step: clean latents and noise (B, 4, 16, 16), steps t (B,), token ids (B, `MAX_TOKENS`)."""

    x0: Tensor
    noise: Tensor
    t: Tensor
    tokens: Tensor

    def parts(self, count: int) -> list[Batch]:
        """The batch cut into `count` equal parts."""
        chunks = (tensor.chunk(count) for tensor in (self.x0, self.noise, self.t, self.tokens))
        return [Batch(*part) for part in zip(*chunks, strict=True)]


def denoising_loss(model: Denoiser, alphas_bar: Tensor, batch: Batch) -> Tensor:
    """Mean weighted squared error of the predicted noise."""
    a = alphas_bar[batch.t].view(-1, 1, 1, 1)
    predicted = model(a.sqrt() * batch.x0 + (1 - a).sqrt() * batch.noise, batch.t, batch.tokens)
    errors = (predicted - batch.noise).square().mean((1, 2, 3))
    return (errors * min_snr_weight(alphas_bar, batch.t)).mean()


class SideBySide:
    """Gradients of one batch, its parts computed in threads of their own.

    With one core per thread (OMP_NUM_THREADS=1) the threads meet once per step. Threads inside each operation
    meet thousands of times, which is slow on a machine that does other work as well.

    Args:
        model: gets the gradients.
        parts: number of threads; the batch size must be a multiple of it.
    """

    def __init__(self, model: Denoiser, parts: int) -> None:
        self.replicas = [model, *(copy.deepcopy(model) for _ in range(parts - 1))]
        for replica in self.replicas[1:]:
            for own, shared in zip(replica.parameters(), model.parameters(), strict=True):
                own.data = shared.data  # one storage: the optimizer's steps reach every replica
        self._pool = ThreadPoolExecutor(parts)

    def backward(self, alphas_bar: Tensor, batch: Batch) -> float:
        """Leave the gradients of the mean loss in the model; returns that loss."""
        for replica in self.replicas:
            replica.zero_grad(set_to_none=True)
        parts = batch.parts(len(self.replicas))
        losses = list(self._pool.map(self._one, self.replicas, [alphas_bar] * len(parts), parts))
        for first, *others in zip(*(replica.parameters() for replica in self.replicas), strict=True):
            for other in others:
                first.grad.add_(other.grad)
        return sum(losses)

    def _one(self, replica: Denoiser, alphas_bar: Tensor, part: Batch) -> float:
        loss = denoising_loss(replica, alphas_bar, part) / len(self.replicas)
        loss.backward()
        return loss.item()


def train_diffusion(
    work: Path, steps: int, until: int, batch: int, seed: int, device: torch.device, parts: int = 1
) -> None:
    """Train, resuming from ``work/diffusion.safetensors`` if it is there.

    Args:
        work: folder with the VAE's state and the rendered pool.
        steps: length of the learning-rate schedule.
        until: step to stop after.
        batch: samples per step.
        seed: of weights, batches, noise and captions.
        device: where to train.
        parts: see `SideBySide`.
    """
    encode_pool(trained_vae(work).to(device), work, device)
    latents, entries = load_pool(work)
    latents = latents.float() / latents.float().std()
    tokenizer = write_tokenizer(work / "tokenizer", known_words())
    torch.manual_seed(item_seed(seed, "diffusion/weights"))
    model = Denoiser(tokenizer).to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), weight_decay=1e-2, betas=(0.9, 0.99), fused=True)
    ema = Ema(model, EMA_DECAY)
    start = load_state(work / "diffusion.safetensors", model, optimizer, ema)
    alphas_bar = build_scheduler().alphas_cumprod.to(device)
    side_by_side = SideBySide(model, parts)
    progress = Progress()
    for step in range(start, until):
        rng = np.random.default_rng(item_seed(seed, f"diffusion/step/{step}"))
        samples = draw_batch(rng, latents, entries, tokenizer, batch, len(alphas_bar), device)
        for group in optimizer.param_groups:
            group["lr"] = scheduled_lr(step, steps, PEAK_LR)
        loss = side_by_side.backward(alphas_bar, samples)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        ema.update(model, step)
        if progress.step(step + 1, until, loss, batch):
            save_state(work / "diffusion.safetensors", model, optimizer, ema, step + 1)


def draw_batch(
    rng: np.random.Generator,
    latents: Tensor,
    entries: Sequence[Entry],
    tokenizer: CLIPTokenizer,
    count: int,
    levels: int,
    device: torch.device,
) -> Batch:
    """Random pictures with fresh captions, noise and noise levels in [0, `levels`)."""
    chosen = rng.integers(0, len(entries), count)
    captions = [caption(rng, e.concept, e.adjectives, e.tint) for e in (entries[i] for i in chosen)]
    tokens = tokenizer(captions, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt")
    x0 = latents[torch.from_numpy(chosen)].to(device)
    noise = torch.from_numpy(rng.standard_normal(x0.shape, np.float32)).to(device)
    t = torch.from_numpy(rng.integers(0, levels, count)).to(device)
    return Batch(x0, noise, t, tokens.input_ids.to(device))
