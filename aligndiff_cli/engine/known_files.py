"""What a stage folder knows of the files that it was made from and holds: ``.files.jsonl``, so that a rerun need not
read them.

One line per file: its path relative to the folder, size, times, digests; of a sheet or a chart, a digest of what it was
drawn of, under "of". It is not part of what was made, and may be removed at any time: the next run reads the files
again. Like git's index, it is not believed of a file whose times are not older than its own, since the file may have
changed once more within a tick of the clock.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from sys import intern
from typing import Any

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.atomic import atomic_write
from aligndiff_cli.disk.digest import Known, KnownFiles, Stamp, absolute, is_former, using
from aligndiff_cli.errors import AligndiffError


@contextmanager
def known_files(folder: Path, *, verify: bool = False, fresh: bool = False) -> Iterator[KnownFiles]:
    """Look files up in what a folder knows of them while the block runs.

    Args:
        verify: believe nothing, and read all files again.
        fresh: whether what the folder holds is to be made again, so that its records do not count.
    """
    files = KnownFiles(former=not fresh and _of_former_version(folder))
    if not verify:
        files.known, files.known_sources = _read(folder)
    with using(files):
        yield files


def keep(folder: Path, files: KnownFiles, worker: str = "") -> None:
    """Write down what was read, in the worker's own file; that of a run alone replaces all.

    A folder that cannot be written to goes without.
    """
    if not (files.read or files.sources) or not folder.is_dir():
        return
    path = folder / layout.of_worker(layout.FILES, worker)
    root = absolute(folder)
    with suppress(AligndiffError, OSError), atomic_write(path) as file:
        for name, (stamp, digests) in {**files.known, **files.read}.items():
            relative = name[len(root) + 1 :] if name.startswith(f"{root}/") else os.path.relpath(name, root)
            file.write(json.dumps([relative, *stamp, *digests]).encode() + b"\n")
        for name, (stamp, digest) in {**files.known_sources, **files.sources}.items():
            file.write(json.dumps([os.path.relpath(name, root), *stamp, {"of": digest}]).encode() + b"\n")
    if not worker:
        with suppress(OSError):
            for other in layout.with_workers(folder, layout.FILES):
                if other != path:
                    other.unlink()


def _read(folder: Path) -> tuple[dict[str, Known], dict[str, tuple[Stamp, str]]]:
    """Absolute path -> what is known of files and of pictures; less those that may have changed since."""
    root = absolute(folder)
    files: dict[str, Known] = {}
    sources: dict[str, tuple[Stamp, str]] = {}
    with suppress(OSError):
        for path in layout.with_workers(folder, layout.FILES):
            with path.open("rb") as file:
                written = os.fstat(file.fileno()).st_mtime_ns
                for line in file:
                    try:
                        name, size, mtime, ctime, *told = json.loads(line)
                        stamp, place = Stamp(int(size), int(mtime), int(ctime)), os.path.normpath(f"{root}/{name}")
                    except (ValueError, TypeError, RecursionError):
                        continue
                    if told and isinstance(told[0], dict):
                        sources[place] = stamp, str(told[0].get("of"))
                    elif not stamp.is_new_at(written):
                        files[place] = stamp, tuple(intern(str(digest)) for digest in told)
    return files, sources


def _of_former_version(folder: Path) -> bool:
    """Whether the folder's first record has digests of the former kind; so have the others, then."""
    with suppress(OSError):
        for path in layout.with_workers(folder, layout.MANIFEST):
            with path.open("rb") as file:
                for line in file:
                    outputs = _outputs(line)
                    if outputs:
                        return all(map(is_former, outputs))
    return False


def _outputs(line: bytes) -> list[str]:
    try:
        record: Any = json.loads(line)
        return [digest for digest in record["outputs"].values() if isinstance(digest, str)]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return []
