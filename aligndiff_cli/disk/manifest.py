"""Records of what a stage made: ``manifest.jsonl``, one line per item, appended and flushed item by item.

A line that a crash tore in two is dropped when the file is next opened for writing, and ignored by readers; its item
is then simply not done. Records carry no time and no worker, so that two runs which made the same things have the same
bytes.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Any

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.atomic import atomic_write, write_error
from aligndiff_cli.disk.support import safe_class
from aligndiff_cli.errors import FolderError, InputError


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
        return json.dumps(asdict(self), sort_keys=True, ensure_ascii=False) + "\n"


def contained(folder: Path, relative: str) -> Path:
    """``folder / relative``, refused where it would leave the folder.

    Raises:
        FolderError: the path is absolute, climbs out with "..", or a link leads out of the folder.
    """
    pure = PurePosixPath(relative)
    path = folder / pure
    if pure.is_absolute() or ".." in pure.parts or not path.resolve().is_relative_to(folder.resolve()):
        raise FolderError(
            f"the manifest names {relative!r}, which leaves the folder",
            folder,
            "Manifests hold relative paths inside their own folder; mend or remove that record",
        )
    return path


def read_records(folder: Path) -> dict[str, Record]:
    """All records of a stage folder by item id, from the manifest, then from every worker's; the last of an id counts.

    Raises:
        FolderError: a whole line is not a record, or an output's path leaves the folder.
    """
    with suppress(FileNotFoundError):
        return _read_records(folder)
    return _read_records(folder)  # a run that ended meanwhile has brought its workers' records together


def _read_records(folder: Path) -> dict[str, Record]:
    records: dict[str, Record] = {}
    for path in sorted(folder.glob(layout.MANIFEST_GLOB), key=lambda path: (path.name != layout.MANIFEST, path)):
        for number, line in _whole_lines(path):
            record = _parse(path, number, line)
            for output in record.outputs:
                contained(folder, output)
            records[record.id] = record
    return records


def _whole_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if line.endswith(b"\n") and line.strip():  # a torn last line is no record
                yield number, line


def _parse(path: Path, number: int, line: bytes) -> Record:
    try:
        record = Record(**json.loads(line))
        _check(record)
    except (ValueError, TypeError, RecursionError, InputError) as error:
        raise FolderError(
            f"line {number} is not a record ({error})", path, "Remove that line; its item is then made again"
        ) from error
    return record


def _check(record: Record) -> None:
    """Refuse a record whose fields are not what they say, or whose names could not be part of a path.

    Raises:
        TypeError, InputError: what is wrong.
    """
    parts = (record.inputs, record.outputs, record.parameters, record.measured)
    if not all(isinstance(part, dict) for part in parts):
        raise TypeError("expected inputs, outputs, parameters and figures by name")
    texts = (record.id, record.cls, *record.inputs.values(), *record.outputs, *record.outputs.values())
    if not all(isinstance(text, str) and "\0" not in text for text in texts):
        raise TypeError("expected text")
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
    for path in folder.glob(layout.WORKER_MANIFESTS):
        path.unlink()


def is_being_written(path: Path) -> bool:
    """Whether a run has this manifest open for writing."""
    with path.open("r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:  # a file system without locks
            return False
    return False
