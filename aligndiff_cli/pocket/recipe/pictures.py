"""One training drawing on a calm background."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aligndiff_cli.datasets.emoji_pictures import BACKGROUNDS, object_picture, smooth_background
from aligndiff_cli.pocket.recipe.captions import true_adjectives
from aligndiff_cli.pocket.recipe.drawings import Drawing

SCALE, ROTATION, MIRROR = (0.7, 0.9), 5.0, 0.5
"""Calm pictures: the object's share of the frame, degrees to either side, probability of a mirror."""


def calm_picture(rng: np.random.Generator, drawing: Drawing, side: int) -> tuple[NDArray[np.uint8], list[str]]:
    """One picture (side, side, 3) on a two-tone background, and the adjectives that hold of it."""
    word = list(BACKGROUNDS)[rng.integers(len(BACKGROUNDS))]
    background = smooth_background(rng, (side, side), word)
    image, _, placement = object_picture(rng, drawing.sprite, (side, side), background, SCALE, ROTATION, MIRROR)
    return image, true_adjectives(drawing.artist, word, placement)


def to_tensor(pictures: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 (B, H, W, 3) to float (B, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(pictures).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1
