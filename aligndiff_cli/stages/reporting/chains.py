"""Chains of stage folders, found by their run files wherever they lie below a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aligndiff_cli.disk import layout
from aligndiff_cli.engine.manifest import Record, read_records
from aligndiff_cli.engine.run_file import RunFile, read_run
from aligndiff_cli.errors import FolderError

ORDER = ("prepare", "invert", "generate", "mask", "compose", "export", "evaluate")
"""Commands in the order of the chain; what comes with another is shown last."""


@dataclass(frozen=True)
class StageFolder:
    """One folder that a command made.

    Attributes:
        path: with links resolved.
        records: by item id; empty where the command keeps none.
    """

    path: Path
    run: RunFile
    records: Mapping[str, Record]

    @property
    def rank(self) -> int:
        """Place of its command in the chain."""
        first = self.run.command.split()[0]
        return ORDER.index(first) if first in ORDER else len(ORDER)

    def source(self, name: str) -> Path | None:
        """The input of this name, with links resolved; None where the command had none."""
        relative = self.run.inputs.get(name)
        return None if relative is None else Path(os.path.realpath(self.path / relative))


@dataclass(frozen=True)
class Chain:
    """What belongs together: one folder of masks, or of what comes before it, with all it was made from.

    Attributes:
        support: folder of the real pairs; ``support_masks`` where their masks lie apart.
        scenes: all that were composed from these masks.
    """

    support: Path | None = None
    support_masks: Path | None = None
    orientation: str = "auto"
    bank: StageFolder | None = None
    synth: StageFolder | None = None
    masks: StageFolder | None = None
    scenes: Sequence[StageFolder] = ()

    @property
    def classes(self) -> list[str]:
        """Names of the classes of its records, sorted."""
        stages = [stage for stage in (self.bank, self.synth, self.masks) if stage is not None]
        return sorted({record.cls for stage in stages for record in stage.records.values() if record.cls})


@dataclass
class Work:
    """All that was found below a folder.

    Attributes:
        root: the folder, with links resolved.
        folders: in the order of the chain, then of their paths.
        problems: folders that cannot be read, and inputs that are gone.
    """

    root: Path
    folders: list[StageFolder] = field(default_factory=list)
    chains: list[Chain] = field(default_factory=list)
    problems: list[FolderError] = field(default_factory=list)

    def name(self, path: Path) -> str:
        """A path as seen from the folder, so that the page is the same wherever the whole lies."""
        return Path(os.path.relpath(path, self.root)).as_posix()


def find_work(root: Path, skip: Path) -> Work:
    """Read every stage folder below ``root``, and put them in chains.

    Args:
        skip: folder that is not looked into: the page's own.

    Raises:
        FolderError: there is no such folder, or nothing in it to show.
    """
    if not root.is_dir():
        raise FolderError("is a file" if root.exists() else "there is no such folder", root)
    work = Work(Path(os.path.realpath(root)))
    supports: list[Path] = []
    for path, names in _walk(work.root, Path(os.path.realpath(skip))):
        if layout.RUN in names and (found := _read(path, work.problems)):
            work.folders.append(found)
        elif path.name == layout.SUPPORT:
            supports.append(path)
    work.folders.sort(key=lambda stage: (stage.rank, stage.run.command, work.name(stage.path)))
    work.chains = _chains(work, supports)
    if not work.folders and not work.chains:
        why = f"holds no stage folder ({work.problems[0]})" if work.problems else "holds no stage folder"
        raise FolderError(why, root, f"Begin a chain with: aligndiff invert --images support/ --out {root}/bank")
    return work


def _walk(root: Path, skip: Path) -> Iterator[tuple[Path, set[str]]]:
    """Folders below ``root`` and the names of their files, in an order that does not depend on the disk."""
    for place, folders, files in os.walk(root):
        folders[:] = sorted(n for n in folders if not n.startswith(".") and Path(place, n) != skip)
        yield Path(place), set(files)


def _read(path: Path, problems: list[FolderError]) -> StageFolder | None:
    try:
        run = read_run(path)
        return None if run is None else StageFolder(path, run, read_records(path))
    except FolderError as error:
        problems.append(error)
        return None


def _chains(work: Work, supports: Sequence[Path]) -> list[Chain]:
    known = {stage.path: stage for stage in work.folders}
    made = {
        command: [s for s in work.folders if s.run.command == command] for command in ("invert", "generate", "mask")
    }
    chains = [_of_masks(stage, known, work) for stage in made["mask"]]
    used = {chain.synth.path for chain in chains if chain.synth}
    chains += [_of_synth(stage, known, work) for stage in made["generate"] if stage.path not in used]
    used = {chain.bank.path for chain in chains if chain.bank}
    chains += [_of_bank(stage) for stage in made["invert"] if stage.path not in used]
    used = {chain.support for chain in chains if chain.support}
    return chains + [Chain(support=path) for path in supports if path not in used]


def _of_masks(stage: StageFolder, known: dict[Path, StageFolder], work: Work) -> Chain:
    synth = _source(stage, "images", known, work)
    before = _of_synth(synth, known, work) if synth else Chain()
    scenes = [s for s in known.values() if s.run.command == "compose" and s.source("foregrounds") == stage.path]
    support = before.support or stage.source("support")
    apart = before.support_masks or stage.source("support_masks")
    return Chain(support, apart, before.orientation, before.bank, synth, stage, scenes)


def _of_synth(stage: StageFolder, known: dict[Path, StageFolder], work: Work) -> Chain:
    bank = _source(stage, "bank", known, work)
    before = _of_bank(bank) if bank else Chain()
    return Chain(before.support, before.support_masks, before.orientation, bank, stage)


def _of_bank(stage: StageFolder) -> Chain:
    orientation = str(stage.run.options.get("mask_orientation", "auto"))
    return Chain(stage.source("images"), stage.source("masks"), orientation, stage)


def _source(stage: StageFolder, name: str, known: dict[Path, StageFolder], work: Work) -> StageFolder | None:
    """The stage folder that another was made from, wherever it lies; what is not there any more is a problem."""
    path = stage.source(name)
    if path is None:
        return None
    if path not in known and path.is_dir() and (found := _read(path, work.problems)):
        known[path] = found
    if path not in known and not any(problem.where == stage.path for problem in work.problems):
        what = f"was made from {work.name(path)}, which is not there any more"
        work.problems.append(FolderError(what, stage.path, "Move it back"))
    return known.get(path)
