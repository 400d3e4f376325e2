"""What the runs of ``evaluate gfss`` read: folds with their base and query images, few shots, samples and scenes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from aligndiff_cli.disk.digest import as_in, file_digest, joint_digest
from aligndiff_cli.disk.support import PairFiles
from aligndiff_cli.disk.voc import open_voc
from aligndiff_cli.engine.folds import Place, places
from aligndiff_cli.engine.run_file import read_run
from aligndiff_cli.errors import FolderError, InputError
from aligndiff_cli.method.prompts import class_words
from aligndiff_cli.stages.gfss import data
from aligndiff_cli.stages.gfss.base_model import BASE_IMAGES, BaseChoice, BaseModel
from aligndiff_cli.stages.options.evaluate import GfssOptions
from aligndiff_cli.stages.samples import Sample

UNLABELLED_NOTE = (
    "The few shots have no label maps (--support-labels): all around their masks is learnt as background, objects of "
    "base classes too."
)
BUNDLED_NOTE = (
    "Using the bundled backbone with small settings, which suit emoji scenes. For photographs pass --backbone, "
    "e.g. microsoft/resnet-101: the settings are then the paper's."
)


@dataclass(frozen=True)
class Fold:
    """What all runs of a fold share."""

    name: str
    rows: data.Rows
    base: data.Scenes
    query: data.Scenes
    query_digest: str
    model: BaseModel


@dataclass(frozen=True)
class Run:
    """One run of a fold: its few shots, perhaps with label maps (class -> stem -> file), its samples or scenes."""

    fold: Fold
    number: int
    shots: Mapping[str, Sequence[PairFiles]]
    label_maps: Mapping[str, Mapping[str, Path]]
    synthetic: Mapping[str, Sequence[Sample]]
    scenes: data.Scenes | None


class Runs:
    """Opens runs, each fold once.

    Args:
        options: where everything lies.
        choice: how the models of the base classes are made.

    Attributes:
        folds: those opened so far, by name.
    """

    def __init__(self, options: GfssOptions, choice: BaseChoice) -> None:
        self._options, self._choice = options, choice
        self.folds: dict[str, Fold] = {}
        self._scenes: dict[tuple[Path, str], tuple[data.Scenes, str]] = {}

    def open(self, place: Place, problems: list[InputError]) -> tuple[Run, dict[str, str]]:
        """The run of a place, and the digests of what it is made from; what cannot be used is added to ``problems``."""
        o = self._options
        masks = None if o.support_masks is None else place.path(o.support_masks)
        pairs, bad = data.usable_pairs(place.path(o.support), masks, o.mask_orientation)
        problems += bad
        shots = data.choose_shots(pairs, o.shots, o.seed, place.run)
        if place.fold not in self.folds:
            self.folds[place.fold] = self._open_fold(place.fold, sorted(shots), problems)
        fold = self.folds[place.fold]
        check_classes(fold.rows, shots, place.path(o.support))
        inputs = {"set of base images": fold.model.images_digest, "set of query images": fold.query_digest}
        label_maps = data.find_label_maps(label_folder(o, place), shots, fold.rows)
        pairs_used = {f"{c}/{p.stem}": (p.image, p.mask) for c in shots for p in shots[c]}
        inputs["set of support pairs"] = _digest(pairs_used)
        if label_maps:
            inputs["set of support label maps"] = _digest({c: tuple(own.values()) for c, own in label_maps.items()})
        synthetic: dict[str, list[Sample]] = {}
        if o.masks is not None:
            synthetic = data.choose_synthetic(place.path(o.masks), o.conditioning, o.per_class, o.seed, problems)
            inputs["set of samples"] = _digest({s.id: (s.image, s.mask) for own in synthetic.values() for s in own})
        scenes = None
        if o.scenes is not None:
            scenes, inputs["set of scenes"] = self._open_scenes(place.path(o.scenes), fold)
            problems += scenes.problems
        return Run(fold, place.run, shots, label_maps, synthetic, scenes), inputs

    def _open_fold(self, name: str, novel: Sequence[str], problems: list[InputError]) -> Fold:
        """Open base and query images, which are the same in all runs (``{run}`` in their paths is run 0)."""
        o, first = self._options, Place(name, 0)
        base_folder = open_voc(first.path(o.base), orientation=o.mask_orientation)
        query_folder = open_voc(first.path(o.query), "val", o.mask_orientation)
        rows = data.rows_of(base_folder, novel)
        base = data.read_scenes(base_folder, rows, base_only=True)
        query = data.read_scenes(query_folder, rows, base_only=False, held=False)
        problems += [*base.problems, *query.problems]
        folder = first.path(o.base_model) if o.base_model else o.out / f"base-model{name and '-'}{name}"
        before = read_run(folder)
        with nullcontext() if before is None else as_in(str(before.options.get(BASE_IMAGES, ""))):
            digest = data.scenes_digest(base_folder, base.stems)
        model = BaseModel(folder, self._choice, rows, base, digest, o.seed, o.device)
        model.check()
        return Fold(name, rows, base, query, data.scenes_digest(query_folder, query.stems), model)

    def _open_scenes(self, folder: Path, fold: Fold) -> tuple[data.Scenes, str]:
        """Ready scenes, and their digest; runs may share a folder."""
        if (folder, fold.name) not in self._scenes:
            opened = open_voc(folder)
            found = data.open_scenes(opened, fold.rows), data.scenes_digest(opened, opened.stems)
            self._scenes[folder, fold.name] = found
        return self._scenes[folder, fold.name]


def notes(o: GfssOptions) -> list[str]:
    """What the user should read before it starts."""
    whole_pictures = o.method in ("finetune", "pifs") or o.layout == "plain"
    unlabelled = any(label_folder(o, place) is None for place in places(o.folds, o.runs))
    found = [] if o.backbone else [BUNDLED_NOTE]
    return [*found, UNLABELLED_NOTE] if whole_pictures and unlabelled else found


def label_folder(o: GfssOptions, place: Place) -> Path | None:
    """Where the label maps of a place's few shots are: as asked for, or beside the support folder if they are there."""
    if o.support_labels is not None:
        return place.path(o.support_labels)
    support = place.path(o.support)
    beside = support.parent / f"{support.name}_labels"
    return beside if beside.is_dir() else None


def check_classes(rows: data.Rows, found: Iterable[str], support: Path) -> None:
    """All runs of a fold learn the same classes.

    Raises:
        FolderError: a support folder has a class more or less than that of the fold's first run.
    """
    wanted = {class_words(rows.names[number]) for number in rows.novel}
    differing = sorted(wanted ^ {class_words(cls) for cls in found})
    if differing:
        raise FolderError(
            f"differs from the support folder of the first run in {', '.join(map(repr, differing))}",
            support,
            "Give every run of a fold pairs of the same classes",
        )


def _digest(files: Mapping[str, Sequence[Path]]) -> str:
    return joint_digest({f"{name}/{n}": file_digest(path) for name, own in files.items() for n, path in enumerate(own)})
