"""COCO's instances JSON, written scene by scene.

Masks are stored as packed run lengths (``{"size": [h, w], "counts": "..."}``), which readers of the format take beside
polygons: exact for any shape, with holes and in several parts.

A pasted object is one instance, reduced to what can be seen of it. The base image's own labels say which class a
pixel has but not how many objects there are; each class's region is therefore written as one crowd (``iscrowd`` 1),
which instance trainers and scorers leave out rather than take for one object. Ignored pixels have no counterpart
in the format and are left out.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from aligndiff_cli.disk.atomic import atomic_write
from aligndiff_cli.disk.coco_masks import encode_rle
from aligndiff_cli.labels import IGNORE

MIN_AREA = 16


@dataclass(frozen=True)
class CocoScene:
    """One image with its annotations, which carry no ids yet: they are numbered when the file is assembled."""

    file_name: str
    height: int
    width: int
    annotations: Sequence[dict[str, Any]]


def annotation(mask: np.ndarray, category_id: int, *, crowd: bool = False) -> dict[str, Any]:
    """An annotation without ids.

    Args:
        mask: bool (H, W), not empty.
        category_id: index of the class, from 1.
        crowd: the mask may hold several objects.

    Returns:
        ``category_id``, ``segmentation``, ``area`` in pixels, ``bbox`` as [x, y, width, height] and ``iscrowd``.

    Raises:
        ValueError: the mask is empty.
    """
    if not mask.any():
        raise ValueError("an annotation needs at least one pixel")
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    return {
        "category_id": category_id,
        "segmentation": encode_rle(mask),
        "area": int(mask.sum()),
        "bbox": [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1],
        "iscrowd": int(crowd),
    }


def scene_annotations(
    labels: np.ndarray, objects: Iterable[tuple[int, np.ndarray]], min_area: int = MIN_AREA
) -> tuple[list[dict[str, Any]], int]:
    """Annotations of a composed scene: its pasted objects, then what is left of each base class.

    Args:
        labels: uint8 (H, W), the scene's final labels; 0 is background, 255 ignored.
        objects: class and visible part, bool (H, W), of each pasted object.
        min_area: fewest pixels worth an annotation, at least 1.

    Returns:
        The annotations, and the number of objects and regions dropped for having fewer pixels (an object of which
        nothing can be seen among them).
    """
    found: list[dict[str, Any]] = []
    dropped = 0
    pasted = np.zeros(labels.shape, dtype=bool)
    for class_id, visible in objects:
        pasted |= visible
        if visible.sum() < max(1, min_area):
            dropped += 1
        else:
            found.append(annotation(visible, class_id))
    rest = np.where(pasted, 0, labels)
    for class_id in np.unique(rest[(rest != 0) & (rest != IGNORE)]).tolist():
        region = rest == class_id
        if region.sum() < min_area:
            dropped += 1
        else:
            found.append(annotation(region, class_id, crowd=True))
    return found, dropped


def write_coco(
    path: Path, scenes: Callable[[], Iterable[CocoScene]], classes: Sequence[str], about: str = "", license: str = ""
) -> None:
    """Assemble the instances file, atomically, holding one scene at a time.

    Args:
        path: the JSON file.
        scenes: gives the scenes anew each time it is called, in one order; it is called twice.
        classes: names of categories 1, 2, ...
        about: the description in ``info``.
        license: of all pictures, the user's words; "" for none.

    Raises:
        FolderError: the file cannot be written.
    """
    categories = [{"id": i, "name": name, "supercategory": ""} for i, name in enumerate(classes, start=1)]
    with atomic_write(path) as file:
        info = {"description": about} if about else {}
        licences = [{"id": 1, "name": license, "url": ""}] if license else []
        file.write(b'{"info": ' + _json(info) + b', "licenses": ' + _json(licences) + b',\n"categories": ')
        file.write(_json(categories))
        file.write(b',\n"images": [')
        _write_rows(file, _images(scenes(), {"license": 1} if license else {}))
        file.write(b'],\n"annotations": [')
        _write_rows(file, _annotations(scenes()))
        file.write(b"]}\n")


def _images(scenes: Iterable[CocoScene], more: dict[str, int]) -> Iterator[dict[str, Any]]:
    for image_id, scene in enumerate(scenes, start=1):
        size = {"height": scene.height, "width": scene.width}
        yield {"id": image_id, "file_name": scene.file_name, **size, **more}


def _annotations(scenes: Iterable[CocoScene]) -> Iterator[dict[str, Any]]:
    # ids begin at 1: COCO's scorer takes 0 for "no match"
    annotation_id = 0
    for image_id, scene in enumerate(scenes, start=1):
        for found in scene.annotations:
            annotation_id += 1
            yield {"id": annotation_id, "image_id": image_id, **found}


def _write_rows(file: BinaryIO, rows: Iterable[dict[str, Any]]) -> None:
    for number, row in enumerate(rows):
        file.write(b",\n" if number else b"\n")
        file.write(_json(row))


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
