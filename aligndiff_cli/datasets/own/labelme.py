"""LabelMe's JSON files, one a picture."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from aligndiff_cli.datasets.own.pictures import Pictures
from aligndiff_cli.datasets.own.records import (
    Annotated,
    Box,
    Instance,
    LeftOut,
    MaskArray,
    Source,
    class_names,
    said_size,
    told,
)
from aligndiff_cli.disk.coco_base import MALFORMED
from aligndiff_cli.disk.coco_masks import segmentation_mask
from aligndiff_cli.disk.regular import regular
from aligndiff_cli.errors import AligndiffError, FolderError, InputError

INSIDE = "imageData"
SAVE_BESIDE = "Put its picture beside it, or name the folder of the pictures with --images"
Points = np.ndarray
Shape = Mapping[str, Any]


def read_labelme(paths: Sequence[Path], images: Path | None, *, boxes: bool) -> Source:
    """Open LabelMe's files; shapes of one label and ``group_id`` are one object.

    Args:
        paths: the files.
        images: folder of the pictures, if they lie elsewhere than the files say.
        boxes: whether a rectangle is a box around its object; else it is the object's mask.

    Raises:
        FolderError: not one can be read.
    """
    contents: dict[Path, dict[str, Any] | str] = {path: _read(path) for path in paths}
    labels = {
        str(shape.get("label") or "")
        for content in contents.values()
        if not isinstance(content, str)
        for shape in content["shapes"]
    }
    if not labels:
        why = next((f" ({content})" for content in contents.values() if isinstance(content, str)), "")
        raise FolderError(f"holds no shape{why}", paths[0].parent, "Give the folder of LabelMe's JSON files")
    classes, known = class_names(sorted(label for label in labels if label.strip()), paths[0].parent)

    def read(left_out: LeftOut) -> Iterator[Annotated]:
        for path, content in contents.items():
            if isinstance(content, str):
                left_out.add("annotation file cannot be read", content, path, "Save it again with LabelMe")
                continue
            pictures = Pictures([path.parent], images)
            name = str(content.get("imagePath") or "")
            picture = (pictures.find(name) if name else None) or pictures.with_stem(path.stem)
            inside = partial(_picture_inside, path) if picture is None and content["inside"] else None
            if picture is None and inside is None:
                left_out.add("picture not found", f"its picture {name!r} is not there", path, pictures.looked_in())
                continue
            instances, lost = _instances(content["shapes"], path, known, boxes, left_out)
            size = said_size(content.get("imageHeight"), content.get("imageWidth"))
            yield Annotated(picture or path, path, instances, size, frozenset(lost), inside=inside)

    return Source("LabelMe", classes, len(paths), read)


def _read(path: Path) -> dict[str, Any] | str:
    """What is kept of a file, without the picture that it may hold; why it cannot be read."""
    try:
        content = json.loads(regular(path).read_text(encoding="utf-8-sig"))
        if not all(isinstance(shape, dict) for shape in content["shapes"]):
            raise ValueError("expected its shapes as a list of objects")
        kept = {name: content.get(name) for name in ("imagePath", "imageHeight", "imageWidth", "shapes")}
        return kept | {"inside": bool(content.get(INSIDE))}
    except (OSError, RecursionError, AligndiffError, *MALFORMED) as error:
        return f"is not LabelMe's ({told(error)})"


def _picture_inside(path: Path) -> bytes:
    """The picture that a file holds, in base64, as a data URL or bare.

    Raises:
        InputError: it holds none that can be read.
    """
    try:
        text = json.loads(regular(path).read_text(encoding="utf-8-sig"))[INSIDE]
        return base64.b64decode(text.rpartition(",")[2])
    except (OSError, AttributeError, *MALFORMED) as error:
        raise InputError(f"its {INSIDE} is no picture in base64 ({told(error)})", path, SAVE_BESIDE) from error


def _instances(
    shapes: Sequence[Shape], path: Path, known: Mapping[str, str], boxes: bool, left_out: LeftOut
) -> tuple[list[Instance], set[str | None]]:
    """The objects of a file, and the classes of those that are lost."""
    groups: dict[tuple[Any, ...], list[Shape]] = {}
    lost: set[str | None] = set()
    for number, shape in enumerate(shapes, 1):
        label = str(shape.get("label") or "")
        kind = str(shape.get("shape_type") or "polygon")
        if not label.strip():
            left_out.add("object of an unknown class", f"shape {number} has no label", path)
            lost.add(None)
        elif label in known and kind not in DRAWN:
            what = f"shape {number} ({label}) is a {kind}, which has no area"
            left_out.add("object cannot be drawn", what, path, f"Draw it as one of: {', '.join(DRAWN)}")
            lost.add(known[label])
        elif label in known:
            group = shape.get("group_id")
            key = (label, kind == "rectangle", str(group)) if group is not None else (label, number)
            groups.setdefault(key, []).append({"number": number, "kind": kind, **shape})
    return [_instance(group, known[key[0]], boxes) for key, group in groups.items()], lost


def _instance(group: Sequence[Shape], cls: str, boxes: bool) -> Instance:
    name = f"shape {group[0]['number']}"
    if boxes and group[0]["kind"] == "rectangle":
        return Instance(name, cls, box=lambda height, width: _box(group))

    def draw(height: int, width: int) -> MaskArray:
        masks = [DRAWN[shape["kind"]](shape, height, width) for shape in group]
        return np.logical_or.reduce(masks)

    return Instance(name, cls, draw)


def _points(shape: Shape, count: int | None = None) -> Points:
    """Corners, float64 (N, 2), x and y in pixels from the picture's corner."""
    refusal = ValueError(f"expected {count or 'its'} points as x, y in finite numbers, got {str(shape['points'])[:60]}")
    try:
        points = np.asarray(shape["points"], np.float64).reshape(-1, 2)
    except (TypeError, ValueError) as error:
        raise refusal from error
    if not np.isfinite(points).all() or (count is not None and len(points) != count):
        raise refusal
    return points


