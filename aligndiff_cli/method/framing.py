"""Which part of a photograph a model gets to see.

``"window"``: a window of the model's shape around the object, which keeps its proportions. ``"whole"``: all of it,
squeezed into the model's shape, as the public release does, which keeps all that is around the object.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Framing = Literal["window", "whole"]
FRAMINGS: tuple[Framing, ...] = ("window", "whole")


def framed(image: np.ndarray, mask: np.ndarray, aspect: float, framing: Framing) -> tuple[np.ndarray, np.ndarray]:
    """What is seen of an image (H, W, 3) and its mask (H, W) by a model of this height / width."""
    if framing == "whole":
        return image, mask
    window = object_window(mask, aspect)
    return np.ascontiguousarray(image[window]), np.ascontiguousarray(mask[window])


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
