"""YOLO's folders, as Ultralytics reads and Roboflow and CVAT write them.

::

    data.yaml                          names: [dog, cat] or {0: dog, 1: cat}; or classes.txt, a name a line
    images/<any>/<stem>.jpg            (or <split>/images/)
    labels/<any>/<stem>.txt            one object a line: class x y x y x y ...  (polygon, shares of the picture)
                                       or class x-centre y-centre width height    (box)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from aligndiff_cli.datasets.own.pictures import Pictures
from aligndiff_cli.datasets.own.records import Annotated, Box, Instance, LeftOut, MaskArray, Source, class_names
from aligndiff_cli.disk.coco_base import MALFORMED
from aligndiff_cli.disk.coco_masks import segmentation_mask
from aligndiff_cli.disk.regular import regular
from aligndiff_cli.disk.split_lists import read_lines
from aligndiff_cli.errors import AligndiffError, FolderError, InputError

IMAGES, LABELS = "images", "labels"
BOX = 4
"""Numbers of a line behind its class that are a box; polygons have six or more."""
NAMES = "Give a data.yaml with names: [dog, cat] or names: {0: dog, 1: cat}, or a classes.txt with a name a line"
LISTS = ("data.yaml", "data.yml", "dataset.yaml", "*.yaml", "*.yml", "classes.txt", "labels/classes.txt")
"""Where names are looked for, first to last; as text Label Studio and labelImg write them."""
SLACK = 0.01
"""By how much a coordinate may lie outside of the picture, in shares of it."""


def label_files(root: Path) -> list[Path]:
    """The files below every ``labels/`` of a folder."""
    folders = [path for path in sorted(root.rglob(LABELS)) if path.is_dir()]
    found = {path for folder in folders for path in folder.rglob("*.txt") if not path.name.startswith(".")}
    return sorted(path for path in found if path.name != "classes.txt")


def name_list(root: Path) -> Path | None:
    """The file with a folder's names; None where there is none."""
    return next((found for name in LISTS for found in sorted(root.glob(name))), None)


def read_yolo(root: Path, listing: Path, images: Path | None) -> Source:
    """Open a folder.

    Args:
        root: the folder.
        listing: the file with its names.
        images: folder of the pictures, if they do not lie beside ``labels/``.

    Raises:
        FolderError: the file has no names, or there is no ``labels/`` with a file in it.
    """
    names = _names(listing)
    classes, known = class_names(list(names.values()), listing)
    files = label_files(root)
    if not files:
        raise FolderError(f"holds no {LABELS}/ with files in it", root, "Give the folder of data.yaml and labels/")

    def read(left_out: LeftOut) -> Iterator[Annotated]:
        for path in files:
            inside = path.relative_to(root).parts
            last = max(n for n, part in enumerate(inside[:-1]) if part == LABELS)
            place = root.joinpath(*inside[:last], IMAGES, *inside[last + 1 : -1])
            pictures = Pictures([place, path.parent], images)
            picture = pictures.with_stem(path.stem)
            if picture is None:
                left_out.add("picture not found", "its picture is not there", path, pictures.looked_in())
                continue
            try:
                lines = regular(path).read_text(encoding="utf-8-sig").splitlines()
            except (OSError, UnicodeDecodeError, InputError) as error:
                left_out.add("annotation file cannot be read", f"cannot be read as text ({error})", path)
                continue
            instances: list[Instance] = []
            lost: set[str | None] = set()
            for number, line in enumerate(lines, 1):
                if line.strip():
                    _add(line, number, names, known, path, instances, lost, left_out)
            yield Annotated(picture, path, instances, None, frozenset(lost))

    return Source("YOLO", classes, len(files), read)


def _names(path: Path) -> dict[int, str]:
    """Number -> name of each class."""
    if path.suffix.lower() == ".txt":
        return {number: line.strip() for number, line in enumerate(read_lines(path)) if line.strip()}
    try:
        content: Any = yaml.safe_load(regular(path).read_text(encoding="utf-8-sig"))["names"]
        pairs = content.items() if isinstance(content, dict) else enumerate(content)
        return {int(number): str(name) for number, name in pairs}
    except (OSError, yaml.YAMLError, RecursionError, AligndiffError, *MALFORMED) as error:
        raise FolderError("has no names of classes", path, NAMES) from error


def _add(
    line: str,
    number: int,
    names: dict[int, str],
    known: dict[str, str],
    path: Path,
    instances: list[Instance],
    lost: set[str | None],
    left_out: LeftOut,
) -> None:
    """Read one line into an object; a lost one is named."""
    name = f"line {number}"
    first, *rest = line.split()
    index = int(float(first)) if first.replace(".", "", 1).isdigit() else -1
    if index not in names:
        what = f"{name} has class {first}, which the names have not (0 to {max(names, default=0)})"
        left_out.add("object of an unknown class", what, path)
        lost.add(None)
    elif names[index] in known:
        box = len(rest) == BOX
        where = partial(_box, rest) if box else None
        instances.append(Instance(name, known[names[index]], None if box else partial(_polygon, rest), where))


def _shares(numbers: Sequence[str], height: int, width: int) -> np.ndarray:
    """Pairs of numbers, (N, 2) shares of width and height."""
    if len(numbers) % 2 or len(numbers) < BOX:
        raise ValueError(f"expected a box of 4 numbers or a polygon of 6 or more, got {len(numbers)}")
    shares = np.array([float(number) for number in numbers]).reshape(-1, 2)
    if not (np.isfinite(shares).all() and (shares >= -SLACK).all() and (shares <= 1 + SLACK).all()):
        raise ValueError("expected shares of the picture from 0 to 1")
    return shares


def _polygon(numbers: Sequence[str], height: int, width: int) -> MaskArray:
    corners = _shares(numbers, height, width) * (width, height)
    return segmentation_mask([corners.ravel().tolist()], height, width)


def _box(numbers: Sequence[str], height: int, width: int) -> Box:
    (x, y), (wide, high) = _shares(numbers, height, width)
    return (x - wide / 2) * width, (y - high / 2) * height, (x + wide / 2) * width, (y + high / 2) * height
