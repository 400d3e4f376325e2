"""Scene composition by copy-paste (section 3.5, D.2), with no rotation, colour change or blending.

Scale. A generated picture and a base image need not have the same size, so a scale in pixels means something else for
every pair of models and data sets. By default the generated picture is therefore first fitted into the frame of the
base image (aspect ratio kept), and the scale of D.2 multiplies that: at scale 1 an object takes the share of the scene
that it took of its own picture, whatever the two sizes are. With the scale of ``"pixels"``, as GAPS has it and D.2
reads, an object has at scale 1 the pixels it has in its own picture.

Place. An object that fits into the frame lies wholly inside it, every position alike. One that is longer
than the frame along an axis covers the frame along that axis, and which part of it is seen is
random: the large-scale jitter of Ghiasi et al. (2021), applied to the object's box.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from PIL import Image

from aligndiff_cli.errors import InputError

N_MAX = 3
SCALE_RANGE = (0.1, 2.0)
INVERTED_SHARE = 0.5
MAX_WHOLE = 1 << 24
"""Pixels of a scaled object from which only the part that is seen is made: the whole would be gigabytes. Made alone, a
value may come out a step or two off, which is why smaller ones are made whole."""
ScaleOf = Literal["frame", "pixels"]
SCALES_OF: tuple[ScaleOf, ...] = ("frame", "pixels")


@dataclass(frozen=True)
class Cutout:
    """One object, cut out of a picture along its mask.

    Attributes:
        image: uint8 (h, w, 3), the picture inside the mask's bounding box.
        mask: bool (h, w), true on the object; every side of the box touches it.
        class_id: label written where the object is pasted.
        source: id of the picture it comes from.
        frame: (H, W) of that picture in pixels.
    """

    image: np.ndarray
    mask: np.ndarray
    class_id: int
    source: str
    frame: tuple[int, int]

    @cached_property
    def premultiplied(self) -> Image.Image:
        """The object as :func:`premultiplied` has it, made once."""
        return premultiplied(self.image, self.mask)


@dataclass(frozen=True)
class Placement:
    """Which object goes where, free of any image size.

    Attributes:
        class_index: index of the class among the pools.
        sample_index: index of the sample in the pool of its class: inverted or real ones first, then text ones.
        scale: factor on the object's size at :func:`unit_scale`.
        top, left: position in [0, 1) within the room the object has along y and along x.
    """

    class_index: int
    sample_index: int
    scale: float
    top: float
    left: float


@dataclass(frozen=True)
class Scene:
    """A composed image.

    Attributes:
        image: uint8 (H, W, 3).
        labels: uint8 (H, W); pasted pixels carry their object's class, all others the base labels.
        visible: one bool (H, W) per pasted object, in the order pasted: the pixels of it that can be seen.
    """

    image: np.ndarray
    labels: np.ndarray
    visible: list[np.ndarray]

    @property
    def hidden(self) -> list[int]:
        """Indices of the objects of which no pixel can be seen (covered by a later one, or vanished in scaling)."""
        return [index for index, mask in enumerate(self.visible) if not mask.any()]


def cut_out(image: np.ndarray, mask: np.ndarray, class_id: int, source: str) -> Cutout:
    """Crop an image (H, W, 3) and its bool mask (H, W) to the mask's bounding box.

    Raises:
        InputError: the mask is empty, or image and mask differ in size.
    """
    if image.shape[:2] != mask.shape:
        raise InputError(
            f"the mask is {_size(mask)}, its image {_size(image)}", source, "Give a mask of the image's size"
        )
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        raise InputError("the mask is empty: there is no object to cut out", source, "Leave this sample out")
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height, width = mask.shape
    return Cutout(image[box].copy(), mask[box].astype(bool), class_id, source, (height, width))


def sample_layout(
    rng: np.random.Generator,
    pool_sizes: Sequence[tuple[int, int]],
    *,
    inverted_share: float = INVERTED_SHARE,
    n_max: int = N_MAX,
    scale_range: tuple[float, float] = SCALE_RANGE,
) -> list[Placement]:
    """Draw the objects of one scene (D.2): 1 to ``n_max`` of them, scale uniform, place uniform.

    Each object's class is drawn uniformly among the classes that have a sample, so that one with fewer usable
    samples is pasted as often as the others; then whether it is an inverted (or real) sample or a text one (D.3),
    where the class has both; then the sample.

    Args:
        rng: source of every random choice; the same state gives the same layout.
        pool_sizes: for each class, how many inverted or real samples and how many text ones it has.
        inverted_share: probability in [0, 1] of the first of the two (paper: 0.5).
        n_max: most objects in one scene, at least 1 (paper: 3).
        scale_range: lowest and highest scale, positive (paper: 0.1 and 2.0).

    Raises:
        ValueError: no sample at all, or a range that holds nothing.
    """
    low, high = scale_range
    filled = [index for index, sizes in enumerate(pool_sizes) if sum(sizes) > 0]
    if not filled:
        raise ValueError("there is no sample to paste")
    if n_max < 1 or not 0 < low <= high or not 0 <= inverted_share <= 1:
        raise ValueError(
            "expected n_max >= 1, 0 < low <= high and a share in [0, 1], "
            f"got {n_max}, scale {scale_range} and share {inverted_share}"
        )
    layout = []
    for _ in range(int(rng.integers(1, n_max + 1))):
        class_index = filled[int(rng.integers(len(filled)))]
        sample_index = _draw_sample(rng, pool_sizes[class_index], inverted_share)
        scale, top, left = float(rng.uniform(low, high)), float(rng.random()), float(rng.random())
        layout.append(Placement(class_index, sample_index, scale, top, left))
    return layout


def _draw_sample(rng: np.random.Generator, sizes: tuple[int, int], inverted_share: float) -> int:
    """Index of a sample in the inverted ones followed by the text ones."""
    inverted, text = sizes
    first = rng.random() < inverted_share
    if (first and inverted) or not text:
        return int(rng.integers(inverted))
    return inverted + int(rng.integers(text))


def unit_scale(cutout: Cutout, frame: tuple[int, int], scale_of: ScaleOf) -> float:
    """By what an object's pixels are multiplied at scale 1, in a base image of (H, W)."""
    if scale_of == "pixels":
        return 1.0
    return min(frame[0] / cutout.frame[0], frame[1] / cutout.frame[1])