def _polygon(shape: Shape, height: int, width: int) -> MaskArray:
    points = _points(shape)
    if len(points) < 3:
        raise ValueError(f"a polygon of {len(points)} points has no area")
    return segmentation_mask([points.ravel().tolist()], height, width)


def _rectangle(shape: Shape, height: int, width: int) -> MaskArray:
    left, top, right, bottom = _box([shape])
    return segmentation_mask([[left, top, right, top, right, bottom, left, bottom]], height, width)


def _circle(shape: Shape, height: int, width: int) -> MaskArray:
    """The pixels whose centre lies in it."""
    (x, y), edge = _points(shape, 2)
    rows, columns = np.ogrid[:height, :width]
    radius = np.hypot(*(edge - (x, y)))
    return np.asarray((rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2 <= radius**2)


def _mask(shape: Shape, height: int, width: int) -> MaskArray:
    """A PNG within the rectangle of the points, whose corners are pixels that belong to it."""
    (left, top), (right, bottom) = np.rint(_points(shape, 2)).astype(int)
    try:
        picture = Image.open(io.BytesIO(base64.b64decode(shape["mask"])), formats=["PNG"])
        inside = np.array(picture.convert("L")) > 0
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise ValueError("its mask is no PNG") from error
    if inside.shape != (bottom - top + 1, right - left + 1):
        said = f"{right - left + 1} x {bottom - top + 1}"
        raise ValueError(f"expected a mask of {said} (width x height), got {inside.shape[1]} x {inside.shape[0]}")
    if left < 0 or top < 0 or right >= width or bottom >= height:
        raise ValueError(f"its mask leaves the picture of {width} x {height}")
    drawn = np.zeros((height, width), np.bool_)
    drawn[top : bottom + 1, left : right + 1] = inside
    return drawn


def _box(group: Sequence[Shape]) -> Box:
    points = np.concatenate([_points(shape, 2) for shape in group])
    (left, top), (right, bottom) = points.min(0), points.max(0)
    return left, top, right, bottom


DRAWN: Mapping[str, Callable[[Shape, int, int], MaskArray]] = {
    "polygon": _polygon,
    "rectangle": _rectangle,
    "circle": _circle,
    "mask": _mask,
}
"""By LabelMe's name of a shape; its points and lines have no area."""
