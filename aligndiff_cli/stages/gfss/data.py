"""What one run of the ``gfss`` protocol reads: base and query images, the few shots, synthetic samples or scenes.

Data sets number classes as they like; a classifier has one row per class, background first, then the base classes in
the order of their numbers, then the novel ones in the order in which they are learnt.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aligndiff_cli.disk.decoding import Orientation, turned_alike
from aligndiff_cli.disk.digest import file_digest, joint_digest
from aligndiff_cli.disk.images import read_ignored
from aligndiff_cli.disk.layout import CLASSES
from aligndiff_cli.disk.lazy import Lazy, Recent
from aligndiff_cli.disk.support import PairFiles, load_pair, load_usable, scan_support
from aligndiff_cli.disk.voc import VocFolder, fitted, present_classes, read_label_map
from aligndiff_cli.errors import FolderError, InputError, first_few
from aligndiff_cli.labels import IGNORE
from aligndiff_cli.method.prompts import class_words
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.semantic.batches import LabelledImage
from aligndiff_cli.models.semantic.task import Novel
from aligndiff_cli.stages.names import nearest, numbered
from aligndiff_cli.stages.samples import INVERTED, TEXT, Sample, read_samples

KEPT_BYTES = 256_000_000
"""Decoded images of a folder held at once; a pocket scene has 80 kB, a photograph of 500 pixels 1 MB."""
SHOT_BYTES = 32_000_000
"""Decoded few shots of a class held at once: each is drawn hundreds of times."""


@dataclass(frozen=True)
class Rows:
    """Which class has which row of the classifier.

    Attributes:
        names: class number -> name, as the data set numbers them.
        base: numbers of the base classes, ascending.
        novel: numbers of the novel classes, in the order in which they are learnt.
    """

    names: Mapping[int, str]
    base: tuple[int, ...]
    novel: tuple[int, ...]

    @property
    def numbers(self) -> np.ndarray:
        """Class number of each row, uint8."""
        return np.array([0, *self.base, *self.novel], np.uint8)

    def row(self, number: int) -> int:
        """The row of a class."""
        return int(np.flatnonzero(self.numbers == number)[0])

    def number(self, cls: str) -> int:
        """The number of a class folder's class."""
        return next(number for number, name in self.names.items() if class_words(name) == class_words(cls))

    def to_rows(self, labels: np.ndarray) -> np.ndarray:
        """Labels by class number -> by row; what has no row is ignored (255)."""
        table = np.full(256, IGNORE, np.uint8)
        table[self.numbers] = np.arange(len(self.numbers))
        return table[labels]

    def to_numbers(self, labels: np.ndarray) -> np.ndarray:
        """Labels by row -> by class number; ignored pixels stay so."""
        table = np.full(256, IGNORE, np.uint8)
        table[: len(self.numbers)] = self.numbers
        return table[labels]


def rows_of(base: VocFolder, novel_names: Sequence[str]) -> Rows:
    """Rows for the classes of a base folder, those with a support folder being novel.

    Raises:
        FolderError: there is no classes.txt, or it does not name a novel class.
    """
    if base.classes is None:
        raise FolderError(f"has no {CLASSES}, which says which class is which", base.root, "Line i names class i")
    numbers = numbered(base.classes, base.root / CLASSES)
    numbered(novel_names, base.root / CLASSES)
    unknown = [name for name in novel_names if class_words(name) not in numbers]
    if unknown:
        raise FolderError(
            f"names no class {unknown[0]!r}, which the support folder has{nearest(unknown[0], numbers)}",
            base.root / CLASSES,
            "Add the novel classes to it, under the numbers that the query labels use",
        )
    novel = tuple(sorted(numbers[class_words(name)] for name in novel_names))
    names = dict(enumerate(base.classes, 1))
    return Rows(names, tuple(number for number in names if number not in novel), novel)


@dataclass(frozen=True)
class Scenes:
    """The images of a VOC folder with labels by row, and the rows that each of them shows."""

    stems: Sequence[str]
    images: Sequence[LabelledImage]
    shown: Sequence[frozenset[int]]
    problems: Sequence[InputError]


