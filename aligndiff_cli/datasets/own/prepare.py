"""A user's own annotations as the folders the stages read. Beyond the paper.

Every picture with an object gets a label map in ``label_maps/``; base/, query_scenes/ and support_labels/ link to
these, and pictures are linked to where they lie; those that lie in an annotations file alone are taken out of it into
``pictures_inside/``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from aligndiff_cli.datasets.own.choice import Candidate, choose
from aligndiff_cli.datasets.own.drawing import Boxer, draw
from aligndiff_cli.datasets.own.records import Annotated, LeftOut, Source
from aligndiff_cli.datasets.photographs import Photograph, Report, check_only, link
from aligndiff_cli.disk import voc
from aligndiff_cli.disk.atomic import atomic_write
from aligndiff_cli.disk.class_folders import safe_class
from aligndiff_cli.disk.decoding import Orientation, suffix_of
from aligndiff_cli.disk.images import write_png
from aligndiff_cli.disk.layout import BASE, QUERY, QUERY_SCENES, SUPPORT, SUPPORT_LABELS
from aligndiff_cli.errors import AligndiffError, FolderError, InputError, UsageError, first_few
from aligndiff_cli.labels import IGNORE
from aligndiff_cli.method.prompts import class_words

LABEL_MAPS = "label_maps"
PICTURES_INSIDE = "pictures_inside"
MASK = "_mask.png"


@dataclass(frozen=True)
class Wanted:
    """What is asked for.

    Attributes:
        classes: names of the wanted classes, as the source has them.
        shots: support pairs per class.
        seed: orders pictures that are equally good.
        min_object: fewest pixels of the class in a support picture.
        orientation: what objects were drawn on, where their picture has an EXIF orientation.
    """

    classes: Sequence[str]
    shots: int
    seed: int
    min_object: int
    orientation: Orientation


@dataclass
class Own:
    """What was made.

    Attributes:
        support, query: by wanted class, the best first.
        base, scenes: in the order of the annotations.
        objects: of each wanted class, in all pictures.
        empty: pictures without any object.
        left_out: what could not be used.
    """

    support: Mapping[str, Sequence[Candidate]]
    query: Mapping[str, Sequence[Candidate]]
    base: Sequence[Candidate]
    scenes: Sequence[Candidate]
    objects: Mapping[str, int]
    empty: int
    left_out: LeftOut

    @property
    def problems(self) -> list[AligndiffError]:
        """What was left out, and classes with too few pictures."""
        return list(self.left_out.problems)


def wanted_classes(asked: str, names: Sequence[str], where: Path) -> list[str]:
    """The classes of a list with commas, as the source calls them, each once; words may be joined by spaces, _ or -.

    Raises:
        UsageError: none is asked for, or one is not there; the message names those that are.
    """
    known = {class_words(name): name for name in names}
    folded = {words.casefold(): name for words, name in known.items()}
    asked_for = [class_words(part) for part in asked.split(",") if part.strip()]
    if not asked_for:
        raise UsageError("--classes names no class", remedy=f"There are: {', '.join(names)}")
    found = {words: known.get(words) or folded.get(words.casefold()) for words in asked_for}
    missing = [words for words, name in found.items() if name is None]
    if missing:
        what = f"--classes: there is no class {', '.join(map(repr, missing))}"
        raise UsageError(what, where, f"There are: {', '.join(names)}")
    return list(dict.fromkeys(name for name in found.values() if name is not None))


def prepare_own(out: Path, source: Source, wanted: Wanted, boxer: Boxer | None, where: Path, report: Report) -> Own:
    """Write support/ with support_labels/, base/ (VOC layout, split train), query/ and query_scenes/ (split val).

    support/ holds up to K pairs of each wanted class (`choose`); query/ the other pictures that show one, as pairs by
    class (`aligndiff evaluate fss`), and query_scenes/ the same pictures with label maps of all classes (`evaluate
    gfss`); base/ the pictures that show other classes and no wanted one. Where an object could not be drawn, its
    picture is left out of query/ and query_scenes/, whose truth would lack it, and of base/ if it may be of a wanted
    class.

    Args:
        out: folder to write.
        source: the annotations.
        wanted: what is asked for.
        boxer: makes masks of boxes; None to leave out objects that have only a box.
        where: the annotations' file or folder.
        report: told of each picture.

    Raises:
        FolderError: no wanted class has a picture that can be used, or a folder holds pairs of another choice.
    """
    left_out = LeftOut()
    candidates = list(_candidates(out, source, wanted, boxer, left_out, report))
    empty = sum(not own.shown and not own.lost for own in candidates)
    support = {cls: choose(candidates, cls, wanted.shots, wanted.seed, wanted.min_object) for cls in wanted.classes}
    if not any(support.values()):
        why = "; ".join(f"{kind}: {count} times" for kind, count in sorted(left_out.counts.items()))
        what = f"no picture can be used of {', '.join(wanted.classes)}{why and f' ({why})'}"
        raise FolderError(what, where, first_few(left_out.problems))
    _tell_few(support, wanted, left_out, where)
    taken = {own.photograph.stem for chosen in support.values() for own in chosen}
    free = [own for own in candidates if own.photograph.stem not in taken]
    query = {cls: [own for own in free if own.usable(cls) and own.whole(cls)] for cls in wanted.classes}
    special = {*wanted.classes, None}
    base = [own for own in free if own.shown and not special & {*own.shown, *own.lost}]
    scenes = [own for own in free if special & own.shown.keys() and not own.lost]
    _write_pairs(out, source.names, support, query)
    for folder, split, chosen in ((BASE, "train", base), (QUERY_SCENES, "val", scenes)):
        _write_scenes(out / folder, split, source.names, chosen)
    voc.write_classes(out, source.names)
    objects = Counter({cls: sum(own.shown[cls].objects for own in candidates if cls in own.shown) for cls in support})
    return Own(support, query, base, scenes, objects, empty, left_out)


def _candidates(
    out: Path, source: Source, wanted: Wanted, boxer: Boxer | None, left_out: LeftOut, report: Report
) -> Iterator[Candidate]:
    """Draw every picture; its label map is on the disk when the next is asked for."""
    numbers = {name: number for number, name in enumerate(source.names, 1)}
    stems: set[str] = set()
    seen: set[Path] = set()
    report(0, source.total)
    done = 0
    for annotated in source.read(left_out):
        done += 1
        report(done, source.total)
        try:
            annotated = _as_file(out, annotated)
        except InputError as error:
            left_out.add("picture cannot be used", error.what, annotated.where, error.remedy)
            continue
        real = annotated.picture.resolve()
        if real in seen:
            what = f"lists the picture {annotated.picture.name} once more; the first time counts"
            left_out.add("picture listed twice", what, annotated.where)
            continue
        seen.add(real)
        drawing = draw(annotated, numbers, wanted.orientation, boxer, left_out)
        if drawing is None:
            continue
        try:
            stem = _stem(annotated.picture, stems)
        except InputError as error:
            left_out.add("picture cannot be used", error.what, annotated.picture, error.remedy)
            continue
        path = out / LABEL_MAPS / f"{stem}.png"
        if drawing.shown:
            voc.write_label_map(path, drawing.labels)
        present = frozenset(numbers[cls] for cls in drawing.shown)
        photograph = Photograph(stem, annotated.picture, path, present)
        yield Candidate(photograph, drawing.labels.size, drawing.shown, drawing.lost)


def _as_file(out: Path, annotated: Annotated) -> Annotated:
    """The same, its picture taken out of the annotations where it is only inside.

    Raises:
        InputError: what is inside is no picture, or its file's name cannot be that of another.
    """
    if annotated.inside is None:
        return annotated
    data, where = annotated.inside(), annotated.where
    name = f"{safe_class(where.stem)}{suffix_of(data, where)}"
    path = out / PICTURES_INSIDE / where.resolve().parent.name / name
    with atomic_write(path) as file:
        file.write(data)
    return replace(annotated, picture=path)


def _stem(picture: Path, stems: set[str]) -> str:
    """A name that no other picture has in any case, since some disks keep none; the folder's goes before it if need be.

    Raises:
        InputError: it cannot be part of a path.
    """
    wished = [picture.stem, f"{picture.parent.name}_{picture.stem}", f"{picture.stem}_{picture.suffix[1:]}"]
    more = (f"{picture.stem}_{number}" for number in range(2, len(stems) + 3))
    stem = next(name for name in (*wished, *more) if name.casefold() not in stems)
    stems.add(stem.casefold())
    return safe_class(stem)


def _tell_few(support: Mapping[str, Sequence[Candidate]], wanted: Wanted, left_out: LeftOut, where: Path) -> None:
    for cls, chosen in support.items():
        if len(chosen) < wanted.shots:
            what = f"expected {wanted.shots} pictures of {cls!r} for support, found {len(chosen)}"
            remedy = "It is left out" if not chosen else "All of them are support, and none is left to segment"
            left_out.problems.append(InputError(what, where, f"{remedy}; annotate more, or lower --shots"))


def _write_pairs(
    out: Path,
    names: Sequence[str],
    support: Mapping[str, Sequence[Candidate]],
    query: Mapping[str, Sequence[Candidate]],
) -> None:
    for folder, by_class in ((SUPPORT, support), (QUERY, query)):
        pairs = [(cls, own.photograph) for cls, chosen in by_class.items() for own in chosen]
        names_of = {out / folder / cls / f"{p.stem}{end}" for cls, p in pairs for end in (_suffix(p), MASK)}
        check_only(out / folder, names_of)
        for cls, photograph in pairs:
            place = out / folder / cls
            link(place / f"{photograph.stem}{_suffix(photograph)}", photograph.picture)
            labels = voc.read_label_map(photograph.labels)
            _write_mask(place / f"{photograph.stem}{MASK}", labels, names.index(cls) + 1, folder == QUERY)
            if folder == SUPPORT:
                link(out / SUPPORT_LABELS / cls / f"{photograph.stem}.png", photograph.labels)


def _suffix(photograph: Photograph) -> str:
    return photograph.picture.suffix.lower()


def _write_mask(path: Path, labels: np.ndarray, number: int, with_ignored: bool) -> None:
    """All of a class as a mask; a truth tells what is to be ignored, too."""
    mask = labels == number
    if with_ignored and (labels == IGNORE).any():
        voc.write_label_map(path, np.where(labels == IGNORE, IGNORE, mask))
    else:
        write_png(path, mask)


def _write_scenes(folder: Path, split: str, names: Sequence[str], chosen: Sequence[Candidate]) -> None:
    """A VOC folder of links; none where there is nothing to be in it."""
    for own in chosen:
        photograph = own.photograph
        link(folder / voc.PICTURES / f"{photograph.stem}{_suffix(photograph)}", photograph.picture)
        link(folder / voc.LABELS / f"{photograph.stem}.png", photograph.labels)
    if chosen:
        voc.write_classes(folder, names)
        voc.write_split(folder, split, [own.photograph.stem for own in chosen])
