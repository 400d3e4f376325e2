"""Pictures of the emoji world: one sprite on a background, or a scene of several, with exact masks.

Everything random comes from the generator handed in. Images are uint8 (H, W, 3), masks bool (H, W), label
maps uint8 (H, W); sizes are (height, width) in pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Size = tuple[int, int]
Rgb = tuple[int, int, int]

BACKGROUNDS: dict[str, tuple[Rgb, Rgb]] = {
    "sunny": ((250, 222, 120), (255, 244, 200)),
    "grassy": ((120, 180, 90), (205, 230, 165)),
    "snowy": ((222, 228, 236), (250, 250, 252)),
    "nightly": ((24, 28, 58), (70, 76, 120)),
    "sandy": ((205, 176, 132), (238, 220, 186)),
    "rosy": ((232, 150, 165), (250, 212, 216)),
    "cloudy": ((150, 160, 172), (200, 206, 214)),
    "watery": ((70, 140, 190), (165, 210, 235)),
}
"""Two-tone backgrounds by the adjective that names them in captions."""

TINTS: dict[str, Rgb] = {
    "red": (225, 50, 45),
    "orange": (245, 140, 35),
    "yellow": (245, 210, 60),
    "green": (70, 165, 70),
    "blue": (55, 110, 215),
    "purple": (140, 75, 180),
    "pink": (245, 140, 180),
    "brown": (140, 95, 60),
    "grey": (150, 150, 155),
}
"""Colours an object can be dyed with, by the adjective that names them in captions."""


@dataclass(frozen=True)
class Pose:
    """How a sprite lies in a picture: long side over the frame's short side, degrees, and mirror."""

    scale: float
    angle: float
    mirrored: bool


def smooth_background(rng: np.random.Generator, size: Size, word: str) -> NDArray[np.uint8]:
    """A slanted two-tone gradient of the family `word` in `BACKGROUNDS`."""
    first, second = (np.array(c, np.float32) + rng.normal(0, 8, 3) for c in BACKGROUNDS[word])
    if rng.random() < 0.5:
        first, second = second, first
    angle = rng.uniform(0, 2 * np.pi)
    rows, columns = np.mgrid[-1 : 1 : size[0] * 1j, -1 : 1 : size[1] * 1j]
    ramp = columns * np.cos(angle) + rows * np.sin(angle)
    weight = 1 / (1 + np.exp(-(ramp - rng.uniform(-0.5, 0.5)) * rng.uniform(1, 5)))
    blend = first + weight[..., None] * (second - first)
    return np.clip(blend, 0, 255).astype(np.uint8)


def rough_background(rng: np.random.Generator, size: Size) -> NDArray[np.uint8]:
    """A smooth background of any family with blotches of another colour and fine grain on top."""
    words = list(BACKGROUNDS)
    image = smooth_background(rng, size, words[rng.integers(len(words))]).astype(np.float32)
    other = smooth_background(rng, size, words[rng.integers(len(words))]).astype(np.float32)
    cells = int(rng.integers(3, 9))
    coarse = Image.fromarray(rng.random((cells, cells), np.float32))
    blotches = np.asarray(coarse.resize(size[::-1], Image.Resampling.BICUBIC))[..., None]
    image += np.clip(blotches - 0.3, 0, 1) * (other - image) * rng.uniform(0, 1)
    image += rng.normal(0, rng.uniform(0, 8), (*size, 1))
    return np.clip(image, 0, 255).astype(np.uint8)


def dye(sprite: NDArray[np.uint8], colour: Rgb) -> NDArray[np.uint8]:
    """The sprite in shades of one colour: its own light and dark stay, its hues go."""
    light = sprite[..., :3].astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32) / 255
    tone = np.array(colour, np.float32)
    shade = light[..., None] * 2
    dyed = np.where(shade < 1, tone * (0.25 + 0.75 * shade), tone + (255 - tone) * (shade - 1) * 0.8)
    return np.concatenate([np.clip(dyed, 0, 255).astype(np.uint8), sprite[..., 3:]], axis=-1)


