"""Folders of pictures laid out by class: which classes there are, and the pictures of each.

Names and stems are compared in Unicode's NFC form, because disks differ in the form they hand back. Hidden files and
files that are no pictures are passed over; what looks like a picture and cannot be used is named.
"""

from __future__ import annotations

import logging
import os
import unicodedata
from collections import defaultdict
from pathlib import Path

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.regular import regular
from aligndiff_cli.errors import FolderError, InputError, UsageError

log = logging.getLogger(__name__)

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
# pictures to their owner, so passing over them in silence would be a riddle
UNREAD_SUFFIXES = frozenset(
    {".gif", ".heic", ".heif", ".avif", ".jfif", ".jp2", ".svg", ".psd", ".tga", ".ppm", ".pgm"}
    | {".raw", ".dng", ".cr2", ".cr3", ".nef", ".arw"}
)
# room for what outputs append (".safetensors", a temporary name) within a file system's 255 bytes
MAX_NAME_BYTES = 200

LAYOUT = """Expected layout:
  support/<class>/<stem>.jpg         the image (jpg, jpeg, png, webp, bmp, tif)
  support/<class>/<stem>.png         its mask: 0 is background (or <stem>_mask.png, or the same under --masks DIR)"""


def safe_class(name: str) -> str:
    """The NFC form of a class name or stem, if it can be part of an output path.

    Raises:
        InputError: it is empty, hidden, too long, or holds a separator or a control character.
    """
    if name.isascii() and name.isalnum() and len(name) <= MAX_NAME_BYTES:
        return name
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


def listed(folder: Path) -> list[Path]:
    """What a folder holds, hidden things left out, in an order that does not depend on the disk."""
    return sorted((p for p in folder.iterdir() if not p.name.startswith(".")), key=lambda p: p.name)


def _printable(path: Path) -> Path:
    """The path with escapes for bytes that are no text, so that it can be shown and written down."""
    return Path(os.fsencode(path).decode("utf-8", "backslashreplace"))


def single_class(root: Path, problems: list[InputError]) -> dict[str, Path]:
    """The folder itself under its name, if pictures lie directly in it and no folders; else nothing."""
    if not root.is_dir():
        return {}
    try:
        entries = listed(root)
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


def class_folders(root: Path, problems: list[InputError]) -> dict[str, Path]:
    """Class name -> folder, sorted by name; what is no class folder is added to ``problems``."""
    if not root.is_dir():
        what = "expected a folder, got a file" if root.exists() else "there is no such folder"
        raise UsageError(what, root, LAYOUT)
    try:
        entries = listed(root)
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


def pictures_by_stem(folder: Path, problems: list[InputError]) -> dict[str, list[Path]]:
    """NFC stem -> files with that stem, sorted; what cannot be used is added to ``problems``."""
    try:
        entries = listed(folder)
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


def nfc(text: str) -> str:
    return unicodedata.normalize("NFC", text)