def read_scenes(folder: VocFolder, rows: Rows, *, base_only: bool, held: bool = True) -> Scenes:
    """Open a folder's images; those with a novel pixel are left out of the base stage (paper 4.1).

    Args:
        held: whether decoded images are held for the next time, as suits what is drawn at random. What is predicted in
            order is better read again: between the tensors of the network, held arrays keep the heap from shrinking.

    Raises:
        FolderError: no image is left.
    """
    stems, shown = [], []
    problems: list[InputError] = []
    for stem in folder.stems:
        try:
            present = folder.check(stem)
        except InputError as error:
            problems.append(error)
            continue
        if not (base_only and present & set(rows.novel)):
            stems.append(stem)
            shown.append(frozenset(rows.row(number) for number in present))
    if not stems:
        why = first_few(problems) if problems else "every one shows a novel class"
        raise FolderError(f"no image can be used: {why}", folder.root)

    def load(stem: str) -> LabelledImage:
        image, labels = folder.load(stem)
        return image, rows.to_rows(labels)

    read = Recent(load, _bytes, KEPT_BYTES) if held else load
    return Scenes(stems, Lazy(stems, read), shown, problems)


def scenes_digest(folder: VocFolder, stems: Sequence[str]) -> str:
    """One digest over pictures and label maps; what is not there counts as that."""
    digests: dict[str, str] = {}
    if folder.orientation != "auto":
        digests["orientation of the label maps"] = folder.orientation
    for stem in stems:
        try:
            digests |= {path.name: file_digest(path) for path in (folder.picture(stem), folder.label_map(stem))}
        except InputError:
            digests[stem] = "missing"
    return joint_digest(digests)


def choose_shots(pairs: Sequence[PairFiles], shots: int | None, seed: int, run: int) -> dict[str, list[PairFiles]]:
    """Class -> its few shots in one run: drawn by a hash of (seed, run, class, stem), so every method sees the same.

    A choice of more shots holds the choice of fewer. ``None`` takes all pairs.

    Raises:
        InputError: a class has fewer pairs than wanted.
    """
    chosen: dict[str, list[PairFiles]] = {}
    for cls in sorted({pair.cls for pair in pairs}):
        own = [pair for pair in pairs if pair.cls == cls]
        if shots is not None and len(own) < shots:
            raise InputError(f"has {len(own)} usable pairs, expected at least {shots}", own[0].image.parent)
        own.sort(key=lambda pair: (item_seed(seed, f"shot/{run}/{cls}/{pair.stem}"), pair.stem))
        chosen[cls] = own[:shots]
    return chosen


def usable_pairs(
    folder: Path, masks: Path | None = None, orientation: Orientation = "auto"
) -> tuple[list[PairFiles], list[InputError]]:
    """The pairs of a support folder, the masks maybe in one of their own, that can be read, and why others cannot.

    Raises:
        FolderError: a class is left without a pair; it would be taken for a base class.
    """
    scan = scan_support(folder, masks, orientation)
    problems = list(scan.problems)
    pairs = [pair for pair, _ in load_usable(scan.pairs, problems)]
    lost = sorted(scan.classes - {pair.cls for pair in pairs})
    if lost:
        own = [problem for problem in problems if lost[0] in Path(str(problem.where)).parts]
        why = f" ({first_few(own or problems)})" if problems else ""
        raise FolderError(f"no pair of the class {lost[0]!r} can be used{why}", folder, "Mend or remove it")
    return pairs, problems


