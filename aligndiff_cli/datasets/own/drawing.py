"""A picture's objects, drawn: its label map, and what tells good support pairs from poor ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aligndiff_cli.datasets.own.records import Annotated, Box, Instance, LeftOut, MaskArray, told
from aligndiff_cli.disk.class_folders import IMAGE_SUFFIXES
from aligndiff_cli.disk.coco_base import MALFORMED
from aligndiff_cli.disk.decoding import Orientation, checked_size, stored_size, turned_alike
from aligndiff_cli.errors import InputError
from aligndiff_cli.labels import IGNORE

Boxer = Callable[[Path, Sequence[Box]], Sequence[MaskArray]]
"""A picture and boxes in it as it is shown -> a mask of each, bool (H, W)."""

FRAME = 0.01
"""Width of the rim, in shares of the longer side, that counts as the frame: hand-drawn outlines end a little before."""
MUCH = 0.1
"""Share of the largest object's pixels from which others of its class count, or what lies on it."""


@dataclass(frozen=True)
class Shown:
    """What a picture shows of one class.

    Attributes:
        area: what can be seen of its largest object, as a share of the picture.
        pixels: of the class, in the label map.
        objects: how many there are.
        flaws: why it is not a clean example; see `flaws_of`.
    """

    area: float
    pixels: int
    objects: int
    flaws: tuple[str, ...]


@dataclass(frozen=True)
class Drawing:
    """One picture, drawn.

    Attributes:
        labels: uint8 (H, W) as the picture is shown, class numbers, 255 where ignored.
        shown: by class.
        lost: classes of objects that are not in the label map; None for one whose class is not known.
    """

    labels: np.ndarray
    shown: Mapping[str, Shown]
    lost: frozenset[str | None]


@dataclass(frozen=True)
class _Object:
    instance: Instance
    mask: MaskArray
    area: int


def draw(
    annotated: Annotated,
    numbers: Mapping[str, int],
    orientation: Orientation,
    boxer: Boxer | None,
    left_out: LeftOut,
) -> Drawing | None:
    """Paint the label map: crowds first, then larger objects before smaller ones.

    Args:
        numbers: class -> its number.
        orientation: what the objects were drawn on, where the picture has an EXIF orientation.
        boxer: makes masks of boxes; None to leave out objects that have only a box.
        left_out: told of each object, and of a picture, that cannot be used.

    Returns:
        None for a picture that cannot be used.
    """
    try:
        size = _size(annotated, orientation, left_out)
    except InputError as error:
        left_out.add("picture cannot be used", error.what, annotated.picture, error.remedy)
        return None
    if size is None:
        return None
    drawn_on, shape = size

    def upright(mask: MaskArray) -> MaskArray:
        return turned_alike(mask, shape, annotated.picture, annotated.where, orientation)

    lost = set(annotated.lost)
    objects: list[_Object] = []
    for instance, mask in _masks(annotated, drawn_on, upright, boxer, left_out):
        if mask is None:
            lost.add(instance.cls)
        else:
            objects.append(_Object(instance, mask, int(mask.sum())))
    labels = np.zeros(shape, np.uint8)
    if annotated.ignored is not None:
        labels[upright(annotated.ignored(*drawn_on))] = IGNORE
    for own in sorted(objects, key=lambda own: (not own.instance.crowd, -own.area)):
        labels[own.mask] = numbers[own.instance.cls]
    classes = dict.fromkeys(own.instance.cls for own in objects)
    shown = {
        cls: _shown([own for own in objects if own.instance.cls == cls], labels == numbers[cls], {cls, None} & lost)
        for cls in classes
    }
    return Drawing(labels, shown, frozenset(lost))


def _size(
    annotated: Annotated, orientation: Orientation, left_out: LeftOut
) -> tuple[tuple[int, int], tuple[int, int]] | None:
    """(height, width) that the objects were drawn on, and of the picture as it is shown; None if they do not fit.

    Raises:
        InputError: the picture cannot be read.
    """
    picture = annotated.picture
    if picture.suffix.lower() not in IMAGE_SUFFIXES:
        raise InputError(f"is in a format that is not read ({picture.suffix})", picture, "Export it as PNG or JPEG")
    shape = checked_size(picture)
    width, height = stored_size(picture)
    said = annotated.size or ((height, width) if orientation == "stored" else shape)
    if said not in (shape, (height, width)):
        what = f"expected a picture of {said[1]} x {said[0]} (width x height), got {shape[1]} x {shape[0]}"
        remedy = f"{annotated.where.name} was drawn on that size: take the picture that was annotated, unscaled"
        left_out.add("picture of another size", what, picture, remedy)
        return None
    return said, shape


