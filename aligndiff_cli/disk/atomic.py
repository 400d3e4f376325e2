"""Files appear whole or not at all: write to a temporary name beside the place, flush, rename."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from aligndiff_cli.errors import FolderError

FULL = (errno.ENOSPC, errno.EDQUOT)


@contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Yield a binary file that becomes ``path`` when the block ends without an error.

    The temporary name is fixed (``.<name>.part``), so what a killed run left behind is overwritten by the next.

    Raises:
        FolderError: the disk is full, or the folder cannot be written to.
    """
    part = path.with_name(f".{path.name}.part")
    with _write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        file = part.open("wb")
    try:
        with file:
            yield file
            with _write_errors(path):
                file.flush()
                os.fsync(file.fileno())
        with _write_errors(path):
            part.replace(path)
    except BaseException as error:
        with suppress(OSError):
            part.unlink()
        if isinstance(error, OSError) and error.errno in FULL:
            raise write_error(error, path) from error
        raise


@contextmanager
def _write_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise write_error(error, path) from error


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8, atomically."""
    with atomic_write(path) as file:
        file.write(text.encode())


def write_error(error: OSError, path: Path) -> FolderError:
    """The user's view of a failed write."""
    if error.errno in FULL:
        return FolderError(
            "no space left on the device",
            path,
            "Free some space and run the command again; finished work is kept",
        )
    reason = error.strerror or str(error)
    return FolderError(f"cannot be written ({reason})", path, "Choose a folder you may write to with --out")
