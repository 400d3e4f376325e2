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

import logging
import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.images import (
    ImageArray,
    MaskArray,
    Orientation,
    check_pair,
    read_image,
    read_mask,
    turned_alike,
)
from aligndiff_cli.disk.regular import regular
from aligndiff_cli.errors import FolderError, InputError, UsageError

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
# pictures to their owner, so passing over them in silence would be a riddle
UNREAD_SUFFIXES = frozenset(
    {".gif", ".heic", ".heif", ".avif", ".jfif", ".jp2", ".svg", ".psd", ".tga", ".ppm", ".pgm"}
    | {".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw"}
)
MASK_SUFFIX = ".png"
MASK_ENDING = "_mask"
# room for what outputs append (".safetensors", a temporary name) within a file system's 255 bytes
MAX_NAME_BYTES = 200

LAYOUT = """Expected layout:
  support/<class>/<stem>.jpg         the image (jpg, jpeg, png, webp, bmp, tif)
  support/<class>/<stem>.png         its mask: 0 is background (or <stem>_mask.png, or the same under --masks DIR)"""


@dataclass(frozen=True, order=True)
class Pair:
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

    pairs: list[Pair] = field(default_factory=list)
    problems: list[InputError] = field(default_factory=list)
    classes: set[str] = field(default_factory=set)


def scan_support(images: Path, masks: Path | None = None, orientation: Orientation = "auto") -> SupportScan:
    """Pair images with masks, class folder by class folder.

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
    classes = _single_class(images, found.problems)
    if classes:
        mask_classes = {} if masks is None else {cls: _own_folder(masks, cls) for cls in classes}
        found.classes = set(classes)
    else:
        classes = _class_folders(images, found.problems)
        found.classes = {_nfc(path.name) for path in _listed(images) if path.is_dir()}
        mask_classes = _class_folders(masks, found.problems) if masks is not None else {}
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


def load_pair(pair: Pair) -> tuple[ImageArray, MaskArray]:
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
    pairs: Iterable[Pair], problems: list[InputError]
) -> Iterator[tuple[Pair, tuple[ImageArray, MaskArray]]]:
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


def safe_class(name: str) -> str:
    """The NFC form of a class name or stem, if it can be part of an output path.

    Raises:
        InputError: it is empty, hidden, too long, or holds a separator or a control character.
    """
    nfc = unicodedata.normalize("NFC", name)
    remedy = "Rename it"
    if not nfc.strip() or nfc.startswith("."):
        raise InputError(f"{name!r} cannot be used as a name: it is empty or begins with a dot", remedy=remedy)
    bad = sorted({c for c in nfc if c in "/\\" or unicodedata.category(c) in ("Cc", "Cs")})
    if bad:
        listed = ", ".join(ascii(c) for c in bad)
        raise InputError(f"{name!a} cannot be used as a name: it contains {listed}", remedy=remedy)
    if len(nfc.encode()) > MAX_NAME_BYTES:
        what = f"'{nfc[:20]}...' is too long: expected at most {MAX_NAME_BYTES} bytes, got {len(nfc.encode())}"
        raise InputError(what, remedy=remedy)
    return nfc


def _class_name(name: str) -> str:
    """The NFC form of a class folder's name (InputError if no folder of a stage could hold it)."""
    if name in layout.KEPT_NAMES:
        raise InputError(f"{name!r} cannot be the name of a class: a file is called so", remedy="Rename it")
    return safe_class(name)


def _listed(folder: Path) -> list[Path]:
    """What a folder holds, hidden things left out, in an order that does not depend on the disk."""
    return sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=lambda p: p.name)


def _printable(path: Path) -> Path:
    """The path with escapes for bytes that are no text, so that it can be shown and written down."""
    return Path(os.fsencode(path).decode("utf-8", "backslashreplace"))


def _single_class(root: Path, problems: list[InputError]) -> dict[str, Path]:
    """The folder itself under its name, if pictures lie directly in it and no folders; else nothing."""
    if not root.is_dir():
        return {}
    try:
        entries = _listed(root)
    except OSError as error:
        raise FolderError(f"cannot be read ({error.strerror})", root) from error
    pictures = any(path.suffix.lower() in IMAGE_SUFFIXES for path in entries)
    if not pictures or any(path.is_dir() for path in entries):
        return {}
    try:
        cls = safe_class(Path(os.path.realpath(root)).name)
    except InputError as error:
        problems.append(InputError(error.what, root, error.remedy))
        return {}
    log.info("%s holds pairs and no folders: they are taken for the class %r", root, cls)
    return {cls: root}


def _own_folder(masks: Path, cls: str) -> Path:
    """Where the masks of a single class are: directly in their folder, too, or in one of the class's name."""
    return masks / cls if (masks / cls).is_dir() else masks


