"""The pocket U-Net and text encoder, trained together on encoded pictures and fresh captions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.pocket.captions import caption, known_words
from aligndiff_cli.pocket.pool import encode_pool, load_pool
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


def train_diffusion(work: Path, steps: int, until: int, batch: int, seed: int, device: torch.device) -> None:
    """Train, resuming from ``work/diffusion.safetensors`` if it is there.

    Args:
        work: folder with the VAE's state and the rendered pool.
        steps: length of the learning-rate schedule.
        until: step to stop after.
        batch: samples per step.
        seed: of weights, batches, noise and captions.
        device: where to train.
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
    progress = Progress()
    for step in range(start, until):
        rng = np.random.default_rng(item_seed(seed, f"diffusion/step/{step}"))
        chosen = rng.integers(0, len(entries), batch)
        captions = [caption(rng, e.concept, e.adjectives, e.tint) for e in (entries[i] for i in chosen)]
        tokens = tokenizer(captions, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="pt")
        x0 = latents[torch.from_numpy(chosen)].to(device)
        noise = torch.from_numpy(rng.standard_normal(x0.shape, np.float32)).to(device)
        t = torch.from_numpy(rng.integers(0, len(alphas_bar), batch)).to(device)
        a = alphas_bar[t].view(-1, 1, 1, 1)
        predicted = model(a.sqrt() * x0 + (1 - a).sqrt() * noise, t, tokens.input_ids.to(device))
        loss = ((predicted - noise).square().mean((1, 2, 3)) * min_snr_weight(alphas_bar, t)).mean()
        for group in optimizer.param_groups:
            group["lr"] = scheduled_lr(step, steps, PEAK_LR)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        ema.update(model, step)
        if progress.step(step + 1, until, loss.item(), batch):
            save_state(work / "diffusion.safetensors", model, optimizer, ema, step + 1)
