"""The one loop all stages share: plan, skip what is done, run, commit.

A stage divides its plan into *groups*, each run as one batch. Groups are fixed by the plan alone, never by what happens
to be left to do: a batch that a crash cut short is computed again whole, and only its missing items are committed. So a
resumed run gives the bytes of an uninterrupted one, although the last bits of a batched product depend on what else is
in the batch.
"""

from __future__ import annotations

import json
import logging
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.digest import has_digest
from aligndiff_cli.engine.failures import read_failures, write_failures
from aligndiff_cli.engine.known_files import keep, known_files
from aligndiff_cli.engine.lock import Claim
from aligndiff_cli.engine.manifest import Inside, ManifestWriter, Record, read_records, rewrite
from aligndiff_cli.engine.run_file import RunFile, own_run, read_run, write_run
from aligndiff_cli.engine.sharing import (
    enter,
    pack,
    present_records,
    put_in_order,
    shares,
    unpack,
    worker_manifest,
)
from aligndiff_cli.engine.stage import Item, Plan, Stage, Summary, plain
from aligndiff_cli.engine.workers import Progress, Team
from aligndiff_cli.engine.writer import Writer
from aligndiff_cli.errors import AligndiffError, FolderError, GroupError, InputError, UsageError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
        made, kept: items made now, and found done, by all of a launcher's workers or by this shard.
        problems: what was skipped, each with its reason.
        stale: records of items that the present plan does not know.
        summary: the stage's own table.
    """

    made: int
    kept: int
    problems: Sequence[AligndiffError]
    stale: Sequence[str]
    summary: Summary


@dataclass(frozen=True)
class Pending:
    """A group that is not all done: its place in the plan, and its items that are missing."""

    index: int
    group: Sequence[Item]
    missing: Sequence[Item]


def run_stage(
    stage: Stage, progress: Progress, *, force: bool = False, verify: bool = False, team: Team | None = None
) -> Outcome:
    """Bring a stage folder up to date with its plan, or with this process's share of the plan.

    Args:
        stage: what to make, and where.
        progress: told of each unit of work.
        force: make everything again, whatever is there.
        verify: read all files again, also those whose size and times are as they were.
        team: the workers that share the plan; None for this process alone.

    Raises:
        UsageError: one shard cannot force.
        FolderError: the folder was made with other options, an item's inputs or outputs have changed since, or another
            run is writing to it.
    """
    team = team or Team()
    if force and not team.whole:
        raise UsageError("--force has no meaning for one shard", remedy="Remove the folder, or pass another --out")
    with known_files(stage.out, verify=verify, fresh=force) as files:
        try:
            return _run_stage(stage, progress, force, team)
        finally:
            if read_run(stage.out) is not None:
                keep(stage.out, files, team.share.name)


def _run_stage(stage: Stage, progress: Progress, force: bool, team: Team) -> Outcome:
    run = stage.describe()
    flags = stage.flags()
    check_same_run(stage.out, run, force, flags)
    if force or read_run(stage.out) is None:
        stage.verify()  # now: a run file with what cannot be would stand in the way later
    plan = stage.plan()
    with Claim(stage.out) as claim:

        def begin() -> tuple[list[Pending], dict[str, Record]]:
            first = enter(claim, team, force)
            check_same_run(stage.out, run, force and team.leads, flags)
            if first:
                put_in_order(stage.out, team.share, force)
            if (force and team.leads) or read_run(stage.out) is None:
                write_run(stage.out, run)
            if team.share.name:
                claim.together()
            records = read_records(stage.out, own=True)
            pending = pending_groups(stage.out, plan, team, records)
            if first:
                write_run(stage.out, run)  # only now: it may name other inputs, and these turn out to differ
            return pending, records

        pending, records = team.in_turn(begin)
        unchanged = None if pending or team.share.name else records
        del records  # they are read again at the end, and else would be there twice
        with worker_manifest(stage.out, team.share) as manifest:
            shown = team.progress(progress)
            prepare(stage, [p.group for p in pending], team, shown)
            made = 0
            problems: list[AligndiffError] = []
            with Writer(stage.out, manifest.commit) as writer:
                for part in pending:
                    if team.share.has(part.index):
                        done, failed = _run_group(stage, part, writer, shown)
                        made += done
                        problems += failed
        return end(stage, plan, claim, team, made, problems, progress, unchanged)


def pending_groups(folder: Path, plan: Plan, team: Team, records: Mapping[str, Record]) -> list[Pending]:
    """What is left to do of this process's share; for a leader, of the whole plan."""
    inside = Inside(folder)
    pending = [
        Pending(index, group, missing)
        for index, group in enumerate(plan.groups)
        if (team.launched and team.leads) or team.share.has(index)
        if (missing := [item for item in group if not is_done(folder, item, records, inside)])
    ]
    again = [
        item
        for part in pending
        for item in part.missing
        if item.id in records and changed_inputs(item, records[item.id])
    ]
    if again:
        classes = ", ".join(sorted({item.cls for item in again}))
        log.info("%d done items are made again, since others of their class have come or gone: %s", len(again), classes)
    return pending


def prepare(stage: Stage, groups: Sequence[Sequence[Item]], team: Team, shown: Progress) -> None:
    """Announce the work, and do what comes before the groups, in the leader first or in all together."""
    shown.start(stage.preparation(groups) + sum(stage.units(group) for group in groups), stage.unit)
    if stage.together:
        stage.prepare(groups, shown.advance)
    else:
        team.in_turn(lambda: stage.prepare(groups, shown.advance))


