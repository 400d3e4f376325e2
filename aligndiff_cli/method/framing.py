"""Which part of a photograph a model gets to see.

``"window"``: a window of the model's shape around the object, which keeps its proportions. ``"whole"``: all of it,
squeezed into the model's shape, as the public release does, which keeps all that is around the object.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from PIL import Image

Framing = Literal["window", "whole"]
FRAMINGS: tuple[Framing, ...] = ("window", "whole")
_RESAMPLING: dict[Framing, Image.Resampling] = {
    "window": Image.Resampling.LANCZOS,
    "whole": Image.Resampling.BICUBIC,
}


def framed(image: np.ndarray, mask: np.ndarray, aspect: float, framing: Framing) -> tuple[np.ndarray, np.ndarray]:
    """What is seen of an image (H, W, 3) and its mask (H, W) by a model of this height / width."""
    if framing == "whole":
        return image, mask
    window = object_window(mask, aspect)
    return np.ascontiguousarray(image[window]), np.ascontiguousarray(mask[window])


def resized(image: np.ndarray, height: int, width: int, framing: Framing) -> np.ndarray:
    """A framed image, uint8 (H, W, 3), at the model's size, (height, width, 3)."""
    if image.shape[:2] == (height, width):
        return image
    return np.asarray(Image.fromarray(image).resize((width, height), _RESAMPLING[framing]))


def resized_mask(mask: np.ndarray, height: int, width: int) -> np.ndarray:
    """A framed mask, bool (H, W), at the model's size: true where at least half of a pixel was."""
    share = Image.fromarray(mask.astype(np.float32)).resize((width, height), Image.Resampling.BOX)
    return np.asarray(share) >= 0.5


def object_window(mask: np.ndarray, aspect: float) -> tuple[slice, slice]:
    """The largest window of a given shape inside an image, moved so that it holds as much of the object as it can.

    Cropping keeps the object's proportions, which squeezing the whole image into the model's shape would not; nothing
    is enlarged, so an object that is small in its photograph stays small (the case Eq. 3 is made for).

    Args:
        mask: bool (H, W) with at least one true pixel.
        aspect: height / width of the window.

    Returns:
        Slices of rows and columns.
    """
    height, width = mask.shape
    window_height = min(height, max(1, round(width * aspect)))
    window_width = min(width, max(1, round(height / aspect)))
    return _window(np.asarray(mask.any(axis=1)), window_height), _window(np.asarray(mask.any(axis=0)), window_width)


def _window(covered: np.ndarray, length: int) -> slice:
    """The window of ``length`` along one axis whose middle is nearest to that of the covered stretch."""
    (where,) = covered.nonzero()
    middle = (int(where[0]) + int(where[-1]) + 1) / 2
    start = min(max(round(middle - length / 2), 0), len(covered) - length)
    return slice(start, start + length)
