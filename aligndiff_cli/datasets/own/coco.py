"""COCO's instances JSON, one file or several, as CVAT, Roboflow, Label Studio and FiftyOne export it, too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

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
from aligndiff_cli.disk.coco_base import MALFORMED, picture_places
from aligndiff_cli.disk.coco_masks import segmentation_mask
from aligndiff_cli.disk.regular import regular
from aligndiff_cli.errors import AligndiffError, FolderError

Record = Mapping[str, Any]
KEYS = ("images", "annotations", "categories")
REMEDY = "Give a file with images, annotations and categories, as COCO's instances have them"


@dataclass(frozen=True)
class _File:
    """One JSON file, read whole.

    Attributes:
        entries: its pictures, by id.
        strangers: how many annotations are of no picture that is listed.
        bad: entries that cannot be read, and why.
    """

    path: Path
    entries: Sequence[Record]
    annotations: Mapping[Any, Sequence[Record]]
    categories: Mapping[Any, str]
    strangers: int
    bad: Sequence[str]


def read_coco(paths: Sequence[Path], images: Path | None) -> Source:
    """Open instances files; a category of the same name is the same class in all of them.

    Args:
        paths: the files.
        images: folder of the pictures, if they lie elsewhere than the files say.

    Raises:
        FolderError: one is none.
    """
    files = [_read(path) for path in paths]
    names = [name for file in files for name in file.categories.values()]
    classes, known = class_names(names, paths[0])

    def read(left_out: LeftOut) -> Iterator[Annotated]:
        for file in files:
            pictures = Pictures(picture_places(file.path), images)
            if file.strangers:
                what = f"{file.strangers} annotations are of pictures that are not listed"
                left_out.add("object of an unknown picture", what, file.path)
            for what in file.bad:
                left_out.add("record cannot be read", what, file.path)
            for entry in file.entries:
                name = str(entry["file_name"])
                picture = pictures.find(name)
                if picture is None:
                    left_out.add(
                        "picture not found", f"its picture {name!r} is not there", file.path, pictures.looked_in()
                    )
                else:
                    yield _annotated(file, entry, picture, known, left_out)

    return Source("COCO", classes, sum(len(file.entries) for file in files), read)


def _read(path: Path) -> _File:
    try:
        content = json.loads(regular(path).read_text(encoding="utf-8-sig"))
        images, annotations, categories = (list(content[key]) for key in KEYS)
    except (OSError, RecursionError, AligndiffError, *MALFORMED) as error:
        raise FolderError(f"is not COCO's instances file ({told(error)})", path, REMEDY) from error
    bad: list[str] = []
    entries = dict(_each(images, "picture", lambda entry: (entry["id"], _named(entry, "file_name")), bad))
    names = {number: str(c["name"]) for number, c in _each(categories, "category", _category, bad)}
    by_image: dict[Any, list[Record]] = {}
    for number, annotation in _each(
        annotations, "annotation", lambda annotation: (annotation["image_id"], annotation), bad
    ):
        by_image.setdefault(number, []).append(annotation)
    strangers = sum(len(own) for number, own in by_image.items() if number not in entries)
    ordered = [entries[number] for number in sorted(entries, key=lambda number: (str(type(number)), number))]
    return _File(path, ordered, by_image, names, strangers, bad)


def _each(
    records: Sequence[Any], what: str, read: Callable[[Any], tuple[Any, Record]], bad: list[str]
) -> Iterator[tuple[Any, Record]]:
    """What is read of each record; those that cannot be are told in ``bad``."""
    for number, record in enumerate(records, 1):
        try:
            key, value = read(record)
            if not isinstance(key, str | int):
                raise TypeError(f"expected a number or a text, got {key!r}")
        except MALFORMED as error:
            bad.append(f"{what} {number} of {len(records)} cannot be read ({told(error)})")
        else:
            yield key, value


def _named(record: Record, field: str) -> Record:
    if not str(record[field]).strip():
        raise ValueError(f"its {field} is empty")
    return record


def _category(record: Record) -> tuple[Any, Record]:
    return record["id"], _named(record, "name")


def _annotated(file: _File, entry: Record, picture: Path, known: Mapping[str, str], left_out: LeftOut) -> Annotated:
    instances = []
    lost: set[str | None] = set()
    for annotation in file.annotations.get(entry["id"], ()):
        name = f"annotation {annotation.get('id', '?')} of {entry['file_name']}"
        category = annotation.get("category_id")
        if not isinstance(category, str | int) or category not in file.categories:
            what = f"{name} has category {category!r}, which is not listed"
            left_out.add("object of an unknown class", what, file.path)
            lost.add(None)
            continue
        cls = known.get(file.categories[category])
        if cls is not None:
            instances.append(_instance(annotation, name, cls))
    size = said_size(entry.get("height"), entry.get("width"))
    return Annotated(picture, file.path, instances, size, frozenset(lost))


def _instance(annotation: Record, name: str, cls: str) -> Instance:
    segmentation, box = annotation.get("segmentation"), annotation.get("bbox")
    crowd = bool(annotation.get("iscrowd"))
    if not segmentation and box:
        return Instance(name, cls, box=lambda height, width: _box(box), crowd=crowd)
    return Instance(name, cls, lambda height, width: _mask(segmentation, height, width), crowd=crowd)


def _mask(segmentation: Any, height: int, width: int) -> MaskArray:
    if not segmentation:
        raise ValueError("neither a segmentation nor a box")
    return segmentation_mask(segmentation, height, width)


def _box(box: Any) -> Box:
    left, top, wide, high = np.asarray(box, np.float64)
    return left, top, left + wide, top + high
