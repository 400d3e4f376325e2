"""Lists of the pictures of a split, in the forms in which people have them.

One stem per line is VOC's own form. The ending of a picture may stand behind it. ``ImageSets/Main/<class>_<split>.txt``
has a stem and 1, -1 or 0 on each line: the picture shows the class, does not, or shows it in a way that is not to be
counted; only those of 1 are in the list then.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from collections.abc import Collection, Sequence
from pathlib import Path

from aligndiff_cli.disk.class_folders import IMAGE_SUFFIXES
from aligndiff_cli.disk.regular import regular
from aligndiff_cli.errors import FolderError

log = logging.getLogger(__name__)

CLASS_LINE = re.compile(r"(?P<stem>\S.*?)\s+(?P<shown>1|-1|0)")
ENDINGS = IMAGE_SUFFIXES


def nfc(text: str) -> str:
    """A name in Unicode's NFC form."""
    return unicodedata.normalize("NFC", text)


def read_split(path: Path, pictures: Collection[str]) -> list[str]:
    """The stems that a list names, in its order; a repeated one counts once.

    Args:
        path: the list.
        pictures: stems of the pictures there are, NFC: a line that is one of them is taken as it is.

    Raises:
        FolderError: there is no list, it names nothing, or a line is no file's name.
    """
    if not path.exists():
        others = ", ".join(sorted(p.stem for p in path.parent.glob("*.txt"))) or "none"
        raise FolderError(f"there is no list of the split {path.stem!r} (found: {others})", path)
    lines = [line.strip() for line in read_lines(path) if line.strip()]
    stems = list(dict.fromkeys(_without_ending(line, pictures) for line in _of_class(lines, pictures, path)))
    for stem in stems:
        if Path(stem).name != stem or "\\" in stem:
            raise FolderError(f"expected a file's name without its ending on each line, got {stem!r}", path)
    if not stems:
        raise FolderError("the list is empty", path)
    return stems


def read_lines(path: Path) -> list[str]:
    """Lines of a text file, without a byte order mark.

    Raises:
        FolderError: it cannot be read as UTF-8.
    """
    try:
        return regular(path).read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FolderError("cannot be read as UTF-8 text", path) from error


def _of_class(lines: Sequence[str], pictures: Collection[str], path: Path) -> Sequence[str]:
    """The stems of the pictures that show the class, if this is the list of a class; else the lines as they are."""
    found = [CLASS_LINE.fullmatch(line) for line in lines]
    # a stem may end in a number as well, so that a list of pictures that are there is none of a class
    if not all(found) or any(nfc(line) in pictures for line in lines):
        return lines
    shown = [match["stem"] for match in found if match and match["shown"] == "1"]
    if lines:
        log.info("%s is a list of one class: %d of its %d pictures are in it (1)", path, len(shown), len(lines))
    return shown


def _without_ending(line: str, pictures: Collection[str]) -> str:
    stem, dot, ending = line.rpartition(".")
    if nfc(line) not in pictures and dot + ending.lower() in ENDINGS and nfc(stem) in pictures:
        return stem
    return line