def _run_group(stage: Stage, part: Pending, writer: Writer, shown: Progress) -> tuple[int, list[AligndiffError]]:
    """Run one group and have its missing items written; a bad input ends the group, not the run."""
    done = 0
    problems: list[AligndiffError] = []
    try:
        for result in stage.run(part.group, {item.id for item in part.missing}, shown.advance):
            problems += result.problems
            writer.put(result)
            done += 1
    except InputError as error:
        if len(part.group) > 1 and not isinstance(error, GroupError):
            what = f"{error.what} (so what is made together with it was not made)"
            error = InputError(what, error.where, error.remedy)
        problems.append(error)
    return done, problems


def end(
    stage: Stage,
    plan: Plan,
    claim: Claim,
    team: Team,
    made: int,
    problems: Sequence[AligndiffError],
    progress: Progress,
    unchanged: dict[str, Record] | None,
) -> Outcome:
    """Say how it went; the last of all workers brings the records together and lets the stage finish.

    Args:
        unchanged: the records, where nothing was to be done and nobody else is in the folder.
    """
    if not team.leads:
        claim.release()
    told = [json.loads(text) for text in team.gather(json.dumps([made, pack(problems)]))]
    if not told:
        return Outcome(made, 0, [], [], Summary([], []))
    made = sum(count for count, _ in told)
    problems = [*plan.problems, *(problem for _, packed in told for problem in unpack(packed))]
    last = claim.alone() and (claim.works or team.whole)
    records = present_records(stage.out, plan) if unchanged is None else unchanged
    planned = {item.id for group in plan.groups for item in group}
    if not last or (not team.whole and planned - records.keys()):
        write_failures(stage.out, problems, team.share.name)
        own = {item.id for index, group in enumerate(plan.groups) if team.share.has(index) for item in group}
        return Outcome(made, len(own & records.keys()) - made, problems, [], shares(plan, records, team.share))
    others = () if team.whole else read_failures(stage.out)
    current = {item_id: record for item_id, record in records.items() if item_id in planned}
    for reviewed in review(stage, current, progress):
        records[reviewed.id] = current[reviewed.id] = reviewed
    rewrite(stage.out, records.values())
    write_failures(stage.out, list({str(p): p for p in (*problems, *others)}.values()))
    stale = sorted(records.keys() - planned)
    return Outcome(made, len(current) - made, problems, stale, stage.finish(current))


def review(stage: Stage, records: Mapping[str, Record], progress: Progress) -> list[Record]:
    """The records that a stage's review has changed, each committed as soon as it is there."""
    with ManifestWriter(stage.out) as manifest:
        changed = []
        for record in stage.review(records, progress):
            manifest.commit(record)
            changed.append(record)
    return changed


def check_same_run(folder: Path, run: RunFile, force: bool, flags: Mapping[str, str] | None = None) -> None:
    """Refuse to mix work made with different options in one folder, and, forced or not, with anything else's.

    Args:
        flags: option -> its flag, of those whose value in the folder a user may ask for.

    Raises:
        FolderError: another command or nobody known made what is there (see ``own_run``); or, unless it is forced, it
            was made with another seed, option or model, and the message names the first difference.
    """
    before = own_run(folder, run.command)
    if before is None or force:
        return
    pairs: list[tuple[str, Any, Any]] = [("seed", before.seed, run.seed)]
    names = [*run.options, *(name for name in before.options if name not in run.options)]
    pairs += [(name, before.options.get(name), run.options.get(name)) for name in names]
    pairs += [
        (f"{name} fingerprint", before.models.get(name, {}).get("fingerprint"), model["fingerprint"])
        for name, model in run.models.items()
    ]
    for name, old, new in pairs:
        if old != new:
            made = f"was made with {name} = {old}"
            if name in run.options and name not in before.options:
                made = f"was made by another version, which did not record {name}"
            remedy = "Pass --force to make everything again, or another folder with --out"
            if flags and name in flags and _is_typed(old):
                remedy += f"; {flags[name]} {shlex.quote(str(old))} goes on with this one"
            raise FolderError(f"{made}, now it is {new}", folder, remedy)


def _is_typed(value: object) -> bool:
    """Whether a recorded value is what one would type after its flag."""
    return isinstance(value, int | float | str) and not isinstance(value, bool) and value != ""


def is_done(folder: Path, item: Item, records: Mapping[str, Record], inside: Inside) -> bool:
    """Whether the item's record is there and still true. A missing output only means: make it again.

    Raises:
        FolderError: an input or an output has changed since the record was written, and the item does not allow for it;
            or the record itself was, which tells other parameters than the plan.
    """
    record = records.get(item.id)
    if record is None or not record.outputs:
        return False
    changed = changed_inputs(item, record)
    if other := sorted(changed - item.of_group):
        raise FolderError(
            f"{item.id} was made from another {other[0]}", folder, "Pass --force to make everything again"
        )
    for name, planned in plain(item.parameters).items():
        if record.parameters.get(name) != planned:
            raise FolderError(
                f"the record of {item.id!r} says {name} = {record.parameters.get(name)}, and it is {planned}",
                folder / layout.MANIFEST,
                "Remove that line, and the item is made again",
            )
    retouched = False
    for name, digest in record.outputs.items():
        path = inside.path(name)
        if not os.path.exists(path):  # noqa: PTH110
            return False
        if not has_digest(path, digest):
            if not item.retouchable:
                raise FolderError(
                    "was changed after it was made",
                    Path(path),
                    "Use the folder as it is to keep it, or delete it to have it made again; --force makes all again",
                )
            log.info("%s was changed after it was made: it is kept as it is; delete it to have it made again", path)
            retouched = True
    return retouched or not changed


def changed_inputs(item: Item, record: Record) -> set[str]:
    """Names of the inputs that are not those of the record."""
    return {name for name, _ in set(record.inputs.items()) ^ set(item.inputs.items())}
