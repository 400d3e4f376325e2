"""Folders in PASCAL VOC's layout: label maps as palette PNG, photographs as JPEG, lists of stems.

::

    JPEGImages/<stem>.jpg                    (jpeg, png, webp, bmp and tif are read as well)
    SegmentationClass/<stem>.png             palette PNG: index = class, 0 = background, 255 = ignore
    ImageSets/Segmentation/<split>.txt       one stem per line (see disk/split_lists.py)
    classes.txt                              optional: line i, counted from 1, names class i
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.disk.class_folders import IMAGE_SUFFIXES
from aligndiff_cli.disk.decoding import Orientation, checked_size, load_picture, turned_alike
from aligndiff_cli.disk.digest import file_digest
from aligndiff_cli.disk.images import read_image, write_jpeg, write_png
from aligndiff_cli.disk.layout import CLASSES
from aligndiff_cli.disk.split_lists import nfc, read_lines, read_split
from aligndiff_cli.errors import FolderError, InputError
from aligndiff_cli.labels import IGNORE

PICTURES = "JPEGImages"
LABELS = "SegmentationClass"
SPLITS = "ImageSets/Segmentation"
BACKGROUND_NAMES = frozenset({"background", "_background_", "__background__"})
SAVE_AGAIN = "Save it as palette or greyscale PNG whose values are the class indices"


def voc_palette() -> np.ndarray:
    """The colours of VOC's label maps, uint8 (256, 3).

    The lowest three bits of the index become the highest bit of red, green and blue, the next three bits the next
    one, and so on, so that neighbouring classes look different and no two indices share a colour.
    """
    index = np.arange(256)
    colours = np.zeros((256, 3), dtype=np.uint8)
    for bit in range(8):
        for channel in range(3):
            if 3 * bit + channel < 8:
                colours[:, channel] |= ((index >> (3 * bit + channel) & 1) << (7 - bit)).astype(np.uint8)
    return colours


def write_label_map(path: Path, labels: np.ndarray) -> None:
    """Write labels (H, W), integers in [0, 255], as a palette PNG in VOC's colours.

    Raises:
        FolderError: the file cannot be written.
        ValueError: a label is out of range.
    """
    if labels.size and not (labels.min() >= 0 and labels.max() <= IGNORE):
        raise ValueError(f"labels must lie in [0, 255], got {labels.min()} to {labels.max()}")
    write_png(path, labels.astype(np.uint8), palette=voc_palette())


def read_label_map(path: Path) -> np.ndarray:
    """Read a label map: palette indices, grey values, or VOC's colours in an RGB picture.

    Returns:
        uint8 (H, W), 255 where ignored.

    Raises:
        InputError: the file cannot be read, is no PNG, holds values above 255 or colours that are not VOC's.
    """
    if not path.exists():
        raise InputError("there is no such label map", path)
    try:
        picture, _ = load_picture(path, formats=("PNG",))
    except InputError as error:
        raise InputError(f"cannot be read as a PNG label map: it {error.what}", path, SAVE_AGAIN) from error
    if picture.mode in ("P", "L"):
        return np.array(picture)
    if picture.mode == "LA":
        return np.array(picture.getchannel("L"))
    if picture.mode in ("1", "I", "I;16", "I;16B"):
        return _small(np.array(picture).astype(np.int64), path)
    return _from_colours(np.array(picture.convert("RGB")), path)


def _small(values: np.ndarray, path: Path) -> np.ndarray:
    if values.max() > IGNORE:
        raise InputError(
            f"expected class indices from 0 to 255, got {values.max()}", path, "Number the classes from 1 to 254"
        )
    return values.astype(np.uint8)


def _from_colours(rgb: np.ndarray, path: Path) -> np.ndarray:
    """Class indices (H, W) of a picture (H, W, 3) painted in VOC's colours."""
    weights = np.array([1 << 16, 1 << 8, 1])
    known = voc_palette().astype(np.int64) @ weights
    order = known.argsort()
    colours, where = np.unique(rgb.astype(np.int64) @ weights, return_inverse=True)
    place = np.searchsorted(known[order], colours).clip(max=IGNORE)
    strange = colours[known[order][place] != colours]
    if strange.size:
        raise InputError(
            f"expected class indices or VOC's colours, got the colour #{strange[0]:06x}"
            + (f" and {strange.size - 1} others" if strange.size > 1 else ""),
            path,
            SAVE_AGAIN,
        )
    return order[place][where].reshape(rgb.shape[:2]).astype(np.uint8)


