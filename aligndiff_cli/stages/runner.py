"""The one loop all stages share: plan, skip what is done, run, commit.

A stage divides its plan into *groups*, each run as one batch. Groups are fixed by the plan alone, never by what happens
to be left to do: a batch that a crash cut short is computed again whole, and only its missing items are committed. So a
resumed run gives the bytes of an uninterrupted one, although the last bits of a batched product depend on what else is
in the batch.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.disk.digest import file_digest
from aligndiff_cli.disk.manifest import ManifestWriter, Record, contained, read_records, rewrite
from aligndiff_cli.disk.run_file import RunFile, read_run, write_run
from aligndiff_cli.errors import AligndiffError, FolderError, InputError


@dataclass(frozen=True)
class Item:
    """One thing to make.

    Attributes:
        id: unique in its stage folder; everything random about the item follows from (run seed, id).
        cls: class name, or "".
        inputs: name -> digest of everything the item is made from.
        parameters: what was decided in planning and is worth a line in the record.
    """

    id: str
    cls: str
    inputs: Mapping[str, str]
    parameters: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """What a stage made for one item.

    Attributes:
        files: already written, relative to the folder.
        measured: figures taken on the way.
        problems: inputs of the item that had to be left out.
    """

    item: Item
    files: Sequence[str]
    measured: Mapping[str, Any] = field(default_factory=dict)
    problems: Sequence[InputError] = ()


@dataclass(frozen=True)
class Plan:
    """All there is to do, in fixed groups, and the inputs that cannot be used."""

    groups: Sequence[Sequence[Item]]
    problems: Sequence[InputError] = ()


@dataclass(frozen=True)
class Summary:
    """What the user is told at the end: a short table, where to look, what to run next."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    pictures: Sequence[Path] = ()
    next_command: str = ""


class Progress(Protocol):
    """Where a stage reports how far it is; the units are its own (images, optimization steps)."""

    def start(self, total: int, unit: str) -> None: ...
    def advance(self, units: int, note: str = "") -> None: ...


