"""The pocket VAE: pictures to latents of an eighth of their size with 16 channels, and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.datasets.emoji_pictures import rough_picture
from aligndiff_cli.method.schedules import warm_cosine
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.fit import fit
from aligndiff_cli.models.segmenters import POCKET
from aligndiff_cli.models.segmenters.backbone import Backbone, load_backbone
from aligndiff_cli.models.training_state import save_state
from aligndiff_cli.pocket.recipe.drawings import NAMED, UNNAMED, Drawing, load_drawings
from aligndiff_cli.pocket.recipe.pictures import calm_picture, to_tensor
from aligndiff_cli.pocket.recipe.training import KEPT, Ema, LossLog, ema_weights, resume

CHANNELS = 16
"""Latent channels, as many as Stable Diffusion 3's and Flux's."""

FACTOR = 8
KL_WEIGHT = 1e-6
EDGE_WEIGHT = 0.5
AREA_WEIGHT = 2.0
FEATURE_WEIGHT = 0.05

LATENT_NOISE = 0.1
"""Of the latents' spread, added while the decoder is trained on: what a diffusion model draws is never exact."""


def build_vae(image_size: int) -> AutoencoderKL:
    """An untrained VAE of factor 8, 1.7 M parameters, without attention."""
    return AutoencoderKL(
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 96),
        layers_per_block=1,
        latent_channels=CHANNELS,
        norm_num_groups=8,
        sample_size=image_size,
        mid_block_add_attention=False,
    )


def vae_pictures(drawings: Sequence[Drawing], count: int, side: int, seed: int) -> NDArray[np.uint8]:
    """Pictures (count, side, side, 3) of training drawings: one half calm, one as rough as Emoji-FSS."""
    pictures = np.empty((count, side, side, 3), np.uint8)
    for i in range(count):
        rng = np.random.default_rng(item_seed(seed, f"vae/{i}"))
        drawing = drawings[int(rng.integers(len(drawings)))]
        draw = calm_picture(rng, drawing, side) if i % 2 else rough_picture(rng, drawing.sprite, (side, side))
        pictures[i] = draw[0]
    return pictures


def reconstruction_loss(decoded: Tensor, images: Tensor) -> Tensor:
    """L1 on pixels, on their differences to the right and below, and on 4 x 4 means.

    The differences ask for sharp edges, the means for true colours of areas. Both (B, 3, H, W) in [-1, 1].
    """
    error = decoded - images
    edges = (error[..., 1:] - error[..., :-1]).abs().mean() + (error[..., 1:, :] - error[..., :-1, :]).abs().mean()
    return error.abs().mean() + EDGE_WEIGHT * edges + AREA_WEIGHT * F.avg_pool2d(error, 4).abs().mean()


def feature_loss(backbone: Backbone, decoded: Tensor, images: Tensor) -> Tensor:
    """Mean absolute difference of the first two stages' features, each channel by its spread over the batch.

    Args:
        backbone: frozen.
        decoded, images: (B, 3, H, W) in [-1, 1].
    """

    def maps(x: Tensor) -> list[Tensor]:
        return backbone.maps(((x + 1) / 2 - backbone.mean) / backbone.std, (1, 2))

    with torch.no_grad():
        true = maps(images)
    spreads = [b.std((0, 2, 3), keepdim=True).clamp(min=1e-3) for b in true]
    return torch.stack(
        [((a - b) / s).abs().mean() for a, b, s in zip(maps(decoded), true, spreads, strict=True)]
    ).mean()


def train_vae(
    icons: Path, work: Path, side: int, steps: int, batch: int, pool: int, seed: int, device: torch.device
) -> None:
    """Train on pictures of `side` pixels, resuming from ``work/vae.safetensors`` if it is there."""
    torch.manual_seed(item_seed(seed, "vae/weights"))
    vae = build_vae(side).to(device).train()

    def loss(images: Tensor, noise: Tensor) -> Tensor:
        posterior = vae.encode(images).latent_dist
        decoded = vae.decode(posterior.mean + posterior.std * noise).sample
        return reconstruction_loss(decoded, images) + KL_WEIGHT * posterior.kl().mean()

    _train(vae, loss, "vae", icons, work, steps, batch, pool, seed, 2e-3)


def train_decoder(
    icons: Path, work: Path, side: int, steps: int, batch: int, pool: int, seed: int, device: torch.device
) -> None:
    """Train the decoder on, with the features' loss; the encoder, and with it all stored latents, stays as it is.

    Starts from ``work/vae.safetensors``; its own states are ``work/decoder.safetensors``.
    """
    vae = build_vae(side).to(device).train()
    vae.load_state_dict(ema_weights(work / "vae.safetensors"))
    vae.encoder.requires_grad_(False)
    vae.quant_conv.requires_grad_(False)
    backbone = load_backbone(POCKET, device)

    def loss(images: Tensor, noise: Tensor) -> Tensor:
        with torch.no_grad():
            latents = vae.encode(images).latent_dist.mean
        decoded = vae.decode(latents + LATENT_NOISE * latents.std() * noise).sample
        return reconstruction_loss(decoded, images) + FEATURE_WEIGHT * feature_loss(backbone, decoded, images)

    _train(vae, loss, "decoder", icons, work, steps, batch, pool, seed, 1e-3)


def trained_vae(work: Path, side: int) -> AutoencoderKL:
    """The averaged VAE of ``work/vae.safetensors``, with ``work/decoder.safetensors``'s decoder if there is one."""
    vae = build_vae(side).eval()
    vae.load_state_dict(ema_weights(work / "vae.safetensors"))
    decoder = work / "decoder.safetensors"
    if decoder.exists() or (KEPT / decoder.name).exists():
        vae.load_state_dict(ema_weights(decoder), strict=False)
    return vae


def _train(
    vae: AutoencoderKL,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    name: str,
    icons: Path,
    work: Path,
    steps: int,
    batch: int,
    pool: int,
    seed: int,
    peak: float,
) -> None:
    learning = [p for p in vae.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learning, peak, weight_decay=1e-4, betas=(0.9, 0.99), fused=True)
    ema = Ema(vae, 0.998)
    path = work / f"{name}.safetensors"
    start = resume(path, vae, optimizer, ema)
    side = int(vae.config.sample_size)
    pictures = vae_pictures(load_drawings(icons, [*NAMED, *UNNAMED], side), pool, side, seed)
    log = LossLog()

    def loss(step: int, _: int) -> Tensor:
        rng = np.random.default_rng(item_seed(seed, f"{name}/step/{step}"))
        generator = torch.Generator().manual_seed(item_seed(seed, f"{name}/noise/{step}"))
        images = to_tensor(pictures[rng.integers(0, pool, batch)], vae.device)
        noise = torch.randn(batch, CHANNELS, side // FACTOR, side // FACTOR, generator=generator).to(vae.device)
        return loss_of(images, noise)

    def after(taken: int, found: Tensor | None) -> None:
        assert found is not None
        ema.update(vae, taken - 1)
        if log.step(taken, steps, found.item(), batch):
            save_state(path, vae, optimizer, taken, ema.mean)

    fit(optimizer, range(start, steps), loss, lambda step: warm_cosine(step, steps), after, first=start, clip=1.0)