def _class_folders(root: Path, problems: list[InputError]) -> dict[str, Path]:
    """Class name -> folder, sorted by name; what is no class folder is added to ``problems``."""
    if not root.is_dir():
        what = "expected a folder, got a file" if root.exists() else "there is no such folder"
        raise UsageError(what, root, LAYOUT)
    try:
        entries = _listed(root)
    except OSError as error:
        raise FolderError(f"cannot be read ({error.strerror})", root) from error
    loose = [p for p in entries if p.suffix.lower() in IMAGE_SUFFIXES and not p.is_dir()]
    if loose:
        count = f" and {len(loose) - 1} more" if len(loose) > 1 else ""
        first = _printable(loose[0])
        what = f"'{first.name}'{count} lie outside a class folder" if count else "lies outside a class folder"
        remedy = f"Move them into '{root.name}/<class>/', one folder per class"
        problems.append(InputError(what, root if count else first, remedy))
    folders: dict[str, list[Path]] = defaultdict(list)
    for entry in entries:
        if entry.is_dir():
            try:
                folders[_class_name(entry.name)].append(entry)
            except InputError as error:
                problems.append(InputError(error.what, root, error.remedy))
    for cls, alike in folders.items():
        if len(alike) > 1:
            what = f"{len(alike)} class folders have names that look alike, '{cls}', in different Unicode forms"
            problems.append(InputError(what, root, "Merge them into one folder"))
    return {cls: folders[cls][0] for cls in sorted(folders) if len(folders[cls]) == 1}


def _pictures(folder: Path, problems: list[InputError]) -> dict[str, list[Path]]:
    """NFC stem -> files with that stem, sorted; what cannot be used is added to ``problems``."""
    try:
        entries = _listed(folder)
    except OSError as error:
        problems.append(InputError(f"cannot be read ({error.strerror})", folder))
        return {}
    pictures: dict[str, list[Path]] = defaultdict(list)
    for path in entries:
        try:
            stem = _picture_stem(path)
        except InputError as error:
            problems.append(error)
        except OSError as error:  # a folder may be listed whose files may not be looked at
            problems.append(InputError(f"cannot be read ({error.strerror})", _printable(path)))
        else:
            if stem is not None:
                pictures[stem].append(path)
    return pictures


def _picture_stem(path: Path) -> str | None:
    """The NFC stem of a picture; None for a file that is none.

    Raises:
        InputError: it looks like a picture, and cannot be used as one.
        OSError: it cannot be looked at.
    """
    suffix = path.suffix.lower()
    shown = _printable(path)
    if path.is_dir():
        remedy = "Class folders hold files only: move what is in it one level up, or remove it"
        raise InputError("is a folder within a class folder", shown, remedy)
    if suffix in UNREAD_SUFFIXES:
        raise InputError(f"is in a format that is not read ({suffix})", shown, "Export it as PNG or JPEG")
    if suffix not in IMAGE_SUFFIXES:
        return None
    if not path.exists():
        raise InputError("is a link that leads nowhere", shown, "Mend or remove the link")
    try:
        stem = safe_class(path.stem)
    except InputError as error:
        raise InputError(error.what, path.parent, error.remedy) from error
    regular(path)
    return stem


def _pair_beside(cls: str, folder: Path) -> tuple[list[Pair], list[InputError]]:
    """Pair the files of one class folder that holds images and masks together."""
    problems: list[InputError] = []
    pictures = _pictures(folder, problems)
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


def _pair_apart(cls: str, folder: Path, mask_folder: Path) -> tuple[list[Pair], list[InputError]]:
    """Pair one class folder of images with its folder of masks."""
    problems: list[InputError] = []
    images = _pictures(folder, problems)
    if not mask_folder.is_dir():
        problems.append(InputError("there is no folder with the masks of this class", mask_folder, LAYOUT))
        return [], problems
    masks: dict[str, list[Path]] = defaultdict(list)
    for stem, files in _pictures(mask_folder, problems).items():
        masks[stem if stem in images else _unmasked(stem)] += [p for p in files if _is_png(p)]
        problems += [InputError("is a mask, but no PNG", p, "Save it as PNG") for p in files if not _is_png(p)]
    return _matched(cls, images, masks, mask_folder, problems), problems


def _matched(
    cls: str,
    images: dict[str, list[Path]],
    masks: dict[str, list[Path]],
    mask_folder: Path,
    problems: list[InputError],
) -> list[Pair]:
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
            pairs.append(Pair(cls, stem, files[0], found[0]))
    for stem, files in masks.items():
        if stem not in images:
            remedy = f"Add the image '{stem}.jpg' (or png, webp, bmp, tif), or remove the mask"
            problems += [InputError("is a mask without an image", path, remedy) for path in files]
    if not images and not problems:
        problems.append(InputError("holds no pictures", mask_folder, "Add image-mask pairs, or remove the folder"))
    return pairs


def _same_stem(files: Sequence[Path]) -> InputError:
    alike = " in different Unicode forms" if len({_nfc(path.name) for path in files}) < len(files) else ""
    what = f"{_quoted(files)} have the same stem{alike}, so they would share one mask and one output"
    return InputError(what, files[0].parent, "Rename or remove one of them")


def _nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)


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