def _masks(
    annotated: Annotated,
    size: tuple[int, int],
    upright: Callable[[MaskArray], MaskArray],
    boxer: Boxer | None,
    left_out: LeftOut,
) -> Iterator[tuple[Instance, MaskArray | None]]:
    """Each object with its mask, as the picture is shown; None for one that cannot be drawn."""
    boxed: list[tuple[Instance, Box]] = []
    for instance in annotated.instances:
        name = f"{instance.name} ({instance.cls})"
        try:
            if instance.draw is not None:
                mask = instance.draw(*size)
                if not mask.any():
                    raise ValueError("it holds no pixel of the picture")
                yield instance, upright(mask)
            elif instance.box is not None and boxer is not None:
                boxed.append((instance, _bounds(upright(_filled(instance.box(*size), *size)))))
            else:
                remedy = "--boxes MODEL, a SAM or SAM 2, makes masks of boxes"
                left_out.add("box without a mask", f"{name} has a box and no mask", annotated.where, remedy)
                yield instance, None
        except MALFORMED as error:
            left_out.add("object cannot be drawn", f"{name} cannot be drawn: {told(error)}", annotated.where)
            yield instance, None
    if boxed and boxer is not None:
        for (instance, _), mask in zip(boxed, boxer(annotated.picture, [box for _, box in boxed]), strict=True):
            if not mask.any():
                what = f"{instance.name} ({instance.cls}): the model sees nothing in its box"
                left_out.add("object cannot be drawn", what, annotated.where)
            yield instance, mask if mask.any() else None


def _filled(box: Box, height: int, width: int) -> MaskArray:
    """The pixels of a box (ValueError if there are none)."""
    if not np.isfinite(box).all():
        raise ValueError("expected the corners of its box in finite numbers")
    left, top, right, bottom = (round(side) for side in np.clip(box, 0, (width, height, width, height)).tolist())
    if right <= left or bottom <= top:
        raise ValueError("its box holds no pixel of the picture")
    mask = np.zeros((height, width), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


def _bounds(mask: MaskArray) -> Box:
    """The box of a mask that is not empty."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)


def _shown(objects: Sequence[_Object], visible: MaskArray, lost: set[str | None]) -> Shown:
    largest = max(objects, key=lambda own: (not own.instance.crowd, own.area))
    area = int((largest.mask & visible).sum()) / visible.size
    return Shown(area, int(visible.sum()), len(objects), flaws_of(largest.mask, visible, objects, bool(lost)))


def flaws_of(largest: MaskArray, visible: MaskArray, objects: Sequence[_Object], lost: bool) -> tuple[str, ...]:
    """Why a picture is not a clean example of a class.

    - ``crowd``: some of the class is a region of objects that nobody counted;
    - ``frame``: the largest object touches the rim of the picture (`FRAME`), so that part of it may be missing;
    - ``others``: the class has more than `MUCH` of the largest object's pixels outside of it;
    - ``hidden``: objects of other classes lie on more than `MUCH` of it;
    - ``lost``: an object of the class, or of a class that is not known, could not be drawn;
    - ``box``: a mask was made from a box.

    Args:
        largest: mask of the largest object.
        visible: what the label map has of the class.
        objects: all of the class.
        lost: whether one could not be drawn.
    """
    rim = max(1, round(FRAME * max(largest.shape)))
    touches = any(edge.any() for edge in (largest[:rim], largest[-rim:], largest[:, :rim], largest[:, -rim:]))
    told_of = {
        "crowd": any(own.instance.crowd for own in objects),
        "frame": touches,
        "others": int((visible & ~largest).sum()) > MUCH * int(largest.sum()),
        "hidden": int((largest & ~visible).sum()) > MUCH * int(largest.sum()),
        "lost": lost,
        "box": any(own.instance.draw is None for own in objects),
    }
    return tuple(name for name, found in told_of.items() if found)
