"""One fold of a data set of photographs with label maps, as the folders the stages read.

Photographs, and label maps that are already as they should be, are not copied: base/ and query/ are VOC folders of
symbolic links to the originals.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from aligndiff_cli.disk import voc
from aligndiff_cli.disk.atomic import write_error
from aligndiff_cli.disk.decoding import checked_size
from aligndiff_cli.disk.images import MIN_FOREGROUND, write_png
from aligndiff_cli.disk.layout import BASE, QUERY, SUPPORT, SUPPORT_LABELS
from aligndiff_cli.errors import AligndiffError, FolderError, InputError
from aligndiff_cli.method.seeds import item_seed

Report = Callable[[int, int], None]
"""Told how many photographs of how many have been looked at."""


@dataclass(frozen=True)
class Photograph:
    """One labelled photograph.

    Attributes:
        stem: its name in the folders to be written.
        picture, labels: the files; the label map is a PNG in class numbers, 255 where ignored.
        present: classes it shows.
    """

    stem: str
    picture: Path
    labels: Path
    present: frozenset[int]


@dataclass
class Photographs:
    """A data set, opened.

    Attributes:
        names: of classes 1, 2, ...
        train, val: the photographs to learn from, and those to be segmented.
        warnings: where it is not what was published.
        problems: what had to be left out.
    """

    names: Sequence[str]
    train: list[Photograph] = field(default_factory=list)
    val: list[Photograph] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    problems: list[AligndiffError] = field(default_factory=list)


def check_counts(counts: Mapping[str, tuple[int, int]], root: Path, had_from: str, partial: bool) -> list[str]:
    """Compare what is there with what was published.

    Args:
        counts: what -> (published, found).
        root: the data set's folder.
        had_from: where it is had.
        partial: whether to go on all the same.

    Returns:
        A warning for each difference.

    Raises:
        FolderError: there is one and ``partial`` is false.
    """
    differing = [f"expected {published} {what}, found {n}" for what, (published, n) in counts.items() if published != n]
    if differing and not partial:
        remedy = f"It is had from {had_from}; --partial goes on with what is there"
        raise FolderError(f"is not the published data set: {'; '.join(differing)}", root, remedy)
    return differing


def write_fold(
    out: Path, data: Photographs, novel: Collection[int], shots: int, seed: int, min_object: int = 1
) -> None:
    """Write support/ with support_labels/, base/ (split train), query/ (split val) and the class lists.

    The support set is drawn from the training photographs (`draw_support`); base/ holds those without a pixel of a
    novel class, and query/ the whole validation set with all its labels; evaluate ignores classes not learnt yet.

    Args:
        out: folder to write.
        data: the data set.
        novel: class numbers.
        shots: support pairs per novel class.
        seed: decides the support pairs.
        min_object: see `draw_support`.

    Raises:
        FolderError: too few photographs, or support/ holds pairs of another choice.
    """
    support = {number: draw_support(data, number, novel, shots, seed, min_object) for number in sorted(novel)}
    _write_support(out, data.names, support)
    base = [photograph for photograph in data.train if not photograph.present & set(novel)]
    for folder, split, photographs in ((BASE, "train", base), (QUERY, "val", data.val)):
        if not photographs:
            raise FolderError(f"not one photograph can be used for {folder}/", out)
        for photograph in photographs:
            picture = f"{photograph.stem}{photograph.picture.suffix.lower()}"
            link(out / folder / voc.PICTURES / picture, photograph.picture)
            link(out / folder / voc.LABELS / f"{photograph.stem}.png", photograph.labels)
        voc.write_classes(out / folder, data.names)
        voc.write_split(out / folder, split, [photograph.stem for photograph in photographs])
    voc.write_classes(out, data.names)


def draw_support(
    data: Photographs, number: int, novel: Collection[int], shots: int, seed: int, min_object: int = 1
) -> list[tuple[Photograph, np.ndarray]]:
    """Photographs of one novel class and of no other, with their label maps.

    Drawn by a hash of (seed, class, stem), so that more shots hold those of fewer.

    Args:
        min_object: fewest pixels of the class. The published protocols ask for one (GAPS, which draws again where
            there is exactly one); fewer than `MIN_FOREGROUND` are never drawn, since every stage takes them for a slip
            of the brush.

    Raises:
        FolderError: there are too few.
    """
    least = max(min_object, MIN_FOREGROUND)
    name = data.names[number - 1]
    own = [photograph for photograph in data.train if photograph.present & set(novel) == {number}]
    own.sort(key=lambda photograph: (item_seed(seed, f"support/{name}/{photograph.stem}"), photograph.stem))
    chosen = list(islice(_usable(own, number, least, data.problems), shots))
    if len(chosen) < shots:
        raise FolderError(
            f"expected {shots} training photographs with {least} pixels of {name!r} and without another novel class, "
            f"found {len(chosen)}",
            remedy="Ask for fewer with --shots or --min-object, or complete the data set",
        )
    return chosen


def _usable(
    photographs: Sequence[Photograph], number: int, least: int, problems: list[AligndiffError]
) -> Iterator[tuple[Photograph, np.ndarray]]:
    """Those that show enough of a class and can be read, one at a time, with their label maps.

    Why others cannot be read is added to ``problems``.
    """
    for photograph in photographs:
        try:
            labels = voc.read_label_map(photograph.labels)
            if least <= (labels == number).sum() < labels.size:
                voc.fitted(labels, checked_size(photograph.picture), photograph.picture, photograph.labels)
                yield photograph, labels
        except InputError as error:
            problems.append(error)


def _write_support(
    out: Path, names: Sequence[str], support: Mapping[int, Sequence[tuple[Photograph, np.ndarray]]]
) -> None:
    folder, label_maps = out / SUPPORT, out / SUPPORT_LABELS
    chosen = [(number, *pair) for number, pairs in support.items() for pair in pairs]
    wanted = {
        folder / names[number - 1] / f"{photograph.stem}{suffix}"
        for number, photograph, _ in chosen
        for suffix in (photograph.picture.suffix.lower(), "_mask.png")
    }
    check_only(folder, wanted)
    check_only(label_maps, {label_maps / names[number - 1] / f"{p.stem}.png" for number, p, _ in chosen})
    for number, photograph, labels in chosen:
        cls, stem = names[number - 1], photograph.stem
        link(folder / cls / f"{stem}{photograph.picture.suffix.lower()}", photograph.picture)
        write_png(folder / cls / f"{stem}_mask.png", labels == number)
        link(label_maps / cls / f"{stem}.png", photograph.labels)


def check_only(folder: Path, wanted: Collection[Path]) -> None:
    """Refuse a folder of class folders with pairs that are not wanted: later stages would take them for support.

    Raises:
        FolderError: it holds one.
    """
    for path in sorted(folder.glob("*/*")):
        if path not in wanted and not path.name.startswith("."):
            raise FolderError("is a support pair of another choice", path, f"Remove {folder} and run again")


def link(path: Path, original: Path) -> None:
    """Make ``path`` a symbolic link to a file, whatever was there.

    Raises:
        FolderError: it cannot be made.
    """
    target = Path(os.path.realpath(original))
    try:
        if path.is_symlink() and path.readlink() == target:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f".{path.name}.{os.getpid()}")
        part.unlink(missing_ok=True)
        part.symlink_to(target)
        part.replace(path)
    except OSError as error:
        raise write_error(error, path) from error


def keep_label_map(path: Path, make: Callable[[], np.ndarray]) -> None:
    """Write a label map unless it is there; several processes may do so at once.

    Raises:
        FolderError: it cannot be written.
    """
    if not path.exists():
        part = path.with_name(f".{os.getpid()}-{path.name}")
        voc.write_label_map(part, make())
        part.replace(path)


def photograph(
    stem: str, picture: Path, labels: Path, classes: int, problems: list[AligndiffError]
) -> Photograph | None:
    """A photograph with the classes its label map shows; None, and a problem more, where a file is missing or bad.

    Args:
        classes: how many there are; a higher number is an error.
    """
    try:
        if not picture.is_file():
            raise InputError("there is no such picture", picture)
        present = voc.present_classes(voc.read_label_map(labels))
        if present and max(present) > classes:
            raise InputError(f"expected classes 0 to {classes} and 255, got {max(present)}", labels)
    except InputError as error:
        problems.append(error)
        return None
    return Photograph(stem, picture, labels, frozenset(present))
