"""A data set, as the folders the stages read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from aligndiff_cli.datasets.coco import read_coco
from aligndiff_cli.datasets.emoji_prepare import prepare_emoji_5i, prepare_emoji_fss
from aligndiff_cli.datasets.emoji_sprites import fetch_icons
from aligndiff_cli.datasets.folds import coco_novel, pascal_novel
from aligndiff_cli.datasets.fss import prepare_fss
from aligndiff_cli.datasets.pascal import read_pascal
from aligndiff_cli.datasets.photographs import Photographs, write_fold
from aligndiff_cli.disk import layout
from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.disk.digest import as_in
from aligndiff_cli.engine.failures import read_failures, write_failures
from aligndiff_cli.engine.lock import Claim
from aligndiff_cli.engine.run_file import RunFile, read_run, relative_to_folder, write_run
from aligndiff_cli.engine.runner import check_same_run
from aligndiff_cli.engine.versions import versions
from aligndiff_cli.engine.workers import Progress
from aligndiff_cli.errors import AligndiffError, FolderError, UsageError, explained_by
from aligndiff_cli.stages.options.prepare import PrepareOptions
from aligndiff_cli.stages.own import Found, annotations_of, describe_own, make_of_own, model_of_own
from aligndiff_cli.table import Table

CACHE = Path("~/.cache/aligndiff/icons")
LABEL_MAPS = "label_maps"
ANNOTATIONS = "annotations_digest"


@dataclass(frozen=True)
class Prepared:
    """What there is now.

    Attributes:
        made: name -> what it holds.
        kept: whether all of it was there already.
        warnings: where the data set is not what was published.
        problems: what had to be left out.
        tables: what was found, counted.
        pictures: to look at.
    """

    made: Mapping[str, str]
    kept: bool = False
    warnings: Sequence[str] = ()
    problems: Sequence[AligndiffError] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Path] = ()


def prepare(options: PrepareOptions, progress: Progress, *, force: bool = False) -> Prepared:
    """Write the data set's folders, unless they are there; an interrupted run is made again whole.

    Raises:
        UsageError: no root.
        InputError: the drawings are not to be had.
        FolderError: the data set is not complete, or the folder holds another one.
    """
    o = options
    make, describe = DATASETS[o.dataset]
    places = {"root": o.root, "sbd": o.sbd, "annotations": o.annotations, "images": o.images}
    inputs = {name: relative_to_folder(path, o.out) for name, path in places.items() if path is not None}
    own = o.dataset == "own"
    before = None if force else read_run(o.out)
    with as_in("" if before is None else str(before.options.get(ANNOTATIONS, ""))):
        recorded = o.recorded() | ({ANNOTATIONS: annotations_of(o).digest()} if own else {})
    run = RunFile(o.command, recorded, o.seed, inputs, model_of_own(o) if own else {}, versions())
    check_same_run(o.out, run, force)
    if before is not None:
        for name in places:
            if before.inputs.get(name) != inputs.get(name):
                raise FolderError(
                    f"was made with {name} = {before.inputs.get(name)}, now it is {inputs.get(name)}",
                    o.out,
                    "Pass --force to make everything again, or another folder with --out",
                )
        if not (o.out / layout.UNFINISHED).exists():
            return Prepared(describe(o), kept=True, problems=read_failures(o.out))
    with _at_work(o.out):
        check_same_run(o.out, run, force)  # once more, now that nobody else is there
        write_run(o.out, run)
        found = make(o, progress)
        write_failures(o.out, found.problems)
    return Prepared(describe(o), False, found.warnings, found.problems, found.tables, found.pictures)


@contextmanager
def _at_work(folder: Path) -> Iterator[None]:
    """Be alone in the folder and say there that work goes on; who is refused before it wrote a thing leaves no trace.

    Raises:
        FolderError: another run is writing to it.
    """
    existed, unfinished = folder.exists(), folder / layout.UNFINISHED
    with Claim(folder) as claim:
        if not claim.alone():
            raise claim.refusal()
        write_text(unfinished, "")
        try:
            yield
        except AligndiffError:
            own = [folder / name for name in (layout.RUN, layout.UNFINISHED, layout.LOCK)]
            if set(folder.iterdir()) <= set(own):
                for path in own:
                    path.unlink(missing_ok=True)
                if not existed:
                    folder.rmdir()
            raise
        unfinished.unlink()


def _emoji_5i(o: PrepareOptions, progress: Progress) -> Found:
    prepare_emoji_5i(o.out, _icons(o), o.fold, o.shots, o.seed, scenes=o.scenes)
    return Found()


def _emoji_fss(o: PrepareOptions, progress: Progress) -> Found:
    prepare_emoji_fss(o.out, _icons(o), o.split, o.shots, o.seed, o.per_class)
    return Found()


def _icons(o: PrepareOptions) -> Path:
    """The folder of the artists' drawings, fetched if none is named (UsageError where there is no place for them)."""
    if o.icons is not None:
        return o.icons
    try:
        cache = CACHE.expanduser()
    except RuntimeError as error:
        raise UsageError(
            "there is no home folder to keep the drawings in", remedy="Name theirs with --icons"
        ) from error
    return fetch_icons(cache)


