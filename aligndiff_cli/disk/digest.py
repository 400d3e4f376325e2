"""Content digests: what tells that an input or an output is still the one a record speaks of.

A file is read again only where its size or its times are others than when it was last read (see ``KnownFiles``; what is
known is kept by ``engine/known_files.py``). Digests are SHA-256. Those of 32 digits, BLAKE2b-128, are of former
versions: what they made is compared by theirs.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from aligndiff_cli.disk.regular import regular
from aligndiff_cli.errors import InputError

FORMER_DIGITS = 32
"""Hexadecimal digits of a digest by former versions."""
FINE_TICK, COARSE_TICK = 20_000_000, 2_000_000_000
"""Nanoseconds in which a file may change twice and keep its times: of usual clocks, and of those that tell whole
milliseconds or less (FAT tells 2 s)."""


class Stamp(NamedTuple):
    """Size in bytes and times in ns; ``ctime`` follows a change even where ``mtime`` was set back after it."""

    size: int
    mtime: int
    ctime: int

    @classmethod
    def of(cls, status: os.stat_result) -> Stamp:
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns)

    @property
    def latest(self) -> int:
        """The later of the two times."""
        return max(self.mtime, self.ctime)

    @property
    def coarse(self) -> bool:
        """Whether the clock of its file system is a coarse one."""
        return self.latest % 1_000_000 == 0

    def is_new_at(self, moment: int) -> bool:
        """Whether a file that changes at this moment might keep its stamp."""
        return moment < self.latest + (COARSE_TICK if self.coarse else FINE_TICK)


Known = tuple[Stamp, tuple[str, ...]]
"""A file as it was read, and its digests of either kind."""


@dataclass
class KnownFiles:
    """Digests by absolute path, so that files need not be read.

    Attributes:
        former: whether new digests are of the former kind.
        known: from before.
        read: of files that this process has read.
        known_sources, sources: absolute path of a picture -> its stamp, and a digest of what it was drawn of; from
            before, and drawn by this process.
    """

    former: bool = False
    known: Mapping[str, Known] = field(default_factory=dict)
    read: dict[str, Known] = field(default_factory=dict)
    known_sources: Mapping[str, tuple[Stamp, str]] = field(default_factory=dict)
    sources: dict[str, tuple[Stamp, str]] = field(default_factory=dict)

    def digest(self, path: Path | str, former: bool) -> str:
        """The digest of a file, of the former kind or not (OSError if it cannot be read)."""
        name = absolute(path)
        status = os.stat(name)  # noqa: PTH116  thousands are asked for, and a Path costs more than the answer
        stamp, digests = self.known.get(name, (None, ()))
        if stamp == Stamp.of(status) and stat.S_ISREG(status.st_mode):
            for digest in digests:
                if is_former(digest) == former:
                    return digest
        with regular(Path(path)).open("rb") as file:
            before = Stamp.of(os.fstat(file.fileno()))
            digest = hashlib.file_digest(file, lambda: _algorithm(former)).hexdigest()
            after = Stamp.of(os.fstat(file.fileno()))
        # a coarse clock may not tell of a change that comes after this
        if before == after and not (after.coarse and after.is_new_at(time.time_ns())):
            there = self.read.get(name) or self.known.get(name)
            others = there[1] if there and there[0] == after else ()
            self.read[name] = after, (digest, *(own for own in others if is_former(own) != former))
        return digest


_current = KnownFiles()


@contextmanager
def using(files: KnownFiles) -> Iterator[None]:
    """Look files up here while the block runs."""
    global _current
    before, _current = _current, files
    try:
        yield
    finally:
        _current = before


@contextmanager
def as_in(digest: str) -> Iterator[None]:
    """Take digests of the kind that this one is of while the block runs, to compare them with it."""
    before, _current.former = _current.former, is_former(digest)
    try:
        yield
    finally:
        _current.former = before


def absolute(path: Path | str) -> str:
    """The name by which a file is known: links stay as they are."""
    return os.path.abspath(path)  # noqa: PTH100


def is_former(digest: str) -> bool:
    """Whether a digest is of the former kind."""
    return len(digest) == FORMER_DIGITS


def file_digest(path: Path | str, *, former: bool | None = None) -> str:
    """A digest of the file's bytes, in hexadecimal digits: SHA-256, or BLAKE2b-128 of the former kind.

    Args:
        former: which; None for that of the run, see `KnownFiles`.

    Raises:
        InputError: the file is missing, unreadable or no regular one.
    """
    try:
        return _current.digest(path, _current.former if former is None else former)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path) from error


def has_digest(path: Path | str, digest: str | None) -> bool:
    """Whether a file's bytes are those that a digest of either kind was taken of.

    Raises:
        InputError: the file is missing, unreadable or no regular one.
    """
    return digest is not None and file_digest(path, former=is_former(digest)) == digest


def joint_digest(digests: Mapping[str, str], *, former: bool | None = None) -> str:
    """One digest for a set of named digests, whatever their order; which kind as in `file_digest`."""
    text = "\n".join(f"{name} {digests[name]}" for name in sorted(digests))
    digest = _algorithm(_current.former if former is None else former)
    digest.update(text.encode())
    return digest.hexdigest()


def is_drawn_of(path: Path, digest: str) -> bool:
    """Whether a picture is there that was drawn of what has this digest, and was not changed since."""
    try:
        return _current.known_sources.get(absolute(path)) == (Stamp.of(path.stat()), digest)
    except OSError:
        return False


def now_drawn_of(path: Path, digest: str) -> None:
    """Keep in mind what a picture was drawn of."""
    _current.sources[absolute(path)] = Stamp.of(path.stat()), digest


def _algorithm(former: bool) -> Any:
    return hashlib.blake2b(digest_size=FORMER_DIGITS // 2) if former else hashlib.sha256()
