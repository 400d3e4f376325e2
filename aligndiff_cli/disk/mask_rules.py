"""What counts as foreground in a mask file, whatever tool wrote it.

1. Two values, one of them 0 (0 and 255, 0 and 1, 0 and 15): what is not 0 is foreground.
2. A label map (palette indices; or up to 32 grey values below 128, with or without 255): what is not 0 is
   foreground, but 255 is "ignore", as in PASCAL VOC, and counts as background. Where 255 covers more than ten times
   what all labels do, they are specks on a white mask, and rule 3 holds.
3. Other grey values, and whatever a lossy format such as JPEG has smeared: foreground from half of the range up.
   The range is that of the format (256 values; 65536 with 16 bits, unless all of them are below 256).
4. Colours: what is not black is foreground, save VOC's ignore colour beside other ones. More than 256 colours
   are a photograph, and refused; so are the colours of a JPEG, which are not those that were painted.
5. A palette whose used colours are all grey, but not at their own index, is how optimisers store a plain grey
   mask: it is read by its colours. A palette that has black, but not at index 0, has black for background.
6. Where alpha varies, alpha is the mask and the colours are the object's.
7. Channels that differ by 8 levels at most are a grey mask that a conversion has tinted: rules 1 to 3 hold for their
   luminance. More than 32 colours of which nine in ten pixels are within 16 levels of black or of white, and none
   strong, are a soft mask, as FSS-1000's are: its luminance is cut as in rule 3. (Of 795 photographs of COCO and VOC
   none comes near: their share is 0.73 at most. That of FSS-1000's masks is 0.96 and more.)

What "ignore" marks, the border of an object that nobody is sure of, is background to whoever wants a mask, and left out
by whoever scores or learns from one: hence the three kinds of pixels here.

A mask whose values are all below the cut, and not 0, is refused, since nobody paints nothing in grey. Several labels or
colours are read as one object, and a line in the log says so.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aligndiff_cli.errors import InputError
from aligndiff_cli.labels import BACKGROUND, FOREGROUND, IGNORE

log = logging.getLogger(__name__)

Kinds = NDArray[np.uint8]
"""Of each pixel (H, W): BACKGROUND, FOREGROUND or IGNORE."""
VOC_IGNORE_COLOUR = (224, 224, 192)
MAX_LABELS = 32
MAX_COLOURS = 256
SPECKS = 10
"""By how much 255 must outnumber labels for these to be specks."""
NEARLY_GREY = 8
NEARLY_BLACK_OR_WHITE, MOST, NO_STRONG_COLOUR = 16, 0.9, 64
"""Rule 7, in levels of 256 and as a share of the pixels."""
NAMED = 5
"""Labels named in a remark."""


def kinds_of_levels(levels: NDArray, top: int, lossy: bool, where: Path) -> Kinds:
    """Rules 1 to 3.

    Args:
        levels: unsigned integers (H, W) in [0, top].
        top: the format's white, 255 or 65535.
        lossy: the format may have changed values.
        where: the file, for messages.

    Raises:
        InputError: every value is below the cut though not all are 0, or it cannot be told what is background.
    """
    counts = np.bincount(levels.ravel(), minlength=256)
    values = np.flatnonzero(counts)
    if top > IGNORE and values[-1] <= IGNORE:
        top = IGNORE  # 8-bit values in a 16-bit file
    if not lossy:
        if len(values) == 1 or (len(values) == 2 and values[0] == 0):
            return _kinds(levels != 0)
        labels = values[(values != IGNORE) & (values != 0)]
        specks = SPECKS * counts[labels].sum() < counts[IGNORE]
        if labels[-1] < 128 and len(labels) <= MAX_LABELS and not specks:
            _refuse_no_background(counts, labels, where)
            _tell_merged(labels.tolist(), "labels", where)
            return _kinds(levels != 0, levels == IGNORE)
    return _cut(levels, top, where)


def _refuse_no_background(counts: NDArray, labels: NDArray, where: Path) -> None:
    """Refuse a grey picture of labels and 255 alone: 255 may be the object and the label its background, or not."""
    if counts[0] == 0 and counts[IGNORE]:
        raise InputError(
            f"expected a background of 0, got {_listed(labels.tolist())} and 255 only, either of which may be it",
            where,
            "Paint the background 0",
        )


def _cut(levels: NDArray, top: int, where: Path) -> Kinds:
    """Foreground from half of the range up; a mask that does not reach it is refused, unless it is all 0."""
    highest, first = int(levels.max()), top // 2 + 1
    if 0 < highest < first:
        raise InputError(
            f"the mask is empty: its highest value is {highest}, and foreground begins at {first} of {top}",
            where,
            f"Paint the object {top} on 0",
        )
    return _kinds(levels >= first)


def kinds_of_indices(indices: NDArray[np.uint8], palette: NDArray[np.uint8], where: Path) -> Kinds:
    """Rules 1, 2, 5 and 7.

    Args:
        indices: (H, W) palette indices.
        palette: uint8 (256, 3) colours.
        where: the file, for messages.

    Raises:
        InputError: as :func:`kinds_of_levels`.
    """
    used = np.flatnonzero(np.bincount(indices.ravel(), minlength=256))
    colours = palette[used]
    grey = (colours == colours[:, :1]).all()
    if grey and (colours[:, 0] != used).any() and len(np.unique(colours[:, 0])) == len(used):
        return kinds_of_levels(palette[:, 0][indices], 255, False, where)
    if len(used) > MAX_LABELS and _is_soft(palette[indices]):
        return _cut(_luminance(palette)[indices], 255, where)
    black = used[(colours == 0).all(axis=1)]
    background = black[0] if len(black) and 0 not in black else 0
    labels = used[used != background]
    if len(labels) > 1:
        _tell_merged(labels[labels != IGNORE].tolist(), "labels", where)
        return _kinds(indices != background, indices == IGNORE)
    return _kinds(indices != background)


def kinds_of_colours(rgb: NDArray[np.uint8], lossy: bool, where: Path) -> Kinds:
    """Rules 4 and 7.

    Args:
        rgb: uint8 (H, W, 3).
        lossy: the format may have changed values.
        where: the file, for messages.

    Raises:
        InputError: the colours are no mask's, or as :func:`kinds_of_levels`.
    """
    if _spread(rgb).max() <= NEARLY_GREY:
        return kinds_of_levels(_luminance(rgb), 255, lossy, where)
    packed = _packed(rgb)
    colours = np.unique(packed)
    if (lossy or len(colours) > MAX_LABELS) and _is_soft(rgb):
        return _cut(_luminance(rgb), 255, where)
    if lossy:
        raise InputError("is a colour picture in a lossy format, which keeps no labels", where, "Save the mask as PNG")
    if len(colours) > MAX_COLOURS:
        raise InputError(
            f"expected a mask, got a picture of {len(colours)} colours",
            where,
            "Save the mask as black and white PNG; perhaps image and mask were mixed up",
        )
    ignore = _packed(np.array(VOC_IGNORE_COLOUR, np.uint8))
    labels = colours[(colours != 0) & (colours != ignore)]
    _tell_merged([f"#{colour:06x}" for colour in labels], "colours", where)
    return _kinds(packed != 0, packed == ignore) if len(labels) else _kinds(packed != 0)


def _kinds(painted: NDArray[np.bool_], ignored: NDArray[np.bool_] | None = None) -> Kinds:
    """What is painted is foreground, unless it marks what is to be ignored."""
    kinds = np.where(painted, np.uint8(FOREGROUND), np.uint8(BACKGROUND))
    return kinds if ignored is None else np.where(painted & ignored, np.uint8(IGNORE), kinds)


def _is_soft(rgb: NDArray[np.uint8]) -> bool:
    """Whether a picture, uint8 (H, W, 3), is white on black with soft edges, whose grey may be tinted."""
    if _spread(rgb).max() > NO_STRONG_COLOUR:
        return False
    black = rgb.max(axis=2) <= NEARLY_BLACK_OR_WHITE
    white = rgb.min(axis=2) >= 255 - NEARLY_BLACK_OR_WHITE
    return bool(black.any() and white.any() and (black | white).mean() >= MOST)


def _spread(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """By how many levels the channels of each pixel (..., 3) differ."""
    return rgb.max(axis=-1) - rgb.min(axis=-1)


def _luminance(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rec. 601's luma of colours (..., 3), rounded; grey keeps its value."""
    weighted = rgb.astype(np.uint32) @ np.array([299, 587, 114], np.uint32)
    return ((weighted + 500) // 1000).astype(np.uint8)


def _tell_merged(labels: list[int] | list[str], what: str, where: Path) -> None:
    if len(labels) > 1:
        log.info("%s holds %d %s (%s), which are read as one object", where, len(labels), what, _listed(labels))


def _listed(labels: Iterable[object]) -> str:
    """The first few, and how many more there are."""
    texts = [str(label) for label in labels]
    more = [f"{len(texts) - NAMED} more"] if len(texts) > NAMED else []
    return ", ".join([*texts[:NAMED], *more])


def _packed(rgb: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """One number per colour, so that colours can be compared and counted."""
    wide = rgb.astype(np.uint32)
    return np.asarray(wide[..., 0] << 16 | wide[..., 1] << 8 | wide[..., 2], np.uint32)