def _pascal(o: PrepareOptions, progress: Progress) -> Found:
    novel = pascal_novel(o.fold)
    maps = o.label_maps or o.out / LABEL_MAPS
    data = read_pascal(_root(o), o.sbd, maps, partial=o.partial, report=_report(progress))
    return _fold(o, data, novel)


def _coco(o: PrepareOptions, progress: Progress) -> Found:
    novel = coco_novel(o.fold, o.fold_layout)
    maps = o.label_maps or o.out / LABEL_MAPS
    data = read_coco(_root(o), o.year, maps, partial=o.partial, report=_report(progress))
    return _fold(o, data, novel)


def _fold(o: PrepareOptions, data: Photographs, novel: Sequence[int]) -> Found:
    with explained_by(data.problems):
        write_fold(o.out, data, novel, o.shots, o.seed, o.min_object)
    return Found(data.warnings, data.problems)


def _fss(o: PrepareOptions, progress: Progress) -> Found:
    result = prepare_fss(_root(o), o.out, o.split, o.shots, o.seed, partial=o.partial)
    return Found(result.warnings, result.problems)


def _own(o: PrepareOptions, progress: Progress) -> Found:
    return make_of_own(o, _report(progress))


def _root(o: PrepareOptions) -> Path:
    if o.root is None:
        raise UsageError(f"{o.dataset} needs --root, the folder of the data set as it was unpacked")
    if not o.root.is_dir():
        raise UsageError("there is no such folder", o.root, "Give the folder of the data set as --root")
    return o.root


def _report(progress: Progress) -> Callable[[int, int], None]:
    def report(done: int, total: int) -> None:
        if done:
            progress.advance(1)
        else:
            progress.start(total, "photographs")

    return report


def _of_emoji_5i(o: PrepareOptions) -> dict[str, str]:
    return {
        "support": f"{o.shots} pairs of each of fold {o.fold}'s five novel classes",
        "support_labels": "their label maps, for evaluate gfss",
        "base": f"{o.scenes} scenes without a novel pixel (VOC layout, split train)",
        "query": f"{o.scenes} scenes with all classes (VOC layout, split val)",
    }


def _of_fold(o: PrepareOptions) -> dict[str, str]:
    return {
        "support": f"{o.shots} pairs of each of fold {o.fold}'s novel classes",
        "support_labels": "their label maps, for evaluate gfss",
        "base": "the training photographs without a novel pixel (VOC layout, split train)",
        "query": "the validation photographs with all classes (VOC layout, split val)",
    }


def _of_fss(o: PrepareOptions) -> dict[str, str]:
    if o.split == "train":
        return {"train": "the pairs of each training class"}
    return {
        "support": f"{o.shots} pairs of each class",
        "query": "further pairs of each class",
        "ood.txt": "the out-of-distribution classes",
    }


DATASETS = {
    "emoji-5i": (_emoji_5i, _of_emoji_5i),
    "emoji-fss": (_emoji_fss, _of_fss),
    "pascal-5i": (_pascal, _of_fold),
    "coco-20i": (_coco, _of_fold),
    "fss-1000": (_fss, _of_fss),
    "own": (_own, describe_own),
}
"""How each is made, and what it then holds."""
