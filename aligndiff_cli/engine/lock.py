"""Who may write to a stage folder: one run alone, or the workers of one run together.

The claim is an advisory lock on the hidden file ``.lock``, exclusive for a run alone and shared among workers; it ends
with its process, however that ends. Each worker also locks its own manifest, so that no two do the same share.
"""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.atomic import write_error
from aligndiff_cli.disk.regular import regular
from aligndiff_cli.errors import FolderError, InputError

log = logging.getLogger(__name__)

PATIENCE = 10.0
"""Seconds that a worker waits for another to look into the folder alone, which takes a moment."""
PAUSE = 0.05


class Claim:
    """A claim on a folder, which is made where it is missing; nothing is locked yet.

    Attributes:
        works: whether the file system has locks; where it has none, every claim is granted.

    Raises:
        FolderError: the folder cannot be written to.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        path = folder / layout.LOCK
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")  # for reading as well: a shared lock over NFS needs it
        except OSError as error:
            raise write_error(error, path) from error
        self.works = True

    def alone(self) -> bool:
        """Try to be the only one in the folder; whatever was held before is given up if that fails."""
        if self._flock(fcntl.LOCK_EX):
            return True
        self.release()  # some systems keep the old lock, others have dropped it
        return False

    def together(self) -> None:
        """Be one of several in the folder, waiting a moment for one that is still alone.

        Raises:
            FolderError: it stays alone.
        """
        until = time.monotonic() + PATIENCE
        while not self._flock(fcntl.LOCK_SH):
            if time.monotonic() > until:
                raise self.refusal()
            time.sleep(PAUSE)

    def release(self) -> None:
        """Give up whatever is held."""
        self._flock(fcntl.LOCK_UN)

    def refusal(self) -> FolderError:
        """What is said to one who came too late."""
        return FolderError(
            "another run is writing to this folder", self._folder, "Wait for it, or choose another --out"
        )

    def _flock(self, kind: int) -> bool:
        try:
            fcntl.flock(self._file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            self.works = False
        return True

    def __enter__(self) -> Claim:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()


def in_use(folder: Path) -> bool:
    """Whether a run, or a worker of one, is writing to a folder at this moment; nothing is written to find out."""
    return any(map(is_held, [folder / layout.LOCK, *layout.with_workers(folder, layout.MANIFEST)]))


def is_held(path: Path) -> bool:
    """Whether a run has this lock or manifest open for writing; where that cannot be known, no."""
    try:
        with regular(path).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except (OSError, InputError):  # it is not there, or is no file, or the file system has no locks
        return False
    return False


def tell_if_in_use(folder: Path) -> None:
    """Say in the log that more may come to a folder that is about to be read."""
    if in_use(folder):
        log.info("%s is still being written to by another run: what is there now is taken, and no more", folder)


@contextmanager
def one_at_a_time(folder: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Wait until nobody else is in the folder, and keep others out while the block runs.

    Args:
        waiting: called now and then while somebody else is there.
    """
    with Claim(folder) as claim:
        while not claim.alone():
            waiting()
            time.sleep(PAUSE)
        yield
