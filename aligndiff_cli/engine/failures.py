"""``failures.jsonl``: what a run had to skip; a worker writes its own until all are brought together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.atomic import write_error, write_text
from aligndiff_cli.disk.regular import regular
from aligndiff_cli.engine.schema import TEXT, check_fields, check_known
from aligndiff_cli.errors import AligndiffError, FolderError, InputError

FIELDS = {"what": TEXT, "where": TEXT, "remedy": TEXT}
REMEDY = "Remove it and run the stage again: what failed is tried again"


def write_failures(folder: Path, problems: Sequence[AligndiffError], worker: str = "") -> None:
    """Leave a file if something failed, and none if nothing did; without a ``worker``, those of all workers go.

    Raises:
        FolderError: a file cannot be written or removed.
    """
    path = folder / layout.of_worker(layout.FAILURES, worker)
    try:
        for old in [path] if worker else layout.with_workers(folder, layout.FAILURES):
            old.unlink(missing_ok=True)
    except OSError as error:
        raise write_error(error, path) from error
    if problems:
        lines = [{"what": p.what, "where": str(p.where or ""), "remedy": p.remedy or ""} for p in problems]
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
        # the name of a file need not be text
        write_text(path, text.encode("utf-8", "backslashreplace").decode())


def read_failures(folder: Path) -> list[AligndiffError]:
    """What all failure files of a folder tell; what several workers met counts once.

    Raises:
        FolderError: a file cannot be read, or a line of it is no failure.
    """
    found: dict[str, AligndiffError] = {}
    for path in layout.with_workers(folder, layout.FAILURES):
        for number, line in enumerate(_lines(path), start=1):
            if line and line not in found:
                found[line] = _parse(path, number, line)
    return list(found.values())


def _lines(path: Path) -> list[str]:
    try:
        return regular(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError, InputError) as error:
        raise FolderError("cannot be read", path, REMEDY) from error


def _parse(path: Path, number: int, line: str) -> AligndiffError:
    try:
        data = json.loads(line)
        check_fields(data, FIELDS)
        check_known(data, FIELDS)
    except (ValueError, RecursionError) as error:
        raise FolderError(f"line {number} is not a failure ({error})", path, REMEDY) from error
    return AligndiffError(**data)