def paste(
    image: np.ndarray,
    labels: np.ndarray,
    objects: Sequence[tuple[Cutout, Placement]],
    scale_of: ScaleOf = "frame",
) -> Scene:
    """Paste the objects onto a base image one after another; a later one covers an earlier one.

    Args:
        image: uint8 (H, W, 3); left as it is.
        labels: uint8 (H, W) class labels of the base image, 255 for ignored pixels; left as they are.
        objects: each cut-out with its scale and place.
        scale_of: what scale 1 is.

    Raises:
        InputError: image and labels differ in size.
    """
    if image.shape[:2] != labels.shape:
        raise InputError(f"the labels are {_size(labels)}, their image {_size(image)}")
    image, labels = image.copy(), labels.copy()
    visible: list[np.ndarray] = []
    for cutout, placement in objects:
        whole = np.zeros(labels.shape, dtype=bool)
        _paste_one(image, whole, cutout, placement, scale_of)
        np.copyto(labels, cutout.class_id, where=whole, casting="unsafe")
        for earlier in visible:
            earlier &= ~whole
        visible.append(whole)
    return Scene(image, labels, visible)


def _paste_one(image: np.ndarray, whole: np.ndarray, cutout: Cutout, placement: Placement, scale_of: ScaleOf) -> None:
    """Copy one scaled object into ``image`` and mark its pixels in ``whole``, both (H, W, ...), in place."""
    height, width = whole.shape
    factor = unit_scale(cutout, (height, width), scale_of) * placement.scale
    box = scaled_size(cutout.mask.shape, factor)
    into_y, from_y = _overlap(height, box[0], placement.top)
    into_x, from_x = _overlap(width, box[1], placement.left)
    pixels, seen = resize_premultiplied(cutout.premultiplied, factor, (from_y, from_x))
    whole[into_y, into_x] = seen
    copy_pixels(image[into_y, into_x], pixels, seen)


