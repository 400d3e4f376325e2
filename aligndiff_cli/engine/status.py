"""What a stage folder holds, read from its own records; nothing is written."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.digest import has_digest
from aligndiff_cli.engine.failures import read_failures
from aligndiff_cli.engine.folds import filled
from aligndiff_cli.engine.known_files import known_files
from aligndiff_cli.engine.manifest import Inside, Record, manifests, read_records, torn_records
from aligndiff_cli.engine.run_file import RunFile, read_run
from aligndiff_cli.errors import AligndiffError, FolderError, InputError

UNKNOWN = "–"
"""The command of a folder that nothing can be said of."""


@dataclass(frozen=True)
class FolderState:
    """Counts and names for one folder.

    Attributes:
        done: items whose outputs are all there and unchanged.
        missing, changed: outputs, relative to the folder, that are gone or no longer what the record says.
        failed: items or inputs that the last run had to skip.
        remarks: inputs that have moved, or were made again since.
    """

    folder: Path
    command: str
    done: int
    missing: Sequence[str]
    changed: Sequence[str]
    failed: int
    remarks: Sequence[str]


def look(folder: Path, *, verify: bool = False) -> FolderState:
    """Compare a folder with its records.

    Args:
        verify: read all files again, also those whose size and times are as they were.

    Raises:
        FolderError: it is not a stage folder.
    """
    if not folder.is_dir():
        raise FolderError("is a file" if folder.exists() else "there is no such folder", folder)
    run = read_run(folder)
    if run is None:
        raise FolderError(
            f"holds no {layout.RUN}, so no stage made it",
            folder,
            "Name folders given to --out, such as bank/ or masks/",
        )
    missing: list[str] = []
    changed: list[str] = []
    done = 0
    with known_files(folder, verify=verify):
        inside = Inside(folder)
        for record in read_records(folder).values():
            gone, other = compare(inside, record)
            missing += gone
            changed += other
            done += not gone and not other
    failed = len(read_failures(folder))
    return FolderState(
        folder, run.command, done, missing, changed, failed, [*unfinished(folder), *torn(folder), *remarks(folder, run)]
    )


def look_at_all(folders: Sequence[Path], *, verify: bool = False) -> list[FolderState]:
    """The state of each folder, see `look`; of one that is no stage folder, or cannot be read, the reason alone."""
    states = []
    for folder in folders:
        try:
            states.append(look(folder, verify=verify))
        except AligndiffError as error:
            where = "" if error.where in (None, folder) else f"{error.where}: "
            states.append(FolderState(folder, UNKNOWN, 0, [], [], 0, [f"{where}{error.what}"]))
        except OSError as error:
            states.append(FolderState(folder, UNKNOWN, 0, [], [], 0, [f"cannot be read ({error.strerror})"]))
    return states


def compare(inside: Inside, record: Record) -> tuple[list[str], list[str]]:
    """The record's outputs that are gone from its folder, and those that have changed."""
    paths = {name: inside.path(name) for name in record.outputs}
    gone = [name for name, path in paths.items() if not os.path.exists(path)]  # noqa: PTH110
    other = [name for name, path in paths.items() if name not in gone and not _is_as_recorded(path, record, name)]
    return gone, other


def _is_as_recorded(path: str, record: Record, name: str) -> bool:
    try:
        return has_digest(path, record.outputs[name])
    except InputError:  # a folder in its place, say
        return False


def unfinished(folder: Path) -> list[str]:
    """What is to be said of workers whose parts are not yet brought together."""
    if (folder / layout.UNFINISHED).exists():
        return ["interrupted: run it again"]
    names = [path.name.split(".")[1] for path in manifests(folder) if path.name != layout.MANIFEST]
    if not names:
        return []
    return [f"shared by workers ({', '.join(names)}), not brought together: run the stage again, without --shard"]


def torn(folder: Path) -> list[str]:
    """What is to be said of records that an interrupted run left half written."""
    return [f"{problem.what}: run it again" for problem in torn_records(folder)]


def remarks(folder: Path, run: RunFile) -> list[str]:
    """What is to be said of the folder's inputs."""
    found = []
    for name, relative in run.inputs.items():
        sources = filled(folder / relative)
        if not sources:
            found.append(f"{name} {relative} is not there any more")
        elif any(is_newer(source / layout.RUN, folder / layout.RUN) for source in sources):
            found.append(f"stale: {name} {relative} was made again since")
    return found


def is_newer(path: Path, than: Path) -> bool:
    """Whether ``path`` exists and was written after ``than``."""
    return path.exists() and path.stat().st_mtime_ns > than.stat().st_mtime_ns
