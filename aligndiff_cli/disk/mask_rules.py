"""What counts as foreground in a mask file, whatever tool wrote it.

1. Two values, one of them 0 (0 and 255, 0 and 1, 0 and 15): what is not 0 is foreground.
2. A label map (palette indices; or up to 32 grey values below 128, with or without 255): what is not 0 is
   foreground, but 255 is "ignore", as in PASCAL VOC, and counts as background.
3. Other grey values, and whatever a lossy format such as JPEG has smeared: foreground from half of the range up.
   The range is that of the format (256 values; 65536 with 16 bits, unless all of them are below 256).
4. Colours: what is not black is foreground, save VOC's ignore colour beside other ones. More than 256 colours
   are a photograph, and refused; so are the colours of a JPEG, which are not those that were painted.
5. A palette whose used colours are all grey, but not at their own index, is how optimisers store a plain grey
   mask: it is read by its colours. A palette that has black, but not at index 0, has black for background.
6. Where alpha varies, alpha is the mask and the colours are the object's.

What "ignore" marks, the border of an object that nobody is sure of, is background to whoever wants a mask, and left out
by whoever scores or learns from one: hence the three kinds of pixels here.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aligndiff_cli.errors import InputError

BACKGROUND, FOREGROUND, IGNORE = 0, 1, 255
Kinds = NDArray[np.uint8]
"""Of each pixel (H, W): BACKGROUND, FOREGROUND or IGNORE."""
VOC_IGNORE_COLOUR = (224, 224, 192)
MAX_LABELS = 32
MAX_COLOURS = 256


def kinds_of_levels(levels: NDArray, top: int, lossy: bool) -> Kinds:
    """Rules 1 to 3.

    Args:
        levels: unsigned integers (H, W) in [0, top].
        top: the format's white, 255 or 65535.
        lossy: the format may have changed values.
    """
    values = np.flatnonzero(np.bincount(levels.ravel(), minlength=256))
    if top > IGNORE and values[-1] <= IGNORE:
        top = IGNORE  # 8-bit values in a 16-bit file
    if not lossy:
        if len(values) == 1 or (len(values) == 2 and values[0] == 0):
            return _kinds(levels != 0)
        labels = values[values != IGNORE]
        if labels[-1] < 128 and len(labels) <= MAX_LABELS:
            return _kinds(levels != 0, levels == IGNORE)
    return _kinds(levels > top // 2)


def kinds_of_indices(indices: NDArray[np.uint8], palette: NDArray[np.uint8]) -> Kinds:
    """Rules 1, 2 and 5.

    Args:
        indices: (H, W) palette indices.
        palette: uint8 (256, 3) colours.
    """
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    colours = palette[used]
    grey = (colours == colours[:, :1]).all()
    if grey and (colours[:, 0] != used).any() and len(np.unique(colours[:, 0])) == len(used):
        return kinds_of_levels(palette[:, 0][indices], 255, lossy=False)
    black = used[(colours == 0).all(axis=1)]
    background = black[0] if len(black) and 0 not in black else 0
    labels = used[used != background]
    if len(labels) > 1:
        return _kinds(indices != background, indices == IGNORE)
    return _kinds(indices != background)


def kinds_of_colours(rgb: NDArray[np.uint8], lossy: bool, where: Path) -> Kinds:
    """Rule 4.

    Args:
        rgb: uint8 (H, W, 3).
        lossy: the format may have changed values.
        where: the file, for the message.

    Raises:
        InputError: the colours are no mask's.
    """
    if lossy:
        # a JPEG of a white mask may be off grey by a step or two
        if int(np.ptp(rgb.astype(np.int16), axis=2).max()) <= 8:
            return _kinds(rgb[:, :, 1] > 127)
        raise InputError("is a colour picture in a lossy format, which keeps no labels", where, "Save the mask as PNG")
    packed = _packed(rgb)
    colours = np.unique(packed)
    if len(colours) > MAX_COLOURS:
        raise InputError(
            f"expected a mask, got a picture of {len(colours)} colours",
            where,
            "Save the mask as black and white PNG; perhaps image and mask were mixed up",
        )
    ignore = _packed(np.array(VOC_IGNORE_COLOUR, np.uint8))
    labels = colours[(colours != 0) & (colours != ignore)]
    return _kinds(packed != 0, packed == ignore) if len(labels) else _kinds(packed != 0)


def _kinds(painted: NDArray[np.bool_], ignored: NDArray[np.bool_] | None = None) -> Kinds:
    """What is painted is foreground, unless it marks what is to be ignored."""
    kinds = np.where(painted, np.uint8(FOREGROUND), np.uint8(BACKGROUND))
    return kinds if ignored is None else np.where(painted & ignored, np.uint8(IGNORE), kinds)


def _packed(rgb: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """One number per colour, so that colours can be compared and counted."""
    wide = rgb.astype(np.uint32)
    return np.asarray(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2], np.uint32)
