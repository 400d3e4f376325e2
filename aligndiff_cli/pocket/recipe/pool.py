"""The diffusion model's training pictures: rendered once, encoded once, captioned anew at each step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from aligndiff_cli.datasets import emoji_classes as classes
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.pocket.recipe.drawings import NAMED, UNNAMED, load_drawings
from aligndiff_cli.pocket.recipe.pictures import calm_picture, to_tensor

PER_DRAWING, PER_KNOWN_DRAWING = 16, 64
"""Pictures of each drawing, and of those of the 28 known classes."""

KNOWN_WEIGHT, UNNAMED_WEIGHT = 4.0, 0.5
"""How often a drawing of a known class, and one without a name, is shown; other named ones count 1."""


@dataclass(frozen=True)
class Entry:
    """What is true of one picture of the pool.

    Attributes:
        drawing: index of the drawing it shows.
        artist, concept: see `Drawing`.
        adjectives: those that hold.
    """

    drawing: int
    artist: str
    concept: str
    adjectives: list[str]


def render_pool(icons: Path, work: Path, side: int, seed: int, unnamed: bool = True) -> None:
    """Render calm pictures of every training drawing into `work`.

    Writes ``pool.npy``, uint8 (count, side, side, 3), and ``pool.json``, one `Entry` each. Does nothing if they exist.
    """
    if (work / "pool.json").exists():
        return
    drawings = load_drawings(icons, [*NAMED, *(UNNAMED if unnamed else ())], side)
    counts = [PER_KNOWN_DRAWING if d.concept in classes.KNOWN else PER_DRAWING for d in drawings]
    work.mkdir(parents=True, exist_ok=True)
    pictures = np.lib.format.open_memmap(work / "pool.npy", "w+", np.uint8, (sum(counts), side, side, 3))
    entries: list[dict[str, object]] = []
    for index, drawing in enumerate(drawings):
        for i in range(counts[index]):
            rng = np.random.default_rng(item_seed(seed, f"pool/{drawing.artist}/{drawing.concept}/{i}"))
            pictures[len(entries)], adjectives = calm_picture(rng, drawing, side)
            entries.append(asdict(Entry(index, drawing.artist, drawing.concept, adjectives)))
    pictures.flush()
    (work / "pool.json").write_text(json.dumps(entries))


@torch.no_grad()
def encode_pool(vae: AutoencoderKL, work: Path, device: torch.device) -> None:
    """Encode ``pool.npy`` into ``latents.safetensors``: unscaled means, float16 (count, C, h, w)."""
    path = work / "latents.safetensors"
    if path.exists():
        return
    pictures = np.load(work / "pool.npy", mmap_mode="r")
    means = [
        vae.encode(to_tensor(np.array(pictures[i : i + 64]), device)).latent_dist.mean.half().cpu()
        for i in range(0, len(pictures), 64)
    ]
    save_file({"latents": torch.cat(means).contiguous()}, path)


class Pool:
    """Latents of the training pictures, drawn by drawing.

    Args:
        latents: float16 (count, C, h, w).
        entries: one each.

    Attributes:
        latents, entries: as given.
        scale: 1 over the latents' standard deviation.
    """

    def __init__(self, latents: Tensor, entries: Sequence[Entry]) -> None:
        self.latents, self.entries = latents, entries
        self.scale = float(1 / latents[:: max(1, len(latents) // 4096)].float().std())
        order = np.array([entry.drawing for entry in entries])
        self._starts = np.flatnonzero(np.diff(order, prepend=-1))  # pictures of one drawing lie together
        self._counts = np.diff(self._starts, append=len(order))
        weights = np.array([weight(entries[int(i)].concept) for i in self._starts])
        self._shares = weights / weights.sum()

    @staticmethod
    def load(work: Path) -> Pool:
        """The pool that `render_pool` and `encode_pool` left in `work`."""
        entries = [Entry(**fields) for fields in json.loads((work / "pool.json").read_text())]
        return Pool(load_file(work / "latents.safetensors")["latents"], entries)

    def draw(self, rng: np.random.Generator, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Indices of `count` pictures, and of another picture of the same drawing for each."""
        drawing = rng.choice(len(self._starts), count, p=self._shares)
        first = rng.integers(0, self._counts[drawing])
        step = rng.integers(1, self._counts[drawing])
        return self._starts[drawing] + first, self._starts[drawing] + (first + step) % self._counts[drawing]

    def scaled(self, index: NDArray[np.int64]) -> Tensor:
        """Latents of unit variance, float32 (count, C, h, w)."""
        return self.latents[torch.from_numpy(index)].float() * self.scale


def weight(concept: str) -> float:
    """How often a drawing of a concept is shown, to that of a named one."""
    if concept in classes.KNOWN:
        return KNOWN_WEIGHT
    return UNNAMED_WEIGHT if concept in UNNAMED else 1.0
