"""Class names in lists and folders: one class may be written with spaces, underscores or hyphens between its words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path

from aligndiff_cli.disk.split_lists import nfc, read_lines
from aligndiff_cli.errors import FolderError
from aligndiff_cli.method.prompts import class_words


def read_names(path: Path) -> list[str]:
    """The names that a text file lists, one a line, NFC, each once.

    Raises:
        FolderError: it cannot be read as UTF-8 (with or without a byte order mark).
    """
    return list(dict.fromkeys(nfc(line.strip()) for line in read_lines(path) if line.strip()))


def matched(names: Iterable[str], known: Iterable[str], where: Path) -> list[str]:
    """Each name as the class is called among those there are.

    Args:
        names: what a list says.
        known: the classes there are.
        where: the list, for the message.

    Raises:
        FolderError: a name is none of them; the message names the nearest.
    """
    by_words = {class_words(cls): cls for cls in sorted(known)}
    unknown = [name for name in names if class_words(name) not in by_words]
    if unknown:
        what = f"names {', '.join(map(repr, unknown[:5]))}, and there is no such class{nearest(unknown[0], by_words)}"
        raise FolderError(what, where, "Correct or remove the line: one class a line, called as its folder is")
    return list(dict.fromkeys(by_words[class_words(name)] for name in names))


def numbered(names: Sequence[str], where: Path) -> dict[str, int]:
    """The words of each name -> its number, counted from 1.

    Raises:
        FolderError: two names have the same words.
    """
    numbers = {class_words(name): number for number, name in enumerate(names, 1)}
    if len(numbers) < len(names):
        twice = next(name for number, name in enumerate(names, 1) if numbers[class_words(name)] != number)
        raise FolderError(f"names the class {class_words(twice)!r} twice", where, "Line i names class i")
    return numbers


def nearest(name: str, known: Iterable[str]) -> str:
    """What to add to a message on a name that is not known: the nearest that is, if one is near."""
    found = get_close_matches(class_words(name), [class_words(other) for other in known], n=1)
    return f" (the nearest is {found[0]!r})" if found else ""
