"""Records of what a stage made: ``manifest.jsonl``, one line per item, appended and flushed item by item.

A line that a crash tore in two is dropped when the file is next opened for writing, and ignored by readers; its item
is then simply not done. Records carry no time and no worker, so that two runs which made the same things have the same
bytes.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from types import TracebackType
from typing import Any

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.atomic import atomic_write, write_error
from aligndiff_cli.disk.class_folders import safe_class
from aligndiff_cli.disk.regular import regular
from aligndiff_cli.engine.lock import is_held
from aligndiff_cli.engine.run_file import read_run
from aligndiff_cli.engine.schema import RECORD, Fields, check_fields, check_known, record_fields
from aligndiff_cli.errors import FolderError, InputError

MAX_PATH_PART = 255
"""Bytes of a file's or folder's name, on usual file systems."""


@dataclass(frozen=True)
class Record:
    """One finished item.

    Attributes:
        id: unique in its folder, e.g. ``"dog/text-0003"``.
        cls: class name, or "" where an item belongs to none.
        inputs: name of each input -> digest of its bytes.
        outputs: path of each output, relative to the folder -> digest of its bytes.
        parameters: what was drawn or decided for this item (prompt, seed, place).
        measured: figures taken while it was made (losses, IoU).
    """

    id: str
    cls: str
    inputs: Mapping[str, str]
    outputs: Mapping[str, str]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    measured: Mapping[str, Any] = field(default_factory=dict)

    def to_line(self) -> str:
        """The record as one line of JSON with sorted keys."""
        return json.dumps(vars(self), sort_keys=True, ensure_ascii=False) + "\n"


class Inside:
    """The paths of one folder: those that would leave it are refused.

    A folder below it is looked at once; this is for a loop, not for keeping.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._prefix = f"{folder}/"
        self._plain = {"": True}

    def path(self, relative: str) -> str:
        """``folder / relative``.

        Raises:
            FolderError: the path is absolute, climbs out with "..", or a link leads out of the folder.
        """
        path = self._prefix + relative
        parent = relative.rpartition("/")[0]
        if not parent.startswith("/") and self._is_plain(parent) and ".." not in relative and not _is_link(path):
            return path
        root = os.path.realpath(self._folder)
        inside = Path(os.path.realpath(path)).is_relative_to(root)
        if relative.startswith("/") or ".." in relative.split("/") or not inside:
            raise FolderError(
                f"the manifest names {relative!r}, which leaves the folder",
                self._folder,
                "Manifests hold relative paths inside their own folder; mend or remove that record",
            )
        return path

    def _is_plain(self, relative: str) -> bool:
        """Whether no part of a folder's path is a link, so that it cannot lead out."""
        if relative not in self._plain:
            above = self._is_plain(relative.rpartition("/")[0])
            self._plain[relative] = above and not _is_link(self._prefix + relative)
        return self._plain[relative]


def _is_link(path: str) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(path).st_mode)
    except OSError:  # it is not there
        return False


def contained(folder: Path, relative: str) -> Path:
    """``folder / relative``, refused (FolderError) where it would leave the folder, see `Inside`."""
    return Path(Inside(folder).path(relative))


def read_records(folder: Path, *, own: bool = False) -> dict[str, Record]:
    """All records of a stage folder by item id, from the manifest, then from every worker's; the last of an id counts.

    Args:
        own: whether the stage that made the folder is asking; its own table needs more fields than others do.

    Raises:
        FolderError: a manifest cannot be read, a whole line is not a record or lacks what this command's records have,
            or an output's path leaves the folder.
    """
    run = read_run(folder)
    fields = {} if run is None else record_fields(run.command, run.options, own=own)
    with suppress(FileNotFoundError):
        return _read_records(folder, fields)
    return _read_records(folder, fields)  # a run that ended meanwhile has brought its workers' records together


def manifests(folder: Path) -> list[Path]:
    """The manifest of a folder, if there is one, then those of workers.

    Raises:
        FolderError: the folder cannot be listed.
    """
    try:
        return layout.with_workers(folder, layout.MANIFEST)
    except OSError as error:
        raise FolderError(f"cannot be read ({error.strerror})", folder) from error


def _read_records(folder: Path, fields: Fields) -> dict[str, Record]:
    records: dict[str, Record] = {}
    inside = Inside(folder)
    for path in manifests(folder):
        for number, line in _whole_lines(path):
            record = _parse(path, number, line, fields)
            for output in record.outputs:
                inside.path(output)
            records[record.id] = record
    return records