def copy_pixels(into: np.ndarray, pixels: np.ndarray, mask: np.ndarray) -> None:
    """Copy the colours (H, W, 3) of a mask's pixels, bool (H, W), into another array's first channels, in place."""
    for channel in range(3):  # a mask broadcast over the last axis takes ten times as long
        np.copyto(into[..., channel], pixels[..., channel], where=mask)


def _overlap(frame: int, box: int, place: float) -> tuple[slice, slice]:
    """Where a box lands along one axis: the slice of the frame it covers and the slice of the box that is seen."""
    room = abs(frame - box)
    offset = min(int(place * (room + 1)), room)
    if box <= frame:
        return slice(offset, offset + box), slice(0, box)
    return slice(0, frame), slice(offset, offset + frame)


def scaled_size(size: tuple[int, ...], factor: float) -> tuple[int, int]:
    """(H, W) of an object of (h, w) pixels scaled by ``factor`` (> 0): at least 1 x 1."""
    height, width = size
    return max(1, round(height * factor)), max(1, round(width * factor))


def resize_cutout(image: np.ndarray, mask: np.ndarray, factor: float) -> tuple[np.ndarray, np.ndarray]:
    """Scale an object, uint8 (h, w, 3) and bool (h, w); see :func:`resize_premultiplied`."""
    return resize_premultiplied(premultiplied(image, mask), factor)


def premultiplied(image: np.ndarray, mask: np.ndarray) -> Image.Image:
    """An object, uint8 (h, w, 3) and bool (h, w), in Pillow's mode RGBa: colours multiplied by alpha, the mask."""
    rgba = np.zeros((*mask.shape, 4), dtype=np.uint8)
    copy_pixels(rgba, image, mask)
    np.copyto(rgba[..., 3], 255, where=mask)
    height, width = mask.shape
    return Image.frombuffer("RGBa", (width, height), rgba, "raw", "RGBa", 0, 1)


def resize_premultiplied(
    picture: Image.Image, factor: float, part: tuple[slice, slice] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Scale an object by ``factor`` (> 0), bilinear, to at least 1 x 1 pixels.

    Colours are averaged over the object's own pixels only (alpha-weighted), so that nothing of its former
    background shows at the edge; a pixel belongs to the result where at least half of its weight does. A part thinner
    than a pixel can vanish, even all of it.

    Args:
        picture: of mode RGBa and (h, w) pixels, as :func:`premultiplied` gives it.
        part: rows and columns of the result that are wanted; None for all.

    Returns:
        The image, uint8 (H, W, 3), and the mask, bool (H, W), or that part of both.
    """
    height, width = scaled_size((picture.height, picture.width), factor)
    rows, columns = part or (slice(0, height), slice(0, width))
    size = columns.stop - columns.start, rows.stop - rows.start
    if part is not None and height * width > MAX_WHOLE:
        y, x = picture.height / height, picture.width / width
        box = (columns.start * x, rows.start * y, columns.stop * x, rows.stop * y)
        scaled = picture.resize(size, Image.Resampling.BILINEAR, box)
    else:
        scaled = picture.resize((width, height), Image.Resampling.BILINEAR)
        if size != (width, height):
            scaled = scaled.crop((columns.start, rows.start, columns.stop, rows.stop))
    rgba = np.asarray(scaled.convert("RGBA"))
    return rgba[..., :3], rgba[..., 3] >= 128


def _size(array: np.ndarray) -> str:
    """Width x height, as image programs show it."""
    return f"{array.shape[1]}x{array.shape[0]}"