def place_sprite(
    image: NDArray[np.uint8],
    sprite: NDArray[np.uint8],
    placement: Pose,
    centre: tuple[float, float],
) -> NDArray[np.bool_]:
    """Paste an RGBA sprite onto `image` in place, cut off at the frame.

    Args:
        image: (H, W, 3), written to.
        sprite: (h, w, 4).
        placement: size, angle, mirror.
        centre: where the sprite's middle goes, (row, column) as fractions of height and width.

    Returns:
        The pixels (H, W) where the sprite is more than half opaque.
    """
    height, width = image.shape[:2]
    piece = Image.fromarray(sprite)
    if placement.mirrored:
        piece = piece.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    longest = max(2.0, placement.scale * min(height, width))
    ratio = longest / max(piece.size)
    piece = piece.resize(
        (max(1, round(piece.width * ratio)), max(1, round(piece.height * ratio))), Image.Resampling.LANCZOS
    )
    if placement.angle:
        piece = piece.rotate(placement.angle, Image.Resampling.BICUBIC, expand=True)
    canvas = Image.fromarray(image)
    layer = Image.new("RGBA", (width, height), (0, 0, 0, 0))
    layer.paste(piece, (round(centre[1] * width - piece.width / 2), round(centre[0] * height - piece.height / 2)))
    canvas.paste(layer, (0, 0), layer)
    image[:] = np.asarray(canvas)
    return np.asarray(layer)[..., 3] > 127


def object_picture(
    rng: np.random.Generator,
    sprite: NDArray[np.uint8],
    size: Size,
    background: NDArray[np.uint8],
    scale: tuple[float, float] = (0.6, 0.9),
    rotation: float = 8.0,
    mirror: float = 0.0,
) -> tuple[NDArray[np.uint8], NDArray[np.bool_], Pose]:
    """One sprite, wholly inside the frame, on a background.

    Args:
        rng: the only source of chance.
        sprite: (h, w, 4).
        size: (H, W).
        background: (H, W, 3), not changed.
        scale: range of the sprite's long side over the frame's short side.
        rotation: largest angle to either side, degrees.
        mirror: probability of a left-right flip.

    Returns:
        image (H, W, 3), mask (H, W), and how the sprite was placed.
    """
    placement = Pose(float(rng.uniform(*scale)), float(rng.uniform(-rotation, rotation)), bool(rng.random() < mirror))
    sides = np.array(sprite.shape[:2]) / max(sprite.shape[:2]) * placement.scale * min(size) / np.array(size)
    room = np.maximum(0.0, 1.0 - sides)
    centre = 0.5 + room * rng.uniform(-0.5, 0.5, 2)
    image = background.copy()
    mask = place_sprite(image, sprite, placement, (float(centre[0]), float(centre[1])))
    return image, mask, placement


def rough_picture(
    rng: np.random.Generator, sprite: NDArray[np.uint8], size: Size
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """One sprite as Emoji-FSS shows it: at 0.35 to 0.9 of a rough background, turned by up to 20 degrees.

    It is mirrored half of the time.

    Returns:
        image (H, W, 3), mask (H, W).
    """
    background = rough_background(rng, size)
    image, mask, _ = object_picture(rng, sprite, size, background, (0.35, 0.9), 20.0, mirror=0.5)
    return image, mask


def scene(
    rng: np.random.Generator,
    objects: Sequence[tuple[int, NDArray[np.uint8]]],
    clutter: Sequence[NDArray[np.uint8]],
    size: Size,
    scale: tuple[float, float] = (0.1, 0.8),
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Several objects over clutter on a rough background, later ones over earlier ones.

    Args:
        rng: the only source of chance.
        objects: (class id, sprite) in the order they are laid down.
        clutter: sprites that belong to no class (label 0), laid down first and small.
        size: (H, W).
        scale: range of an object's long side over the frame's short side.

    Returns:
        image (H, W, 3) and label map uint8 (H, W). An object may be covered altogether.
    """
    image = rough_background(rng, size)
    labels = np.zeros(size, np.uint8)
    layers = [(0, sprite, (0.1, 0.35)) for sprite in clutter] + [(i, sprite, scale) for i, sprite in objects]
    for label, sprite, sizes in layers:
        placement = Pose(float(rng.uniform(*sizes)), float(rng.uniform(-20, 20)), bool(rng.random() < 0.5))
        reach = 0.4 * placement.scale * min(size) / np.array(size)
        centre = rng.uniform(reach, 1 - reach)
        labels[place_sprite(image, sprite, placement, (float(centre[0]), float(centre[1])))] = label
    return image, labels