def _lines(path: Path) -> Iterator[bytes]:
    try:
        with regular(path).open("rb") as file:
            yield from file
    except FileNotFoundError:
        raise
    except InputError as error:
        raise FolderError(error.what, path, error.remedy) from error
    except OSError as error:
        raise FolderError(f"cannot be read ({error.strerror})", path, "Mend it, or use another folder") from error


def _whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(_lines(path), start=1):
        if line.endswith(b"\n") and line.strip():  # a torn last line is no record
            yield number, line


def torn_records(folder: Path) -> list[InputError]:
    """What another command's interrupted run left half written, to be told by the stage that reads its folder.

    Nothing is said of a manifest that a run is writing to at this moment.
    """
    run = read_run(folder)
    command = "the command that made it" if run is None else f"`aligndiff {run.command} --out {folder}`"
    problems = []
    for path in manifests(folder):
        *_, last = (b"\n", *_lines(path))
        if last.endswith(b"\n") or is_held(path):
            continue
        # the fields of a record come sorted by name, so that its id is among the first
        found = re.search(rb'"id": ("(?:[^"\\]|\\.)*")', last)
        item = json.loads(found[1]) if found else "an item"
        what = f"its last line is torn, by an interrupted run, so {item!r} counts as not done"
        problems.append(InputError(what, path, f"Run {command} again, as before, to its end"))
    return problems


def _parse(path: Path, number: int, line: bytes, fields: Fields) -> Record:
    name = ""
    try:
        data = json.loads(line, object_pairs_hook=_shared)
        if isinstance(data, dict):
            data = {"parameters": {}, "measured": {}, **data}
            name = f" ({data.get('id')!r})" if isinstance(data.get("id"), str) else ""
        check_fields(data, RECORD)
        check_known(data, RECORD)
        check_fields(data, fields)
        record = Record(**data)
        _check(record, b"\\u" in line)
    except (ValueError, RecursionError, InputError) as error:
        raise FolderError(
            f"line {number} is not a record{name} ({error})", path, "Remove that line; its item is then made again"
        ) from error
    return record


def _shared(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON whose texts are kept once for all records, which else take up to twice the memory."""
    return {intern(name): intern(value) if type(value) is str else value for name, value in pairs}


def _check(record: Record, escaped: bool) -> None:
    """Refuse a record whose texts cannot be written, or whose names could not be part of a path.

    Args:
        escaped: whether its line has characters by number, among which may be half ones.

    Raises:
        ValueError, InputError: what is wrong.
    """
    if escaped:
        record.to_line().encode()
    if any(len(part.encode()) > MAX_PATH_PART for output in record.outputs for part in output.split("/")):
        raise ValueError("the path of an output is too long")
    for part in [*record.id.split("/"), *filter(None, [record.cls])]:
        if safe_class(part) != part:
            raise InputError(f"{part!r} cannot be used as a name")


class ManifestWriter:
    """Appends records to one manifest; each is on the disk when :meth:`commit` returns.

    Raises:
        FolderError: the folder cannot be written to, or another run is writing to it.
    """

    def __init__(self, folder: Path, name: str = layout.MANIFEST) -> None:
        self.path = folder / name
        try:
            folder.mkdir(parents=True, exist_ok=True)
            # unbuffered: a write that fails leaves nothing behind to be written again when the file is closed
            self._file = self.path.open("ab", buffering=0)
        except OSError as error:
            raise write_error(error, self.path) from error
        self._lock()
        self._drop_torn_line()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderError(
                f"another run is writing to {self.path.name}", self.path.parent, "Wait for it, or choose another --out"
            ) from error
        except OSError:  # a file system without locks
            return

    def _drop_torn_line(self) -> None:
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole != len(data):
            self._file.truncate(whole)

    def commit(self, record: Record) -> None:
        """Append one record and flush it to the disk."""
        line = memoryview(record.to_line().encode())
        try:
            while line:
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            raise write_error(error, self.path) from error

    def __enter__(self) -> ManifestWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def rewrite(folder: Path, records: Iterable[Record]) -> None:
    """Leave one manifest with these records, sorted by id, and no worker's.

    So the same work gives the same bytes, however interrupted and however shared.
    """
    with atomic_write(folder / layout.MANIFEST) as file:
        for record in sorted(records, key=lambda record: record.id):
            file.write(record.to_line().encode())
    for path in manifests(folder):
        if path.name != layout.MANIFEST:
            path.unlink()
