"""COCO's photographs and instances (2014 or 2017), read as they are unpacked.

::

    ROOT/annotations/instances_train2017.json, instances_val2017.json
    ROOT/train2017/000000000009.jpg                  (2014: train2014/COCO_train2014_000000000009.jpg)
    ROOT/val2017/...

Instances are painted into label maps, class numbers as in `folds.COCO_CLASSES`: crowds first, then larger objects
before smaller ones, so that what is on a table is not hidden by the table. The published label maps of COCO-20i differ
from each other where objects overlap.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from aligndiff_cli.datasets.folds import COCO_CLASSES, COCO_IDS
from aligndiff_cli.datasets.photographs import Photograph, Photographs, Report, check_counts, keep_label_map
from aligndiff_cli.disk import coco_base
from aligndiff_cli.disk.digest import file_digest
from aligndiff_cli.errors import AligndiffError, FolderError, InputError, UsageError

COUNTS = {2014: {"train": 82783, "val": 40504}, 2017: {"train": 118287, "val": 5000}}
URL = "https://cocodataset.org/#download ({part}{year}.zip and annotations_trainval{year}.zip)"
NUMBERS = {category: number for number, category in enumerate(COCO_IDS, 1)}


@dataclass(frozen=True)
class _Image:
    """An entry of the instances file, with the annotations of its photograph."""

    file_name: str
    height: int
    width: int
    annotations: list[dict[str, Any]] = field(default_factory=list)


def read_coco(root: Path, year: int, label_maps: Path, *, partial: bool, report: Report) -> Photographs:
    """Open the data set and paint the label maps that are not there yet.

    Args:
        root: folder of annotations/ and the photographs.
        year: 2014 or 2017.
        label_maps: where the label maps are kept; all folds may share it.
        partial: go on with fewer photographs than were published.
        report: told of each photograph.

    Raises:
        UsageError: another year.
        FolderError: something is missing; the message says what, and where it is had.
    """
    if year not in COUNTS:
        raise UsageError(f"--year: COCO-20i is made of the releases 2014 or 2017, not {year}")
    parts = {part: _read_instances(root, part, year) for part in ("train", "val")}
    there = {part: _pictures(root, part, year) for part in parts}
    counts = {}
    for part, published in COUNTS[year].items():
        counts[f"photographs in instances_{part}{year}.json"] = (published, len(parts[part][1]))
        counts[f"of them in {part}{year}/"] = (published, len(there[part] & {i.file_name for i in parts[part][1]}))
    warnings = check_counts(counts, root, URL.format(part="train", year=year), partial)
    data = Photographs(COCO_CLASSES, warnings=warnings)
    total = sum(len(images) for _, images in parts.values())
    report(0, total)
    done = 0
    for part, (digest, images) in parts.items():
        # named by the annotations, so that maps of other annotations are never taken for these
        maps = label_maps / f"{part}{year}-{digest[:8]}"
        for image in images:
            if image.file_name in there[part]:
                found = _photograph(root / f"{part}{year}", image, maps, data.problems)
                (data.train if part == "train" else data.val).extend(found)
            done += 1
            report(done, total)
    return data


def _read_instances(root: Path, part: str, year: int) -> tuple[str, list[_Image]]:
    """Digest of an instances file, and its images in the order of their ids."""
    path = root / "annotations" / f"instances_{part}{year}.json"
    if not path.is_file():
        raise FolderError("there is no such file", path, f"It is had from {URL.format(part=part, year=year)}")
    try:
        content = json.loads(path.read_bytes())
        check_categories(content["categories"], path)
        entries = sorted(content["images"], key=lambda entry: entry["id"])
        images = {e["id"]: _Image(e["file_name"], e["height"], e["width"]) for e in entries}
        for annotation in content["annotations"]:
            images[annotation["image_id"]].annotations.append(annotation)
    except (OSError, RecursionError, *coco_base.MALFORMED) as error:
        reason = f"{type(error).__name__}: {error}"
        raise FolderError(f"is not COCO's instances file ({reason})", path, "Unpack it again") from error
    # of the former kind, so that maps which are there keep their name
    return file_digest(path, former=True), list(images.values())


def check_categories(categories: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Refuse an instances file whose classes are not COCO's eighty under their own numbers.

    Raises:
        FolderError: they differ; the first difference is named.
    """
    found = {category["id"]: category["name"].replace(" ", "_") for category in categories}
    expected = dict(zip(COCO_IDS, COCO_CLASSES, strict=True))
    for number in sorted(expected.keys() | found.keys()):
        if expected.get(number) != found.get(number):
            what = f"expected category {number} to be {expected.get(number)!r}, got {found.get(number)!r}"
            raise FolderError(what, path, "Give the instances file of COCO's 80 things")


def _pictures(root: Path, part: str, year: int) -> set[str]:
    folder = root / f"{part}{year}"
    if not folder.is_dir():
        raise FolderError("there is no such folder", folder, f"It is had from {URL.format(part=part, year=year)}")
    return {path.name for path in folder.iterdir()}


def _photograph(folder: Path, image: _Image, maps: Path, problems: list[AligndiffError]) -> list[Photograph]:
    """The photograph with its label map painted; none, and a problem more, if that cannot be done."""
    picture = folder / image.file_name
    labels = maps / f"{picture.stem}.png"
    try:
        keep_label_map(labels, lambda: paint(image.annotations, image.height, image.width))
        present = frozenset(NUMBERS[a["category_id"]] for a in image.annotations)
    except coco_base.MALFORMED as error:
        problems.append(InputError(f"has an annotation that cannot be read ({error})", picture))
        return []
    return [Photograph(picture.stem, picture, labels, present)]


def paint(annotations: Sequence[Mapping[str, Any]], height: int, width: int) -> np.ndarray:
    """The label map of one photograph's annotations.

    Returns:
        uint8 (height, width), class numbers, 0 where there is none.

    Raises:
        ValueError, KeyError: an annotation is malformed.
    """
    return coco_base.paint(annotations, NUMBERS, height, width)