@dataclass(frozen=True)
class VocFolder:
    """A folder in VOC's layout, opened for one split. Pictures are read one at a time, when asked for.

    Names are compared in Unicode's NFC form, because disks differ in the form they hand back.

    Attributes:
        root: the folder.
        stems: the split's items, in the order of its list.
        classes: names of classes 1, 2, ...; None where the folder has no ``classes.txt``.
        problems: what was found wrong when it was opened; nothing yet.
        orientation: what the label maps were drawn on, where their pictures have an EXIF orientation.
    """

    root: Path
    stems: list[str]
    classes: list[str] | None
    _pictures: dict[str, list[Path]] = field(repr=False)
    problems: Sequence[InputError] = ()
    orientation: Orientation = "auto"

    def picture(self, stem: str) -> Path:
        """Where the photograph of an item is.

        Raises:
            InputError: there is none, or more than one.
        """
        found = self._pictures.get(nfc(stem), [])
        if not found:
            raise InputError(
                "is in the list but has no picture", self.root / PICTURES / stem, "Add the picture, or strike the line"
            )
        if len(found) > 1:
            names = " and ".join(path.name for path in found)
            raise InputError(f"expected one picture, got {names}", self.root / PICTURES, "Keep one of them")
        return found[0]

    def label_map(self, stem: str) -> Path:
        """Where the label map of an item is, whether or not it exists."""
        path = self.root / LABELS / f"{stem}.png"
        other = path.with_name(f"{unicodedata.normalize('NFD', stem)}.png")
        return other if not path.exists() and other.exists() else path

    def labels(self, stem: str) -> np.ndarray:
        """Read the labels of an item: uint8 (H, W).

        Raises:
            InputError: unreadable, or a class index that ``classes.txt`` does not name.
        """
        path = self.label_map(stem)
        labels = read_label_map(path)
        if self.classes is not None:
            present = np.unique(labels)
            unknown = present[(present > len(self.classes)) & (present != IGNORE)]
            if unknown.size:
                raise InputError(
                    f"expected classes 0 to {len(self.classes)} (or 255 for ignored pixels), got {unknown[0]}",
                    path,
                    f"Add the class to {CLASSES}, or correct the label map",
                )
        return labels

    def load(self, stem: str) -> tuple[np.ndarray, np.ndarray]:
        """Read an item.

        Returns:
            The image, uint8 (H, W, 3), and its labels, uint8 (H, W).

        Raises:
            InputError: a file is missing or unreadable, the sizes differ, or a class is unknown.
        """
        picture = self.picture(stem)
        image, labels = read_image(picture), self.labels(stem)
        return image, fitted(labels, image.shape[:2], picture, self.label_map(stem), self.orientation)

    def check(self, stem: str) -> set[int]:
        """The classes an item shows, if it can be loaded; the picture is decoded as coarsely as its format allows.

        Raises:
            InputError: as :meth:`load`.
        """
        picture, labels = self.picture(stem), self.labels(stem)
        fitted(labels, checked_size(picture), picture, self.label_map(stem), self.orientation)
        return present_classes(labels)

    def present(self, stem: str) -> set[int]:
        """The classes an item shows, background and ignored pixels left out.

        Raises:
            InputError: as :meth:`labels`.
        """
        return present_classes(self.labels(stem))

    def digests(self, stem: str) -> dict[str, str]:
        """Of the picture and of the labels of an item, by these names (InputError if one cannot be read)."""
        return {"picture": file_digest(self.picture(stem)), "labels": file_digest(self.label_map(stem))}


