"""The diffusion model's training pictures: rendered once, encoded once, captioned anew at each step."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor

from aligndiff_cli.datasets import emoji_classes as classes
from aligndiff_cli.datasets.emoji_pictures import BACKGROUNDS, TINTS, dye, object_picture, smooth_background
from aligndiff_cli.datasets.emoji_sprites import IconSets
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.pocket.captions import STYLES, TINTED_SHARE, true_adjectives
from aligndiff_cli.pocket.vae import IMAGE_SIZE, to_tensor

_SPRITE_SIDE = 80
"""Sprites are shrunk to this first: pictures of 64 px need no more, and resizing is most of the work."""


@dataclass(frozen=True)
class Entry:
    """What is true of one picture of the pool."""

    concept: str
    adjectives: list[str]
    tint: str | None


def render_pool(icons: Path, work: Path, count: int, seed: int) -> None:
    """Render object-centric pictures of the known classes by the training artists into ``work``.

    Writes ``pool.npy``, uint8 (count, 64, 64, 3), and ``pool.json``, one `Entry` each. Does nothing if they exist.
    """
    if (work / "pool.json").exists():
        return
    sets = IconSets(icons, list(STYLES))
    sprites = {
        (artist, concept): _shrunk(sets.sprite(artist, concept))
        for concept in classes.KNOWN
        for artist in sets.artists_of(concept)
    }
    drawn = sorted(sprites)
    pictures = np.empty((count, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    entries = []
    for i in range(count):
        rng = np.random.default_rng(item_seed(seed, f"pool/{i}"))
        artist, concept = drawn[rng.integers(len(drawn))]
        pictures[i], entry = pool_picture(rng, artist, concept, sprites[artist, concept])
        entries.append(asdict(entry))
    work.mkdir(parents=True, exist_ok=True)
    np.save(work / "pool.npy", pictures)
    (work / "pool.json").write_text(json.dumps(entries))


def pool_picture(
    rng: np.random.Generator, artist: str, concept: str, sprite: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], Entry]:
    """One picture (64, 64, 3) of a sprite on a two-tone background, and what is true of it."""
    word = list(BACKGROUNDS)[rng.integers(len(BACKGROUNDS))]
    tint = list(TINTS)[rng.integers(len(TINTS))] if rng.random() < TINTED_SHARE else None
    size = (IMAGE_SIZE, IMAGE_SIZE)
    piece = sprite if tint is None else dye(sprite, TINTS[tint])
    image, _, placement = object_picture(rng, piece, size, smooth_background(rng, size, word))
    return image, Entry(concept, true_adjectives(artist, word, placement), tint)


@torch.no_grad()
def encode_pool(vae: AutoencoderKL, work: Path, device: torch.device) -> None:
    """Encode ``pool.npy`` into ``latents.safetensors``: unscaled means, float16 (count, 4, 16, 16)."""
    path = work / "latents.safetensors"
    if path.exists():
        return
    pictures = np.load(work / "pool.npy", mmap_mode="r")
    means = [
        vae.encode(to_tensor(np.array(pictures[i : i + 64]), device)).latent_dist.mean.half().cpu()
        for i in range(0, len(pictures), 64)
    ]
    save_file({"latents": torch.cat(means).contiguous()}, path)


def load_pool(work: Path) -> tuple[Tensor, list[Entry]]:
    """The latents, float16 (count, 4, 16, 16), and their entries."""
    entries = [Entry(**fields) for fields in json.loads((work / "pool.json").read_text())]
    return load_file(work / "latents.safetensors")["latents"], entries


def _shrunk(sprite: NDArray[np.uint8]) -> NDArray[np.uint8]:
    ratio = _SPRITE_SIDE / max(sprite.shape[:2])
    size = (max(1, round(sprite.shape[1] * ratio)), max(1, round(sprite.shape[0] * ratio)))
    return np.asarray(Image.fromarray(sprite).resize(size, Image.Resampling.LANCZOS))
