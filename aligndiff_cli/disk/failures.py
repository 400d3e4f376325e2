"""``failures.jsonl``: what a run had to skip; a worker writes its own until all are brought together."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.errors import AligndiffError


def write_failures(folder: Path, problems: Sequence[AligndiffError], worker: str = "") -> None:
    """Leave a file if something failed, and none if nothing did; without a ``worker``, those of all workers go."""
    path = folder / layout.of_worker(layout.FAILURES, worker)
    for old in [path] if worker else folder.glob(layout.FAILURES_GLOB):
        old.unlink(missing_ok=True)
    if problems:
        lines = [{"what": p.what, "where": str(p.where or ""), "remedy": p.remedy or ""} for p in problems]
        write_text(path, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def read_failures(folder: Path) -> list[AligndiffError]:
    """What all failure files of a folder tell; what several workers met counts once."""
    paths = sorted(folder.glob(layout.FAILURES_GLOB))
    lines = dict.fromkeys(line for path in paths for line in path.read_text(encoding="utf-8").split("\n"))
    return [AligndiffError(**json.loads(line)) for line in lines if line]
