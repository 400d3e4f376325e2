"""What every format of annotations is read as: pictures, and the objects drawn in them. Beyond the paper.

Readers give one picture at a time, and masks are drawn when they are asked for, so that a data set of any size is
read in little memory.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from aligndiff_cli.disk.class_folders import safe_class
from aligndiff_cli.disk.decoding import MAX_PIXELS
from aligndiff_cli.disk.split_lists import nfc
from aligndiff_cli.disk.voc import BACKGROUND_NAMES
from aligndiff_cli.errors import FolderError, InputError
from aligndiff_cli.labels import IGNORE
from aligndiff_cli.method.prompts import class_words

MaskArray = NDArray[np.bool_]
Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a rectangle, pixels from the picture's corner."""
Kind = Literal[
    "picture not found",
    "picture cannot be used",
    "picture of another size",
    "picture listed twice",
    "annotation file cannot be read",
    "record cannot be read",
    "object cannot be drawn",
    "object of an unknown class",
    "object of an unknown picture",
    "box without a mask",
]


@dataclass(frozen=True)
class Instance:
    """One object, or a crowd of them.

    Attributes:
        name: what messages call it, e.g. "annotation 17".
        cls: its class, one of the source's names.
        draw: (height, width) -> bool (height, width), its mask on the pixels it was drawn on; raises ``ValueError`` and
            its like where it is malformed. None where there is a box alone.
        box: (height, width) -> where it is; None where there is a mask.
        crowd: whether it is a region of several objects that nobody counted.
    """

    name: str
    cls: str
    draw: Callable[[int, int], MaskArray] | None = None
    box: Callable[[int, int], Box] | None = None
    crowd: bool = False


@dataclass(frozen=True)
class Annotated:
    """One picture with its objects.

    Attributes:
        picture: the file; that of the annotations where the picture is inside.
        where: the file that its annotations are in.
        instances: its objects, in the order of the file.
        size: (height, width) that its objects were drawn on; None where they are in shares of the picture, or where
            the file does not say.
        lost: classes of objects that could not be read; None for one whose class is not known either.
        ignored: (height, width) -> bool, pixels of which nothing is known; None where there are none.
        inside: reads the bytes of a picture that is nowhere but in the annotations (InputError if they are none); None
            where it is a file.
    """

    picture: Path
    where: Path
    instances: Sequence[Instance]
    size: tuple[int, int] | None = None
    lost: frozenset[str | None] = frozenset()
    ignored: Callable[[int, int], MaskArray] | None = None
    inside: Callable[[], bytes] | None = None


@dataclass
class LeftOut:
    """What could not be used, and how often each reason was met."""

    problems: list[InputError] = field(default_factory=list)
    counts: Counter[Kind] = field(default_factory=Counter)

    def add(self, kind: Kind, what: str, where: Path, remedy: str | None = None) -> None:
        """Name one more."""
        self.problems.append(InputError(what, where, remedy))
        self.counts[kind] += 1


@dataclass(frozen=True)
class Source:
    """Annotations, opened.

    Attributes:
        form: the format's name, for people.
        names: of classes 1, 2, ..., each different in words; as folders are called, words joined by ``_``.
        total: pictures there are.
        read: gives them, one at a time; what cannot be read is added to its argument.
    """

    form: str
    names: Sequence[str]
    total: int
    read: Callable[[LeftOut], Iterator[Annotated]]


def class_names(names: Sequence[str], where: Path) -> tuple[list[str], dict[str, str]]:
    """Classes by the names that annotations have for them.

    Names of the same words are one class ("hot dog", "hot_dog"); one called "background" is none.

    Returns:
        The classes' names as folders are called, in the order given, and name -> class.

    Raises:
        FolderError: a name cannot be part of a path, or there are more than a label map can number.
    """
    by_words: dict[str, str] = {}
    known: dict[str, str] = {}
    for name in names:
        if name.strip().casefold() in BACKGROUND_NAMES:
            continue
        cls = re.sub(r"[\s/\\]+", "_", nfc(name.strip()))
        try:
            known[name] = by_words.setdefault(class_words(cls), safe_class(cls))
        except InputError as error:
            raise FolderError(f"the class name {error.what}", where, error.remedy) from error
    classes = list(by_words.values())
    if len(classes) >= IGNORE:
        raise FolderError(f"expected at most {IGNORE - 1} classes, got {len(classes)}", where)
    if not classes:
        raise FolderError("names no class", where, "Give annotations with at least one class")
    return classes, known


def said_size(height: object, width: object) -> tuple[int, int] | None:
    """The size that annotations say their picture has; None where they say none that can be."""
    if not (isinstance(height, int) and isinstance(width, int)):
        return None
    return (height, width) if height > 0 and width > 0 and height * width <= MAX_PIXELS else None


def told(error: Exception) -> str:
    """Why an annotation is malformed, in a few words."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
