"""The support folder: image-mask pairs laid out by class.

::

    support/<class>/<stem>.jpg|jpeg|png|webp|bmp|tif      the image
    support/<class>/<stem>.png or <stem>_mask.png         its mask, beside it ...
    masks/<class>/<stem>.png or <stem>_mask.png           ... or in a folder of its own, laid out alike

A folder that holds pairs and no folders is itself a class folder, its name being the class.

Scanning opens no file and stops at no bad one: what can be paired is returned, what cannot is named with the reason
and the remedy. Names are compared in Unicode's NFC form, because disks differ in the form they hand back; suffixes
and the ending ``_mask`` in either case. Hidden files and files that are no pictures are passed over.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from aligndiff_cli.disk.class_folders import LAYOUT, class_folders, listed, nfc, pictures_by_stem, single_class
from aligndiff_cli.disk.decoding import Orientation, turned_alike
from aligndiff_cli.disk.images import ImageArray, MaskArray, check_pair, read_image, read_mask
from aligndiff_cli.errors import FolderError, InputError

MASK_SUFFIX = ".png"
MASK_ENDING = "_mask"


@dataclass(frozen=True, order=True)
class PairFiles:
    """One image and its mask.

    Attributes:
        cls: class name, the folder's, NFC.
        stem: file name of the image without suffix, NFC; unique within the class.
        image, mask: the files.
        orientation: what the mask was drawn on, where the image has an EXIF orientation.
    """

    cls: str
    stem: str
    image: Path
    mask: Path
    orientation: Orientation = "auto"


@dataclass
class SupportScan:
    """What a support folder holds.

    Attributes:
        pairs: sorted by class and stem.
        problems: what could not be paired, in the order of the paths.
        classes: names of all class folders, whether or not they hold a pair.
    """

    pairs: list[PairFiles] = field(default_factory=list)
    problems: list[InputError] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)


def scan_support(images: Path, masks: Path | None = None, orientation: Orientation = "auto") -> SupportScan:
    """PairFiles images with masks, class folder by class folder.

    Args:
        images: the support folder.
        masks: folder of the masks, laid out alike; None where they lie beside the images.
        orientation: what the masks were drawn on, see :func:`aligndiff_cli.disk.images.turned_alike`.

    Raises:
        UsageError: a folder does not exist, or is a file.
        FolderError: the support folder is empty or may not be read.
    """
    if masks is not None and os.path.realpath(masks) == os.path.realpath(images):
        masks = None
    found = SupportScan()
    classes = single_class(images, found.problems)
    if classes:
        mask_classes = {} if masks is None else {cls: _own_folder(masks, cls) for cls in classes}
        found.classes = set(classes)
    else:
        classes = class_folders(images, found.problems)
        found.classes = {nfc(path.name) for path in listed(images) if path.is_dir()}
        mask_classes = class_folders(masks, found.problems) if masks is not None else {}
    if not classes and not found.problems:
        raise FolderError("holds no class folders", images, LAYOUT)
    for cls, folder in classes.items():
        if masks is None:
            pairs, problems = _pair_beside(cls, folder)
        else:
            pairs, problems = _pair_apart(cls, folder, mask_classes.get(cls, masks / cls))
        found.pairs += pairs
        found.problems += problems
    for cls in sorted(mask_classes.keys() - classes.keys()):
        remedy = f"Add '{images.name}/{cls}/' or remove this folder"
        found.problems.append(InputError("holds masks of a class that has no images", mask_classes[cls], remedy))
    found.pairs = sorted(replace(pair, orientation=orientation) for pair in found.pairs)
    found.problems.sort(key=str)
    return found


def load_pair(pair: PairFiles) -> tuple[ImageArray, MaskArray]:
    """Read and check one pair.

    Returns:
        uint8 (H, W, 3) image and bool (H, W) mask with both foreground and background.

    Raises:
        InputError: a file cannot be read, sizes differ, or the mask is empty or full.
    """
    image, mask = read_image(pair.image), read_mask(pair.mask)
    mask = turned_alike(mask, image.shape[:2], pair.image, pair.mask, pair.orientation)
    check_pair(image, mask, pair.image, pair.mask)
    return image, mask


def load_usable(
    pairs: Iterable[PairFiles], problems: list[InputError]
) -> Iterator[tuple[PairFiles, tuple[ImageArray, MaskArray]]]:
    """The pairs that can be used, with what :func:`load_pair` reads of them, one at a time.

    Why the others cannot is added to ``problems``.
    """
    for pair in pairs:
        try:
            loaded = load_pair(pair)
        except InputError as error:
            problems.append(error)
        else:
            yield pair, loaded


def _own_folder(masks: Path, cls: str) -> Path:
    """Where the masks of a single class are: directly in their folder, too, or in one of the class's name."""
    return masks / cls if (masks / cls).is_dir() else masks


