"""Masks, maps and labels painted on images: what the sheets are made of.

Images are uint8 (H, W, 3), masks bool (H, W), soft maps float (H, W) in [0, 1], label maps uint8 (H, W).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aligndiff_cli.disk.images import ImageArray, MaskArray, SoftArray
from aligndiff_cli.disk.voc import voc_palette

Colour = tuple[int, int, int]

GREEN: Colour = (22, 150, 72)
RED: Colour = (214, 48, 49)
BLUE: Colour = (32, 108, 214)
YELLOW: Colour = (255, 205, 0)
MAGENTA: Colour = (232, 40, 160)
CYAN: Colour = (0, 190, 220)
INK: Colour = (28, 30, 34)
GREY: Colour = (128, 132, 138)

# dark violet over red and orange to pale yellow: brightness rises steadily, so it reads in greyscale as well
_HEAT = np.array([(10, 8, 40), (88, 24, 110), (180, 44, 92), (240, 110, 40), (252, 190, 60), (252, 252, 200)], float)


def fitted(image: ImageArray, cell: int) -> ImageArray:
    """The image scaled so that its longer side is ``cell`` pixels."""
    return np.array(Image.fromarray(image).resize(_fitted_size(image.shape, cell), Image.Resampling.LANCZOS))


def fitted_soft(soft: SoftArray, cell: int) -> SoftArray:
    """The soft map scaled as :func:`fitted` scales its image."""
    size = _fitted_size(soft.shape, cell)
    scaled = Image.fromarray(soft.astype(np.float32)).resize(size, Image.Resampling.BILINEAR)
    return np.clip(np.array(scaled), 0, 1)


def fitted_mask(mask: MaskArray, cell: int) -> MaskArray:
    """The mask scaled as :func:`fitted` scales its image, with a smooth border."""
    return fitted_soft(mask.astype(np.float32), cell) >= 0.5


def fitted_labels(labels: NDArray[np.uint8], cell: int) -> NDArray[np.uint8]:
    """The label map scaled as :func:`fitted` scales its image; no new labels appear."""
    return np.array(Image.fromarray(labels).resize(_fitted_size(labels.shape, cell), Image.Resampling.NEAREST))


def overlay(image: ImageArray, mask: MaskArray, colour: Colour, strength: float = 0.4, line: int = 2) -> ImageArray:
    """A translucent mask with a crisp contour.

    Args:
        image: uint8 (H, W, 3).
        mask: bool (H, W).
        colour: of fill and contour.
        strength: of the fill, 0 (contour only) to 1 (opaque).
        line: width of the contour in pixels.

    Returns:
        uint8 (H, W, 3), a new array.

    Raises:
        ValueError: image and mask differ in size.
    """
    if image.shape[:2] != mask.shape:
        raise ValueError(f"expected a mask of shape {image.shape[:2]}, got {mask.shape}")
    out = image.copy()
    out[mask] = np.rint((1 - strength) * image[mask] + strength * np.array(colour)).astype(np.uint8)
    return outline(out, mask, colour, line)


def outline(image: ImageArray, mask: MaskArray, colour: Colour, line: int = 2) -> ImageArray:
    """The contour of a mask, with a thin dark rim outside it so that it shows on any ground."""
    out = image.copy()
    rim = _grown(mask) & ~mask
    out[rim] = out[rim] // 3
    out[mask & ~_shrunk(mask, line)] = colour
    return out


def heat(image: ImageArray, soft: SoftArray) -> ImageArray:
    """A soft map as heat over the image's greys: dark is 0, pale yellow is 1."""
    place = soft * (len(_HEAT) - 1)
    ramp = [np.interp(place, range(len(_HEAT)), _HEAT[:, channel]) for channel in range(3)]
    grey = image.mean(axis=2, keepdims=True)
    return np.rint(0.35 * grey + 0.65 * np.stack(ramp, axis=2)).astype(np.uint8)


def painted_labels(image: ImageArray, labels: NDArray[np.uint8], strength: float = 0.6) -> ImageArray:
    """Labels in VOC's colours over the image's greys, with their contours; 0 stays as it is, 255 becomes white."""
    colours = voc_palette()
    colours[255] = 255
    out = image.copy()
    shown = labels != 0
    grey = image[shown].mean(axis=1, keepdims=True)  # hues of the object would mix with those of the label
    out[shown] = np.rint((1 - strength) * grey + strength * colours[labels[shown]]).astype(np.uint8)
    for value in np.unique(labels[shown]):
        region = labels == value
        out[region & ~_shrunk(region, 2)] = colours[value]
    return out


def _fitted_size(shape: tuple[int, ...], cell: int) -> tuple[int, int]:
    """(width, height) with the longer side at ``cell``."""
    height, width = shape[:2]
    scale = cell / max(height, width)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _shrunk(mask: MaskArray, times: int) -> MaskArray:
    """Erosion by a 3 x 3 cross; what lies beyond the frame counts as background."""
    for _ in range(times):
        padded = np.pad(mask, 1)
        mask = mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask


def _grown(mask: MaskArray) -> MaskArray:
    """Dilation by a 3 x 3 cross."""
    padded = np.pad(mask, 1)
    return mask | padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
