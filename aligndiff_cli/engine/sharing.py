"""How several workers keep out of each other's way in a stage folder, and how their parts become one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.atomic import write_error
from aligndiff_cli.engine.lock import Claim, is_held
from aligndiff_cli.engine.manifest import (
    Inside,
    ManifestWriter,
    Record,
    manifests,
    read_records,
    rewrite,
)
from aligndiff_cli.engine.stage import Plan, Summary
from aligndiff_cli.engine.workers import Share, Team
from aligndiff_cli.errors import AligndiffError, FolderError, InputError


def enter(claim: Claim, team: Team, force: bool) -> bool:
    """Claim the folder for this process.

    Returns:
        Whether this process is alone in it, for now: then it may put the folder in order, and must let others in after.

    Raises:
        FolderError: another run is writing to it.
    """
    if claim.alone():
        return claim.works or (team.leads and team.whole)
    if (team.leads and force) or not team.share.name:
        raise claim.refusal()
    claim.together()
    return False


def put_in_order(folder: Path, share: Share, force: bool) -> None:
    """Bring the records of former workers together, and drop what other numbers of shards had failed.

    A forced run drops all records, so that it resumes, if it is itself interrupted, as what it is: partly made.
    """
    found = manifests(folder)
    try:
        if force:
            for path in found:
                path.unlink()
        elif any(path.name != layout.MANIFEST for path in found):
            rewrite(folder, read_records(folder, own=True).values())
        for path in layout.with_workers(folder, layout.FAILURES) if share.name else ():
            if _count(path) != share.count:
                path.unlink()
    except OSError as error:
        raise write_error(error, folder) from error


@contextmanager
def worker_manifest(folder: Path, share: Share) -> Iterator[ManifestWriter]:
    """The manifest of this process, open for writing.

    Raises:
        FolderError: another process does the same share, or shares of another number of workers.
    """
    with ManifestWriter(folder, layout.of_worker(layout.MANIFEST, share.name)) as manifest:
        for path in manifests(folder):
            if share.name and _count(path) not in (None, share.count) and is_held(path):
                raise FolderError(
                    f"a worker of another number of workers is writing to {path.name}, and they would do work twice",
                    folder,
                    f"Wait for it, or share among {_count(path)} as well",
                )
        yield manifest


def _count(path: Path) -> int | None:
    """Into how many shares the worker's run is divided that this file belongs to."""
    found = re.fullmatch(r"[a-z]+\.\d+-of-(\d+)\.jsonl", path.name)
    return int(found[1]) if found else None


def present_records(folder: Path, plan: Plan) -> dict[str, Record]:
    """All records, less those of planned items whose outputs are gone: they could not be made again."""
    planned = {item.id for group in plan.groups for item in group}
    inside = Inside(folder)
    return {
        item_id: record
        for item_id, record in read_records(folder, own=True).items()
        if item_id not in planned or all(os.path.exists(inside.path(name)) for name in record.outputs)  # noqa: PTH110
    }


def shares(plan: Plan, records: Mapping[str, Record], share: Share) -> Summary:
    """How far each shard is, for one that is not the last to end."""
    rows = []
    for number in range(share.count):
        own = [item.id for index, group in enumerate(plan.groups) if index % share.count == number for item in group]
        if own:  # there may be more shards than groups
            rows.append([f"{number + 1}/{share.count}", str(sum(item in records for item in own)), str(len(own))])
    following = (
        "tables and pictures are made by the shard that finds everything done, or by this command without --shard"
    )
    return Summary(["shard", "done", "of"], rows, (), following)


def pack(problems: Sequence[AligndiffError]) -> list[tuple[str, str | None, str | None]]:
    """Problems as plain data."""
    return [(p.what, None if p.where is None else str(p.where), p.remedy) for p in problems]


def unpack(packed: Sequence[Sequence[Any]]) -> list[AligndiffError]:
    """What :func:`pack` was given."""
    return [InputError(*parts) for parts in packed]
