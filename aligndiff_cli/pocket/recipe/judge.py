"""The judge: a small classifier of known and rare classes, trained on real renders only."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from aligndiff_cli.datasets import emoji_classes as classes
from aligndiff_cli.datasets.emoji import EmojiWorld
from aligndiff_cli.datasets.emoji_pictures import BACKGROUNDS, object_picture, smooth_background
from aligndiff_cli.method.schedules import warm_cosine
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.fit import fit
from aligndiff_cli.pocket.recipe.pictures import to_tensor
from aligndiff_cli.pocket.recipe.training import LossLog

IMAGE_SIZE = 64
"""Side of the pictures it judges; others are resized."""

JUDGED = (*classes.KNOWN, *classes.OOD)
"""The classes told apart, in the order of the outputs."""


class Judge(nn.Sequential):
    """64 x 64 pictures to logits over `JUDGED`."""

    def __init__(self) -> None:
        widths = (3, 32, 64, 128, 192)
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise(widths)):
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
            if i:
                layers += [nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU()]
        head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(widths[-1], len(JUDGED))]
        super().__init__(*layers, *head)


def real_picture(world: EmojiWorld, rng: np.random.Generator, concept: str) -> NDArray[np.uint8]:
    """A real render (64, 64, 3): half of the time as in Emoji-FSS, else plain and object-centric, all artists."""
    size = (IMAGE_SIZE, IMAGE_SIZE)
    if rng.random() < 0.5:
        return world.fss_picture(rng, concept, size)[0]
    sprites = world.drawings(concept)
    background = smooth_background(rng, size, list(BACKGROUNDS)[rng.integers(len(BACKGROUNDS))])
    return object_picture(rng, sprites[rng.integers(len(sprites))], size, background, mirror=0.5)[0]


def _blurred(rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Half of the time through a smaller size, so that the judge does not need finest detail."""
    if rng.random() < 0.5:
        return image
    side = int(rng.integers(24, 56))
    small = Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(small.resize(image.shape[1::-1], Image.Resampling.BICUBIC))


def train_judge(
    world: EmojiWorld, work: Path, steps: int, batch: int, pool: int, seed: int, device: torch.device
) -> None:
    """Train the judge; writes ``work/judge.safetensors``."""
    work.mkdir(parents=True, exist_ok=True)
    pictures = np.empty((pool, IMAGE_SIZE, IMAGE_SIZE, 3), np.uint8)
    for i in range(pool):
        rng = np.random.default_rng(item_seed(seed, f"judge/{i}"))
        pictures[i] = _blurred(rng, real_picture(world, rng, JUDGED[i % len(JUDGED)]))
    torch.manual_seed(item_seed(seed, "judge/weights"))
    model = Judge().to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), 4e-3, weight_decay=1e-3)
    log = LossLog()

    def loss(step: int, _: int) -> Tensor:
        rng = np.random.default_rng(item_seed(seed, f"judge/step/{step}"))
        chosen = rng.integers(0, pool, batch)
        images = to_tensor(pictures[chosen], device)
        images = images * float(rng.uniform(0.8, 1.2)) + float(rng.uniform(-0.15, 0.15))
        return F.cross_entropy(model(images), torch.from_numpy(chosen % len(JUDGED)).to(device))

    def after(taken: int, found: Tensor | None) -> None:
        assert found is not None
        log.step(taken, steps, found.item(), batch)

    fit(optimizer, range(steps), loss, lambda step: warm_cosine(step, steps), after)
    save_file(model.state_dict(), work / "judge.safetensors")


def load_judge(work: Path) -> Judge:
    """The trained judge, ready to judge."""
    model = Judge().eval()
    model.load_state_dict(load_file(work / "judge.safetensors"))
    return model


@torch.no_grad()
def verdicts(judge: Judge, images: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Indices into `JUDGED` for uint8 images (B, H, W, 3)."""
    pixels = to_tensor(images, torch.device("cpu"))
    if pixels.shape[-1] != IMAGE_SIZE:
        pixels = F.interpolate(pixels, (IMAGE_SIZE, IMAGE_SIZE), mode="area")
    logits: Tensor = judge(pixels)
    return logits.argmax(1).numpy()


def held_out_accuracy(judge: Judge, world: EmojiWorld, names: tuple[str, ...], per_class: int, seed: int) -> float:
    """Mean over classes of the share of held-out real renders recognised."""
    shares = []
    for name in names:
        rngs = [np.random.default_rng(item_seed(seed, f"judge-test/{name}/{i}")) for i in range(per_class)]
        images = np.stack([real_picture(world, rng, name) for rng in rngs])
        shares.append(float((verdicts(judge, images) == JUDGED.index(name)).mean()))
    return float(np.mean(shares))
