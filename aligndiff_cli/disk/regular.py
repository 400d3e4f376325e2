"""Whether a path can be read to its end: a pipe waits for a writer, a device may have no end."""

from __future__ import annotations

import stat
from pathlib import Path

from aligndiff_cli.errors import InputError

KINDS = {stat.S_IFIFO: "a pipe", stat.S_IFSOCK: "a socket", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device"}


def regular(path: Path) -> Path:
    """The path, unless it is a pipe, a socket or a device; links are followed.

    Raises:
        InputError: it is one.
        OSError: there is no such file.
    """
    kind = KINDS.get(stat.S_IFMT(path.stat().st_mode))
    if kind is not None:
        raise InputError(f"is no file, but {kind}", path, "Remove it, or put the file in its place")
    return path
