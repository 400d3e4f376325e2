"""The pocket VAE: 64 x 64 pictures to 16 x 16 x 4 latents and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.datasets import emoji_classes as classes
from aligndiff_cli.datasets.emoji import EmojiWorld
from aligndiff_cli.datasets.emoji_pictures import BACKGROUNDS, object_picture, smooth_background
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.pocket.training import Ema, Progress, ema_weights, load_state, save_state, scheduled_lr

IMAGE_SIZE = 64
KL_WEIGHT = 1e-6
EDGE_WEIGHT = 0.5
AREA_WEIGHT = 2.0


def build_vae() -> AutoencoderKL:
    """An untrained VAE with factor 4, 650,000 parameters, without attention."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 64),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=8,
        sample_size=IMAGE_SIZE,
        mid_block_add_attention=False,
    )


def vae_pictures(world: EmojiWorld, count: int, seed: int) -> NDArray[np.uint8]:
    """Pictures (count, 64, 64, 3) of known and train-split classes, none of a rare class."""
    pictures = np.empty((count, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    size = (IMAGE_SIZE, IMAGE_SIZE)
    words = list(BACKGROUNDS)
    for i in range(count):
        rng = np.random.default_rng(item_seed(seed, f"vae/{i}"))
        if i % 2:
            concept = classes.FSS_TRAIN[rng.integers(len(classes.FSS_TRAIN))]
            pictures[i] = world.fss_picture(rng, concept, size)[0]
        else:
            sprites = world.drawings(classes.KNOWN[rng.integers(len(classes.KNOWN))])
            background = smooth_background(rng, size, words[rng.integers(len(words))])
            pictures[i] = object_picture(rng, sprites[rng.integers(len(sprites))], size, background)[0]
    return pictures


def reconstruction_loss(decoded: Tensor, images: Tensor) -> Tensor:
    """L1 on pixels, on their differences to the right and below, and on 4 x 4 means.

    The differences ask for sharp edges, the means for true colours of areas. Both (B, 3, H, W) in [-1, 1].
    """
    error = decoded - images
    edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return error.abs().mean() + EDGE_WEIGHT * edges + AREA_WEIGHT * F.avg_pool2d(error, 4).abs().mean()


def vae_loss(vae: AutoencoderKL, images: Tensor, noise: Tensor, encoder: bool = True) -> Tensor:
    """Reconstruction and a little KL; without `encoder` the latents are taken as they are.

    Args:
        vae: the model.
        images: (B, 3, H, W) in [-1, 1].
        noise: (B, 4, H / 4, W / 4), standard normal.
        encoder: whether the encoder learns as well.
    """
    with torch.set_grad_enabled(encoder):
        posterior = vae.encode(images).latent_dist
        latents = posterior.mean + posterior.std * noise
    loss = reconstruction_loss(vae.decode(latents).sample, images)
    return loss + KL_WEIGHT * posterior.kl().mean() if encoder else loss


def to_tensor(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 (B, H, W, 3) to float (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


def train_vae(
    world: EmojiWorld, work: Path, steps: int, batch: int, pool: int, seed: int, device: torch.device
) -> None:
    """Train, resuming from ``work/vae.safetensors`` if it is there; states are written there as well."""
    torch.manual_seed(item_seed(seed, "vae/weights"))
    vae = build_vae().to(device).train()
    _train(vae, "vae", world, work, steps, batch, pool, seed, 3e-3)


def train_decoder(
    world: EmojiWorld, work: Path, steps: int, batch: int, pool: int, seed: int, device: torch.device
) -> None:
    """Train the decoder on, the encoder (and with it all stored latents) being left as it is.

    Starts from ``work/vae.safetensors``; its own states are ``work/decoder.safetensors``.
    """
    vae = build_vae().to(device).train()
    vae.load_state_dict(ema_weights(work / "vae.safetensors"))
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    _train(vae, "decoder", world, work, steps, batch, pool, seed, 1e-3)


def _train(
    vae: AutoencoderKL,
    name: str,
    world: EmojiWorld,
    work: Path,
    steps: int,
    batch: int,
    pool: int,
    seed: int,
    peak: float,
) -> None:
    learning = [p for p in vae.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, weight_decay=1e-4, betas=(0.9, 0.99))
    ema = Ema(vae, 0.995)
    start = load_state(work / f"{name}.safetensors", vae, optimizer, ema)
    pictures = vae_pictures(world, pool, seed)
    progress = Progress()
    for step in range(start, steps):
        rng = np.random.default_rng(item_seed(seed, f"{name}/step/{step}"))
        generator = torch.Generator().manual_seed(item_seed(seed, f"{name}/noise/{step}"))
        images = to_tensor(pictures[rng.integers(0, pool, batch)], vae.device)
        noise = torch.randn(batch, 4, IMAGE_SIZE // 4, IMAGE_SIZE // 4, generator=generator).to(vae.device)
        for group in optimizer.param_groups:
            group["lr"] = scheduled_lr(step, steps, peak)
        loss = vae_loss(vae, images, noise, encoder=name == "vae")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learning, 1.0)
        optimizer.step()
        ema.update(vae, step)
        if progress.step(step + 1, steps, loss.item(), batch):
            save_state(work / f"{name}.safetensors", vae, optimizer, ema, step + 1)
