"""What is said of a folder's inputs and failures."""

from __future__ import annotations

import os
from pathlib import Path

from aligndiff_cli.engine.failures import write_failures
from aligndiff_cli.engine.run_file import RunFile, write_run
from aligndiff_cli.engine.status import look
from aligndiff_cli.errors import InputError


def test_inputs_of_all_folds_and_runs_are_found(tmp_path: Path) -> None:
    out = tmp_path / "[results]"
    write_run(out, RunFile("evaluate", {}, 0, {"masks": "../{fold}/masks-{run}", "query": "../{fold}/query"}))
    write_run(tmp_path / "3" / "masks-1", RunFile("mask", {}, 0))
    os.utime(tmp_path / "3" / "masks-1" / "run.yaml", (1, 1))
    assert look(out).remarks == ["query ../{fold}/query is not there any more"]
    os.utime(out / "run.yaml", (0, 0))
    assert look(out).remarks[0] == "stale: masks ../{fold}/masks-{run} was made again since"


def test_failures_of_files_with_odd_names_are_counted_once_each(tmp_path: Path) -> None:
    write_run(tmp_path, RunFile("invert", {}, 0))
    write_failures(
        tmp_path, [InputError("is bad", tmp_path / "a\u2028b.png"), InputError("is bad", tmp_path / "c.png")]
    )
    assert look(tmp_path).failed == 2