def fitted(
    labels: np.ndarray, shape: tuple[int, int], picture: Path, label_map: Path, orientation: Orientation = "auto"
) -> np.ndarray:
    """Labels of the size of their picture, turned with it where they were drawn on its unturned pixels.

    Args:
        labels: uint8 (H, W).
        shape: (H, W) of the picture as it is shown.
        picture, label_map: where both came from.
        orientation: what the labels were drawn on, if that is known.

    Raises:
        InputError: the sizes differ.
    """
    labels = turned_alike(labels, shape, picture, label_map, orientation)
    if labels.shape != shape:
        raise InputError(
            f"expected a label map of {shape[1]} x {shape[0]} (width x height), the size of its "
            f"picture, got {labels.shape[1]} x {labels.shape[0]}",
            label_map,
            "Draw the labels on this very picture, or scale them to it",
        )
    return labels


def present_classes(labels: np.ndarray) -> set[int]:
    """The classes of a label map, uint8 (H, W), background and ignored pixels left out."""
    return set(np.flatnonzero(np.bincount(labels.ravel(), minlength=IGNORE + 1)).tolist()) - {0, IGNORE}


def open_voc(root: Path, split: str = "train", orientation: Orientation = "auto") -> VocFolder:
    """Open a folder in VOC's layout.

    Args:
        orientation: what the label maps were drawn on, see :func:`aligndiff_cli.disk.decoding.turned_alike`.

    Raises:
        FolderError: it is not one, the split has no list or an empty one, or a list names what is no file's stem.
    """
    for name in (PICTURES, LABELS):
        if not (root / name).is_dir():
            raise FolderError(
                f"expected a folder in VOC's layout, found no {name}/", root, "Give the folder that holds it"
            )
    pictures: dict[str, list[Path]] = {}
    for path in sorted((root / PICTURES).iterdir()):
        if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith("."):
            pictures.setdefault(nfc(path.stem), []).append(path)
    stems = read_split(root / SPLITS / f"{split}.txt", pictures.keys())
    return VocFolder(root, stems, read_classes(root), pictures, orientation=orientation)


def read_classes(root: Path) -> list[str] | None:
    """Names of classes 1, 2, ... of a folder; None without a ``classes.txt``.

    A first line that names the background (class 0) is left out, as some tools write it.
    """
    path = root / CLASSES
    if not path.exists():
        return None
    names = [nfc(line.strip()) for line in read_lines(path)]
    while names and not names[-1]:
        names.pop()
    if names and names[0].casefold() in BACKGROUND_NAMES:
        names = names[1:]
    if not names or not all(names) or len(set(names)) < len(names):
        raise FolderError("expected a different class name on each line", path, "Line i names class i")
    if len(names) >= IGNORE:
        raise FolderError(f"expected at most 254 classes, got {len(names)}", path)
    return names


def write_item(root: Path, stem: str, image: np.ndarray, labels: np.ndarray) -> tuple[Path, Path]:
    """Write one item: the image as JPEG (what stock readers of the layout expect) and its label map.

    Args:
        image: uint8 (H, W, 3).
        labels: integers (H, W) in [0, 255].

    Returns:
        The two files written, picture first.
    """
    picture, label_map = root / PICTURES / f"{stem}.jpg", root / LABELS / f"{stem}.png"
    write_jpeg(picture, image)
    write_label_map(label_map, labels)
    return picture, label_map


def write_split(root: Path, split: str, stems: Iterable[str]) -> Path:
    """Write the list of a split, one stem per line, in the order given."""
    path = root / SPLITS / f"{split}.txt"
    write_text(path, "".join(f"{stem}\n" for stem in stems))
    return path


def write_classes(root: Path, names: Sequence[str]) -> Path:
    """Write ``classes.txt``: line i, counted from 1, names class i."""
    path = root / CLASSES
    write_text(path, "".join(f"{name}\n" for name in names))
    return path
