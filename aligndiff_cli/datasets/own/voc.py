"""A folder in PASCAL VOC's layout, as the challenge, CVAT ("Segmentation mask", "Pascal VOC") and labelme2voc write it.

::

    JPEGImages/<stem>.jpg
    SegmentationClass/<stem>.png     label map: palette indices, grey values, or the colours of labelmap.txt
    SegmentationObject/<stem>.png    optional: which pixels are one object; else all of a class in a picture are one
    Annotations/<stem>.xml           boxes, of pictures without a label map
    classes.txt, class_names.txt, labels.txt (a name a line) or labelmap.txt (CVAT: name:r,g,b::)

Without a list of names there are VOC's own twenty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from aligndiff_cli.datasets.folds import VOC_CLASSES
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
from aligndiff_cli.disk.decoding import load_picture
from aligndiff_cli.disk.regular import regular
from aligndiff_cli.disk.split_lists import read_lines
from aligndiff_cli.disk.voc import BACKGROUND_NAMES, LABELS, PICTURES, present_classes, read_label_map
from aligndiff_cli.errors import AligndiffError, FolderError, InputError
from aligndiff_cli.labels import IGNORE

OBJECTS, BOXES = "SegmentationObject", "Annotations"
COLOURED = "labelmap.txt"
LISTS = ("classes.txt", "class_names.txt", "labels.txt", COLOURED)
UNKNOWN_NAMES = frozenset({"__ignore__"})
MOST_OBJECTS = 100
"""Of a class in one picture: more are no objects, but a label map of classes."""
Labels = np.ndarray


def label_list(root: Path) -> Path | None:
    """The list of names of a folder, or of the one above; None where there is none."""
    return next((f / name for f in (root, root.parent) for name in LISTS if (f / name).is_file()), None)


def read_voc(root: Path, images: Path | None) -> Source:
    """Open a folder.

    Args:
        root: of ``SegmentationClass/`` or ``Annotations/``.
        images: folder of the pictures, if it is not ``JPEGImages/``.

    Raises:
        FolderError: the list of names cannot be read.
    """
    path = label_list(root)
    numbers, colours = (dict(enumerate(VOC_CLASSES, 1)), None) if path is None else _names(path)
    classes, known = class_names(list(numbers.values()), path or root)
    maps = {path.stem: path for path in _files(root / LABELS, ".png")}
    boxes = {path.stem: path for path in _files(root / BOXES, ".xml") if path.stem not in maps}
    pictures = Pictures([root / PICTURES, root / "images", root], images)
    by_number = {number: known[name] for number, name in numbers.items() if name in known}

    def read(left_out: LeftOut) -> Iterator[Annotated]:
        for stem, where in sorted({**maps, **boxes}.items()):
            picture = pictures.with_stem(stem)
            if picture is None:
                left_out.add("picture not found", "its picture is not there", where, pictures.looked_in())
                continue
            try:
                if stem in maps:
                    yield _of_labels(picture, where, root / OBJECTS / where.name, by_number, colours, left_out)
                else:
                    yield _of_boxes(picture, where, known, left_out)
            except InputError as error:
                left_out.add("annotation file cannot be read", error.what, where, error.remedy)

    return Source("VOC", classes, len(maps) + len(boxes), read)


def _files(folder: Path, suffix: str) -> list[Path]:
    found = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in found if path.suffix.lower() == suffix and not path.name.startswith(".")]


def _names(path: Path) -> tuple[dict[int, str], dict[int, int] | None]:
    """Number -> name, and packed colour -> number where the list has colours."""
    lines = [line.strip() for line in read_lines(path)]
    if path.name != COLOURED:
        lines = [line for line in lines if line not in UNKNOWN_NAMES]
        first = 0 if lines and lines[0].casefold() in BACKGROUND_NAMES else 1
        return {number: name for number, name in enumerate(lines, first) if name}, None
    numbers, colours = {}, {0: 0}
    for number, line in enumerate((line for line in lines if line and not line.startswith("#")), 1):
        name, *rest = line.split(":")
        background = name.casefold() in BACKGROUND_NAMES
        numbers.update({} if background else {number: name})
        try:
            red, green, blue = (int(part) for part in (rest or [""])[0].split(","))
        except ValueError as error:
            raise FolderError(f"expected name:red,green,blue:..., got {line!r}", path) from error
        colours[red << 16 | green << 8 | blue] = 0 if background else number
    return numbers, colours


def _of_labels(
    picture: Path,
    where: Path,
    objects_path: Path,
    numbers: Mapping[int, str],
    colours: Mapping[int, int] | None,
    left_out: LeftOut,
) -> Annotated:
    """A picture of which all classes that its label map shows are objects."""
    labels = read_label_map(where) if colours is None else _by_colour(where, colours)
    objects = read_label_map(objects_path) if objects_path.is_file() else None
    instances: list[Instance] = []
    lost: set[str | None] = set()
    for number in sorted(present_classes(labels)):
        if number not in numbers:
            known = f"1 to {max(numbers)}" if numbers else "none"
            what = f"its label map has class {number}, which the list of names has not ({known})"
            left_out.add("object of an unknown class", what, where, "Add it to the list")
            lost.add(None)
            continue
        masks = _objects(labels == number, objects)
        draws = [partial(_given, mask) for mask in masks]
        instances += [Instance(f"class {number}", numbers[number], draw) for draw in draws]
    ignored: Callable[[int, int], MaskArray] | None = None
    if (labels == IGNORE).any():
        ignored = partial(_given, labels == IGNORE)
    return Annotated(picture, where, instances, (labels.shape[0], labels.shape[1]), frozenset(lost), ignored)


def _given(mask: MaskArray, height: int, width: int) -> MaskArray:
    return mask


def _objects(mask: MaskArray, objects: Labels | None) -> list[MaskArray]:
    """The objects of a class; one where nobody says which pixels are one."""
    if objects is None or objects.shape != mask.shape:
        return [mask]
    own = sorted(present_classes(np.where(mask, objects, 0)))
    parts = [mask & (objects == number) for number in own]
    whole = sum(int(part.sum()) for part in parts) == int(mask.sum())
    return parts if whole and len(parts) <= MOST_OBJECTS else [mask]


def _by_colour(path: Path, colours: Mapping[int, int]) -> Labels:
    """A label map by the colours of a list.

    Raises:
        InputError: it cannot be read, or has another colour.
    """
    picture, _ = load_picture(path, formats=("PNG",))
    rgb = np.array(picture.convert("RGB")).astype(np.int64)
    found, where = np.unique(rgb @ np.array([1 << 16, 1 << 8, 1]), return_inverse=True)
    strange = [colour for colour in found.tolist() if colour not in colours]
    if strange:
        raise InputError(f"has the colour #{strange[0]:06x}, which {COLOURED} has not", path, "Add it to the list")
    return np.array([colours[colour] for colour in found.tolist()], np.uint8)[where].reshape(rgb.shape[:2])


def _of_boxes(picture: Path, where: Path, known: Mapping[str, str], left_out: LeftOut) -> Annotated:
    """A picture with boxes alone; VOC counts pixels from 1, and the last one belongs to the box."""
    try:
        tree = ElementTree.fromstring(regular(where).read_bytes())
        size = said_size(*(int(tree.findtext(f"size/{side}") or 0) for side in ("height", "width")))
    except (OSError, ElementTree.ParseError, AligndiffError, *MALFORMED) as error:
        raise InputError(f"cannot be read as VOC's XML ({told(error)})", where) from error
    instances: list[Instance] = []
    lost: set[str | None] = set()
    for number, thing in enumerate(tree.findall("object"), 1):
        name = (thing.findtext("name") or "").strip()
        if name not in known:
            what = f"object {number} is called {name!r}, which the list of names has not"
            left_out.add("object of an unknown class", what, where, "Add it to the list")
            lost.add(None)
            continue
        corners = [thing.findtext(f"bndbox/{corner}") for corner in ("xmin", "ymin", "xmax", "ymax")]
        instances.append(Instance(f"object {number}", known[name], box=partial(_box, corners)))
    return Annotated(picture, where, instances, size, frozenset(lost))


def _box(corners: Sequence[str | None], height: int, width: int) -> Box:
    left, top, right, bottom = (float(corner or "nan") for corner in corners)
    return left - 1, top - 1, right, bottom