def choose_synthetic(
    masks: Path, conditioning: str, per_class: int | None, seed: int, problems: list[InputError]
) -> dict[str, list[Sample]]:
    """Class -> its synthetic samples with a mask that is not empty.

    Args:
        conditioning: "full" for inverted and text samples, half each (D.3); "text" for the latter alone.
        per_class: how many, drawn by a hash of (seed, id), so that more hold those of fewer; None takes all.
        problems: what cannot be used is added to it.
    """
    by_class: dict[str, list[Sample]] = {}
    for sample in read_samples(masks, problems):
        if sample.area > 0:
            by_class.setdefault(sample.cls, []).append(sample)
    kinds = (INVERTED, TEXT) if conditioning == "full" else (TEXT,)
    chosen: dict[str, list[Sample]] = {}
    for cls, samples in by_class.items():
        samples.sort(key=lambda sample: (item_seed(seed, f"sample/{sample.id}"), sample.id))
        for position, kind in enumerate(kinds):
            own = [sample for sample in samples if sample.kind == kind]
            wanted = None if per_class is None else (per_class + len(kinds) - 1 - position) // len(kinds)
            chosen.setdefault(cls, []).extend(own[:wanted])
    return chosen


def find_label_maps(
    folder: Path | None, shots: Mapping[str, Sequence[PairFiles]], rows: Rows
) -> dict[str, dict[str, Path]]:
    """Class -> stem -> label map of each few shot; empty where there is no such folder.

    Raises:
        InputError: a few shot has no label map, or one that does not show its class.
    """
    if folder is None:
        return {}
    found: dict[str, dict[str, Path]] = {}
    for cls, pairs in shots.items():
        for pair in pairs:
            path = folder / cls / f"{pair.stem}.png"
            if rows.number(cls) not in present_classes(read_label_map(path)):
                raise InputError(
                    f"shows no pixel of class {rows.number(cls)}, which {CLASSES} calls {cls!r}",
                    path,
                    f"Number the classes as {CLASSES} of the base folder does",
                )
            found.setdefault(cls, {})[pair.stem] = path
    return found


def _bytes(sample: LabelledImage) -> int:
    return sum(array.nbytes for array in sample)


def novel_class(
    number: int,
    rows: Rows,
    shots: Sequence[PairFiles],
    label_maps: Mapping[str, Path],
    synthetic: Sequence[Sample],
) -> Novel:
    """A novel class, its pictures read when asked for.

    Args:
        number: of the class, as the data set numbers it.
        label_maps: by stem of the few shots; empty where there are none.
    """
    row = rows.row(number)

    def shot(pair: PairFiles) -> LabelledImage:
        return load_shot(pair, label_maps.get(pair.stem), row, rows)

    def sample(made: Sample) -> LabelledImage:
        image, mask = made.load()
        return image, np.where(mask, row, 0).astype(np.uint8)

    kinds = {kind: [made for made in synthetic if made.kind == kind] for kind in (INVERTED, TEXT)}
    real = Lazy(shots, Recent(shot, _bytes, SHOT_BYTES))
    return Novel(real, Lazy(kinds[INVERTED], sample), Lazy(kinds[TEXT], sample))


def load_shot(pair: PairFiles, label_map: Path | None, row: int, rows: Rows) -> LabelledImage:
    """A few shot with what is known of it by row: its object, and around it what its label map says.

    Without a label map all that its mask file does not mark as ignored is background.

    Raises:
        InputError: a file cannot be read, or the label map has another size.
    """
    image, mask = load_pair(pair)
    if label_map is None:
        ignored = turned_alike(read_ignored(pair.mask), mask.shape, pair.image, pair.mask, pair.orientation)
        around = np.where(ignored, np.uint8(IGNORE), np.uint8(0))
    else:
        labels = fitted(read_label_map(label_map), mask.shape, pair.image, label_map, pair.orientation)
        around = rows.to_rows(labels)
    return image, np.where(mask, np.uint8(row), around)


def open_scenes(folder: VocFolder, rows: Rows) -> Scenes:
    """Ready scenes of `aligndiff compose`, whose own classes.txt may number the classes otherwise.

    Raises:
        FolderError: a class of the scenes is none of the base folder's.
    """
    numbers = {class_words(name): number for number, name in rows.names.items()}
    for number, name in enumerate(folder.classes or [], 1):
        if numbers.get(class_words(name)) != number:
            raise FolderError(
                f"class {number} is {name!r} here, and another class or none in the base folder",
                folder.root / CLASSES,
                "Compose the scenes onto the same base folder",
            )
    return read_scenes(folder, rows, base_only=False)