class Stage(Protocol):
    """What the runner needs of a stage; ``notes`` are lines the user should read before it starts.

    ``run`` computes a whole group, but writes and yields only the items whose ids are ``wanted``: the others are done,
    and their files are not touched.
    """

    out: Path
    unit: str
    notes: Sequence[str]

    def describe(self) -> RunFile: ...
    def plan(self) -> Plan: ...
    def units(self, group: Sequence[Item]) -> int: ...
    def run(self, group: Sequence[Item], wanted: Set[str], advance: Callable[..., None]) -> Iterator[Made]: ...
    def finish(self, records: Mapping[str, Record]) -> Summary: ...


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        made, kept: items made now, and found done.
        problems: what was skipped, each with its reason.
        stale: records of items that the present plan does not know.
        summary: the stage's own table.
    """

    made: int
    kept: int
    problems: Sequence[AligndiffError]
    stale: Sequence[str]
    summary: Summary


def run_stage(stage: Stage, progress: Progress, *, force: bool = False) -> Outcome:
    """Bring a stage folder up to date with its plan.

    Args:
        stage: what to make, and where.
        progress: told of each unit of work.
        force: make everything again, whatever is there.

    Raises:
        FolderError: the folder was made with other options, or an item's inputs or outputs have changed since.
    """
    run = stage.describe()
    check_same_run(stage.out, run, force)
    plan = stage.plan()
    if force:
        forget(stage.out)
    records = read_records(stage.out)
    planned = {item.id for group in plan.groups for item in group}
    pending = [
        (group, missing)
        for group in plan.groups
        if (missing := [i for i in group if not is_done(stage.out, i, records)])
    ]
    write_run(stage.out, run)
    progress.start(sum(stage.units(group) for group, _ in pending), stage.unit)
    problems: list[AligndiffError] = list(plan.problems)
    made = 0
    with ManifestWriter(stage.out) as manifest:
        for group, missing in pending:
            for item in missing:  # a record whose output is gone is no record any more
                records.pop(item.id, None)
            done, failed = _run_group(stage, group, {item.id for item in missing}, manifest, records, progress)
            made += done
            problems += failed
        rewrite(stage.out / layout.MANIFEST, records.values())
    write_failures(stage.out, problems)
    kept = sum(item_id in records for item_id in planned) - made
    current = {item_id: record for item_id, record in records.items() if item_id in planned}
    return Outcome(made, kept, problems, sorted(records.keys() - planned), stage.finish(current))


def _run_group(
    stage: Stage,
    group: Sequence[Item],
    missing: set[str],
    manifest: ManifestWriter,
    records: dict[str, Record],
    progress: Progress,
) -> tuple[int, list[AligndiffError]]:
    """Run one group and commit its missing items; a bad input ends the group, not the run."""
    done = 0
    problems: list[AligndiffError] = []
    try:
        for result in stage.run(group, missing, progress.advance):
            problems += result.problems
            record = to_record(stage.out, result)
            manifest.commit(record)
            records[record.id] = record
            done += 1
    except InputError as error:
        if len(group) > 1:
            what = f"{error.what} (so what is made together with it was not made)"
            error = InputError(what, error.where, error.remedy)
        problems.append(error)
    return done, problems


def to_record(folder: Path, made: Made) -> Record:
    """The record of a finished item, with the digests of its files as they lie on the disk."""
    outputs = {name: file_digest(contained(folder, name)) for name in made.files}
    item = made.item
    return Record(item.id, item.cls, dict(item.inputs), outputs, dict(item.parameters), dict(made.measured))


def check_same_run(folder: Path, run: RunFile, force: bool) -> None:
    """Refuse to mix work made with different options in one folder.

    Raises:
        FolderError: another command, seed, option or model made what is there; the message names the first difference.
    """
    before = None if force else read_run(folder)
    if before is None:
        return
    pairs: list[tuple[str, Any, Any]] = [
        ("command", before.command, run.command),
        ("seed", before.seed, run.seed),
    ]
    pairs += [(key, before.options.get(key), value) for key, value in run.options.items()]
    pairs += [
        (f"{name} fingerprint", before.models.get(name, {}).get("fingerprint"), model["fingerprint"])
        for name, model in run.models.items()
    ]
    for name, old, new in pairs:
        if old != new:
            raise FolderError(
                f"was made with {name} = {old}, now it is {new}",
                folder,
                "Pass --force to make everything again, or another folder with --out",
            )


def is_done(folder: Path, item: Item, records: Mapping[str, Record]) -> bool:
    """Whether the item's record is there and still true. A missing output only means: make it again.

    Raises:
        FolderError: an input or an output has changed since the record was written.
    """
    record = records.get(item.id)
    if record is None:
        return False
    if dict(record.inputs) != dict(item.inputs):
        names = sorted(set(record.inputs.items()) ^ set(item.inputs.items()))
        raise FolderError(
            f"{item.id} was made from another {names[0][0]}", folder, "Pass --force to make everything again"
        )
    for name, digest in record.outputs.items():
        path = contained(folder, name)
        if not path.exists():
            return False
        if file_digest(path) != digest:
            raise FolderError(
                "was changed after it was made",
                path,
                "Keep it by using the folder as it is, or delete it or pass --force to make it again",
            )
    return True


def forget(folder: Path) -> None:
    """Drop all records, so that a forced run which is itself interrupted resumes as what it is: partly made."""
    for path in folder.glob(layout.MANIFEST_GLOB):
        path.unlink()


def write_failures(folder: Path, problems: Sequence[AligndiffError]) -> None:
    """Leave ``failures.jsonl`` if something failed, and none if nothing did."""
    path = folder / layout.FAILURES
    if not problems:
        path.unlink(missing_ok=True)
        return
    lines = [{"what": p.what, "where": str(p.where or ""), "remedy": p.remedy or ""} for p in problems]
    write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def options_dict(options: Any, *, without: Sequence[str]) -> dict[str, Any]:
    """An Options dataclass as plain data, less the fields that do not decide the bytes of an item.

    These are the folders (their contents are compared by digest), the device, the seed (recorded apart), and those that
    only add items.
    """
    plain = {key: value for key, value in asdict(options).items() if key not in without}
    return json.loads(json.dumps(plain, default=str))  # tuples become lists, as they are when read back
