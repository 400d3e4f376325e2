"""Files and records are written by a thread of their own, beside what is being made next.

Pictures are encoded and hashed, and the disk is waited for, while a GPU has the next batch. The order is that in which
things were made, and a record is written when its item's files are on the disk, so a run that is killed leaves what it
would leave without the thread: a few items less, at most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from queue import Queue
from threading import Thread
from types import TracebackType

from aligndiff_cli.disk.digest import file_digest
from aligndiff_cli.engine.manifest import Record, contained
from aligndiff_cli.engine.stage import Made

WAITING = 32
"""Most items that wait to be written, each with its pictures: 60 MB of 512 x 512 pixels."""


class Writer:
    """Writes what was made, and commits its record.

    Args:
        folder: of the stage.
        commit: appends a record to the manifest; called by the thread alone.
    """

    def __init__(self, folder: Path, commit: Callable[[Record], None]) -> None:
        self._folder, self._commit = folder, commit
        self._waiting: Queue[Made | None] = Queue(WAITING)
        self._error: BaseException | None = None
        self._thread = Thread(target=self._work, name="aligndiff writer")

    def put(self, made: Made) -> None:
        """Have an item written; waits where too many do already.

        Raises:
            AligndiffError: an earlier one could not be written.
        """
        self._raise()
        self._waiting.put(made)

    def _work(self) -> None:
        while (made := self._waiting.get()) is not None:
            if self._error is None:  # after an error nothing is written, but taken, so that nobody waits for ever
                try:
                    self._commit(to_record(self._folder, written(made)))
                except BaseException as error:
                    self._error = error

    def _raise(self) -> None:
        if self._error is not None:
            raise self._error

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Wait until all is written, also where the work ended with an error: what was made before it is kept."""
        self._waiting.put(None)
        self._thread.join()
        if kind is None:
            self._raise()


def written(made: Made) -> Made:
    """An item all of whose files are on the disk."""
    if made.write is None:
        return made
    files, measured = made.write()
    return replace(made, files=[*made.files, *files], measured={**made.measured, **measured}, write=None)


def to_record(folder: Path, made: Made) -> Record:
    """The record of a finished item, with the digests of its files as they lie on the disk."""
    outputs = {name: file_digest(contained(folder, name)) for name in made.files}
    item = made.item
    return Record(item.id, item.cls, dict(item.inputs), outputs, dict(item.parameters), dict(made.measured))