def _pair_beside(cls: str, folder: Path) -> tuple[list[PairFiles], list[InputError]]:
    """PairFiles the files of one class folder that holds images and masks together."""
    problems: list[InputError] = []
    pictures = pictures_by_stem(folder, problems)
    images: dict[str, list[Path]] = {}
    masks: dict[str, list[Path]] = defaultdict(list)
    for stem, files in pictures.items():
        pngs = [p for p in files if _is_png(p)]
        photographs = [p for p in files if not _is_png(p)]
        if photographs and pngs:
            images[stem] = photographs
            masks[stem] += pngs
        elif photographs or not _is_mask_stem(stem, pictures):
            images[stem] = files
        else:
            masks[_unmasked(stem)] += files
    return _matched(cls, images, masks, folder, problems), problems


def _is_mask_stem(stem: str, stems: Iterable[str]) -> bool:
    """Whether a PNG that shares its stem with no photograph is a mask: named so, and not itself masked."""
    masked = (stem + MASK_ENDING).casefold()
    return _unmasked(stem) not in (stem, "") and not any(other.casefold() == masked for other in stems)


def _unmasked(stem: str) -> str:
    """The stem without the ending of masks, if it has it, in either case."""
    return stem[: -len(MASK_ENDING)] if stem.casefold().endswith(MASK_ENDING) else stem


def _pair_apart(cls: str, folder: Path, mask_folder: Path) -> tuple[list[PairFiles], list[InputError]]:
    """PairFiles one class folder of images with its folder of masks."""
    problems: list[InputError] = []
    images = pictures_by_stem(folder, problems)
    if not mask_folder.is_dir():
        problems.append(InputError("there is no folder with the masks of this class", mask_folder, LAYOUT))
        return [], problems
    masks: dict[str, list[Path]] = defaultdict(list)
    for stem, files in pictures_by_stem(mask_folder, problems).items():
        masks[stem if stem in images else _unmasked(stem)] += [p for p in files if _is_png(p)]
        problems += [InputError("is a mask, but no PNG", p, "Save it as PNG") for p in files if not _is_png(p)]
    return _matched(cls, images, masks, mask_folder, problems), problems


def _matched(
    cls: str,
    images: dict[str, list[Path]],
    masks: dict[str, list[Path]],
    mask_folder: Path,
    problems: list[InputError],
) -> list[PairFiles]:
    """One pair for every stem with one image and one mask; all else is added to ``problems``."""
    pairs = []
    for stem, files in images.items():
        found = masks.get(stem, [])
        if len(files) > 1:
            problems.append(_same_stem(files))
        elif not found:
            problems.append(InputError("has no mask", files[0], _where_looked(files[0], stem, mask_folder)))
        elif len(found) > 1:
            problems.append(InputError(f"has {len(found)} masks: {_quoted(found)}", files[0], "Keep one of them"))
        else:
            pairs.append(PairFiles(cls, stem, files[0], found[0]))
    for stem, files in masks.items():
        if stem not in images:
            remedy = f"Add the image '{stem}.jpg' (or png, webp, bmp, tif), or remove the mask"
            problems += [InputError("is a mask without an image", path, remedy) for path in files]
    if not images and not problems:
        problems.append(InputError("holds no pictures", mask_folder, "Add image-mask pairs, or remove the folder"))
    return pairs


def _same_stem(files: Sequence[Path]) -> InputError:
    alike = " in different Unicode forms" if len({nfc(path.name) for path in files}) < len(files) else ""
    what = f"{_quoted(files)} have the same stem{alike}, so they would share one mask and one output"
    return InputError(what, files[0].parent, "Rename or remove one of them")


def _where_looked(image: Path, stem: str, mask_folder: Path) -> str:
    names = [stem + MASK_SUFFIX, stem + MASK_ENDING + MASK_SUFFIX]
    if _is_png(image) and image.parent == mask_folder:
        names = names[1:]
    advice = f"Looked for {' and '.join(repr(name) for name in names)} in '{mask_folder}'"
    if _unmasked(stem) != stem:
        advice += "; if it is a mask itself, save it as PNG"
    return advice


def _quoted(paths: Iterable[Path]) -> str:
    return " and ".join(f"'{path.name}'" for path in sorted(paths))


def _is_png(path: Path) -> bool:
    return path.suffix.lower() == MASK_SUFFIX
