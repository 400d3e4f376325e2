"""Base scenes as COCO has them: pictures, and one JSON file of instances.

The JSON is given itself, or the folder that holds it (in ``annotations/``, at its top, or in ``train/``). Pictures are
looked for beside the file and where the usual tools put them. Instances are painted into label maps when they are asked
for: crowds first, then larger objects before smaller ones. Categories become classes 1, 2, ... in the order of their
ids, whatever gaps these have; two of one name are one class, and one called "background" is none.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from aligndiff_cli.disk.coco_masks import segmentation_mask
from aligndiff_cli.disk.decoding import MAX_PIXELS, Orientation, stored_size
from aligndiff_cli.disk.digest import file_digest, joint_digest
from aligndiff_cli.disk.images import read_image
from aligndiff_cli.disk.regular import regular
from aligndiff_cli.disk.voc import BACKGROUND_NAMES, fitted
from aligndiff_cli.errors import FolderError, InputError
from aligndiff_cli.labels import IGNORE

PLACES = ("annotations/*.json", "*.json", "train/*.json")
MALFORMED = (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError)
"""What a malformed annotation raises where it is painted."""


@dataclass
class _Image:
    """An entry of the file with its annotations, and where its picture is."""

    picture: Path
    entry: Mapping[str, Any]
    annotations: list[Mapping[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class CocoFolder:
    """An instances file, opened; its pictures are read one at a time, when asked for.

    Attributes:
        root: the JSON file.
        stems: names of the pictures that are there, in the order of their ids.
        classes: names of classes 1, 2, ...
        problems: what had to be left out.
        orientation: what the instances were drawn on, where their pictures have an EXIF orientation.
    """

    root: Path
    stems: list[str]
    classes: list[str] | None
    problems: Sequence[InputError]
    _images: Mapping[str, _Image] = field(repr=False)
    _numbers: Mapping[Any, int] = field(repr=False)
    orientation: Orientation = "auto"

    def picture(self, stem: str) -> Path:
        """Where the photograph of an item is."""
        return self._images[stem].picture

    def present(self, stem: str) -> set[int]:
        """The classes of an item's annotations.

        Raises:
            InputError: an annotation is of no known category.
        """
        try:
            return {self._numbers[a["category_id"]] for a in self._images[stem].annotations} - {0}
        except MALFORMED as error:
            raise self._malformed(stem, error) from error

    def load(self, stem: str) -> tuple[np.ndarray, np.ndarray]:
        """Read an item.

        Returns:
            The image, uint8 (H, W, 3), and its labels, uint8 (H, W).

        Raises:
            InputError: the picture cannot be read, is not of the size the file says, or an annotation is malformed.
        """
        own = self._images[stem]
        image = read_image(own.picture)
        width, height = stored_size(own.picture)
        said = own.entry.get("height") or height, own.entry.get("width") or width
        if said not in ((height, width), image.shape[:2]):
            raise InputError(
                f"expected a picture of {said[1]} x {said[0]} (width x height) as {self.root.name} says, "
                f"got {image.shape[1]} x {image.shape[0]}",
                own.picture,
                "Take the picture that was annotated, unscaled",
            )
        try:
            labels = paint(own.annotations, self._numbers, *said)
        except MALFORMED as error:
            raise self._malformed(stem, error) from error
        return image, fitted(labels, image.shape[:2], own.picture, self.root, self.orientation)

    def digests(self, stem: str) -> dict[str, str]:
        """Of the picture and of the labels of an item, by these names (InputError if one cannot be read)."""
        own = self._images[stem]
        told = {
            str(n): json.dumps([self._numbers.get(a.get("category_id")), a.get("segmentation"), a.get("iscrowd")])
            for n, a in enumerate(own.annotations)
        }
        return {"picture": file_digest(own.picture), "labels": joint_digest(told)}

    def _malformed(self, stem: str, error: Exception) -> InputError:
        reason = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        what = f"the annotations of {stem} cannot be painted ({reason})"
        return InputError(what, self.root, "Mend or remove them")


def paint(annotations: Sequence[Mapping[str, Any]], numbers: Mapping[Any, int], height: int, width: int) -> np.ndarray:
    """The label map of one picture's annotations: crowds first, then larger objects before smaller ones.

    Args:
        annotations: with ``category_id``, ``segmentation`` and perhaps ``iscrowd``.
        numbers: class number of each category id.

    Returns:
        uint8 (height, width), class numbers, 0 where there is none.

    Raises:
        ValueError, KeyError: an annotation is malformed.
    """
    if not (all(isinstance(side, int) and side > 0 for side in (height, width)) and height * width <= MAX_PIXELS):
        raise ValueError(f"a picture of {height} x {width} pixels cannot be")
    for annotation in annotations:
        if not annotation.get("segmentation"):
            raise ValueError(f"annotation {annotation.get('id', '')} has no segmentation")
    masks = [segmentation_mask(annotation["segmentation"], height, width) for annotation in annotations]
    order = sorted(range(len(masks)), key=lambda n: (not annotations[n].get("iscrowd", 0), -int(masks[n].sum()), n))
    labels = np.zeros((height, width), np.uint8)
    for n in order:
        labels[masks[n]] = numbers[annotations[n]["category_id"]]
    return labels


def find_instances(folder: Path) -> Path | None:
    """The instances file of a folder; None where there is no JSON file.

    Raises:
        FolderError: there are several, and none is the one of the split ``train``.
    """
    for place in PLACES:
        found = sorted(path for path in folder.glob(place) if not path.name.startswith("."))
        if not found:
            continue
        for telling in ("instances", "train"):
            found = [path for path in found if telling in path.stem.lower()] or found
        if len(found) > 1:
            names = ", ".join(path.relative_to(folder).as_posix() for path in found)
            raise FolderError(f"holds several files of annotations: {names}", folder, "Give one of them instead")
        return found[0]
    return None


def open_coco(path: Path, orientation: Orientation = "auto") -> CocoFolder:
    """Open an instances file.

    Raises:
        FolderError: it is none, or not one of its pictures is there.
    """
    try:
        content = json.loads(regular(path).read_text(encoding="utf-8-sig"))
        entries = sorted(content["images"], key=lambda entry: entry["id"])
        categories = sorted(content["categories"], key=lambda category: category["id"])
        names, numbers = _classes([(category["id"], str(category["name"])) for category in categories], path)
        by_image: dict[Any, list[Mapping[str, Any]]] = {}
        for annotation in content["annotations"]:
            by_image.setdefault(annotation["image_id"], []).append(annotation)
        listed = [(entry["id"], str(entry["file_name"]).replace("\\", "/"), entry) for entry in entries]
    except (OSError, RecursionError, *MALFORMED) as error:
        reason = f"{type(error).__name__}: {error}"
        remedy = "Give a file with images, annotations and categories, as COCO's instances have them"
        raise FolderError(f"is not COCO's instances file ({reason})", path, remedy) from error
    problems: list[InputError] = []
    pictures = _pictures(path, [name for _, name, _ in listed], problems)
    twice = {number for number, count in Counter(number for number, _, _ in listed).items() if count > 1}
    images = {
        name: _Image(pictures[name], entry, by_image.get(number, []))
        for number, name, entry in listed
        if name in pictures and number not in twice
    }
    _tell(problems, path, "ids stand for more than one picture each", sorted(map(str, twice)))
    strangers = by_image.keys() - {number for number, _, _ in listed}
    _tell(problems, path, "pictures have annotations and are not listed: their ids are", sorted(map(str, strangers)))
    if not images:
        raise FolderError(
            f"not one of its {len(listed)} pictures is there",
            path,
            f"Looked in {', '.join(str(place) for place in picture_places(path))}",
        )
    return CocoFolder(path, list(images), names, problems, images, numbers, orientation)


def _classes(categories: Sequence[tuple[Any, str]], path: Path) -> tuple[list[str], dict[Any, int]]:
    """Names of classes 1, 2, ..., and the class number of each category id; 0 for the background."""
    names = list(dict.fromkeys(name for _, name in categories if name.casefold() not in BACKGROUND_NAMES))
    if len(names) >= IGNORE:
        raise FolderError(f"expected at most 254 classes, got {len(names)}", path)
    return names, {number: names.index(name) + 1 if name in names else 0 for number, name in categories}


def picture_places(path: Path) -> list[Path]:
    """Folders in which pictures are looked for: as COCO, CVAT, Label Studio, Roboflow and FiftyOne have them."""
    split = path.stem.removeprefix("instances_").removeprefix("person_keypoints_")
    folder, above = path.parent, path.parent.parent
    places = [folder, folder / "images", above / split, above / "images" / split, above / "images", above]
    return [*places, folder / split, above / "JPEGImages", folder / "JPEGImages", folder / "data"]


def _pictures(path: Path, names: Sequence[str], problems: list[InputError]) -> dict[str, Path]:
    """Name -> where the picture is, of those that are there once."""
    places = [place for place in picture_places(path) if place.is_dir()]
    found: dict[str, Path] = {}
    missing, outside = [], []
    counts = Counter(names)
    for name in counts:
        pure = PurePosixPath(name)
        if pure.is_absolute() or ".." in pure.parts:
            outside.append(name)
            continue
        picture = next((place / name for place in places if (place / name).exists()), None)
        if picture is None:
            missing.append(name)
        elif counts[name] == 1:
            found[name] = picture
    _tell(problems, path, "of its pictures are not there", missing)
    _tell(problems, path, "pictures are listed twice", [name for name, count in counts.items() if count > 1])
    _tell(problems, path, "names of pictures lead out of the folder", outside)
    return found


def _tell(problems: list[InputError], path: Path, what: str, names: Sequence[str]) -> None:
    """One problem for all names that have it."""
    if names:
        more = ", ..." if len(names) > 3 else ""
        problems.append(InputError(f"{len(names)} {what}: {', '.join(names[:3])}{more}", path, "They are left out"))
