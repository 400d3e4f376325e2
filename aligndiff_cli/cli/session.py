"""What surrounds every subcommand: errors without tracebacks, exit codes, progress, the closing table."""

from __future__ import annotations

import errno
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from aligndiff_cli.cli.interrupts import INTERRUPTED, WORKING, follows, work_begins
from aligndiff_cli.engine.progress import Bar, aside
from aligndiff_cli.errors import AligndiffError, FolderError, ModelError, first_line

if TYPE_CHECKING:
    from aligndiff_cli.engine.runner import Outcome
    from aligndiff_cli.engine.stage import Stage, Summary
    from aligndiff_cli.table import Table

PATIENCE = 5.0
"""Seconds that a launcher's other workers leave the first to tell an error which all of them meet."""
UNLIMITED = 10_000
"""Columns of a file or a pipe, where a table need not cut its cells."""
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EBADF)
"""What standard output answers where its disk is full, or its terminal gone."""
SHORTAGES = ("can't allocate memory", "not enough memory", "out of memory")
"""Words of torch where main memory, or that of a device without an error of its own, runs out."""

console = Console(stderr=True, highlight=False, soft_wrap=True)
output = Console(highlight=False, soft_wrap=True)
if not output.is_terminal:
    output.width = UNLIMITED


@contextmanager
def errors_reported() -> Iterator[None]:
    """Turn our own errors, an interrupt, and what a machine may run out of into a message and an exit code.

    Interrupts are exceptions where this is not a program of its own, see :mod:`aligndiff_cli.cli.interrupts`.
    """
    try:
        yield
    except AligndiffError as error:
        _leave(error)
    except KeyboardInterrupt:
        if not follows():
            console.print(WORKING)
        raise typer.Exit(INTERRUPTED) from None
    except (RuntimeError, MemoryError) as error:
        if not _out_of_memory(error):
            raise
        remedy = "Finished work is kept; run again with a smaller --batch, smaller images, or --offload where known"
        _leave(ModelError("the device has not enough memory for this", remedy=remedy))
    except BrokenPipeError:
        raise
    except OSError as error:  # of a file or a folder that nobody thought of, or of standard output
        remedy = "Finished work is kept; run the same command again to go on"
        where = "standard output" if error.filename is None and error.errno in NO_ROOM else error.filename
        _leave(FolderError(f"cannot be used ({error.strerror or first_line(error)})", where, remedy))


def _leave(error: AligndiffError) -> NoReturn:
    if follows():
        time.sleep(PATIENCE)  # once the first has told it and left, the launcher ends this process
    show_error(error)
    raise typer.Exit(error.exit_code) from None


def _out_of_memory(error: RuntimeError | MemoryError) -> bool:
    torch = sys.modules.get("torch")  # not imported for this: without it there is no such error
    if isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError)):
        return True
    return any(words in str(error) for words in SHORTAGES)


def show_error(error: AligndiffError, label: str = "[bold red]Error[/]") -> None:
    """One message: what and where, then the remedy on its own line."""
    where = f"{escape(str(error.where))}: " if error.where is not None else ""
    console.print(f"{label} {where}{escape(error.what)}")
    if error.remedy:
        console.print(f"      {escape(error.remedy)}")


def run(make_stage: Callable[[], Stage], *, shard: str | None, verify: bool, force: bool, quiet: bool) -> None:
    """Run one stage, or a share of it, from the command line and leave with its exit code."""
    quiet = quiet or follows()
    with errors_reported():
        from aligndiff_cli.engine.runner import run_stage
        from aligndiff_cli.engine.workers import join_team

        with announced(quiet):
            team = join_team(shard)
            stage = make_stage()
            for note in () if quiet else stage.notes:
                console.print(f"[dim]{escape(note)}[/]")
            work_begins()
            with closing(Bar(quiet)) as progress:
                outcome = run_stage(stage, progress, force=force, verify=verify, team=team)
        report(stage.out, outcome, quiet)
        if outcome.problems:
            raise typer.Exit(1)


class _Announcements(logging.Handler):
    """Prints what the package logs, such as a download about to begin: each line once, and a few of one kind."""

    ALIKE = 3

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[str, dict[str, None]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        kind, message = str(record.msg), record.getMessage()
        told = self._told.setdefault(kind, {})
        if message not in told and len(told) < self.ALIKE:
            with aside():
                console.print(escape(message))
        told[message] = None

    def told_in_full(self) -> None:
        """Say how many lines of each kind were left out."""
        for told in self._told.values():
            if len(told) > self.ALIKE:
                first = next(iter(told))
                console.print(f"... and {len(told) - self.ALIKE} more like: {escape(first)}")


@contextmanager
def announced(quiet: bool) -> Iterator[None]:
    """Show the package's log lines from INFO on, unless quiet."""
    if quiet:
        yield
        return
    log, handler = logging.getLogger("aligndiff_cli"), _Announcements()
    log.setLevel(logging.INFO)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)
        handler.told_in_full()


def report(out: Path, outcome: Outcome, quiet: bool) -> None:
    """The end of a stage: what was skipped and why, the table, the places, the next command."""
    for problem in outcome.problems:
        show_error(problem, "[yellow]Skipped[/]")
    if quiet:
        return
    for item in outcome.stale[:5]:
        console.print(
            f"[yellow]Note[/] {escape(item)} is in {escape(str(out))} but no longer planned; it is left there"
        )
    show_table(outcome.summary)
    skipped = f", {len(outcome.problems)} skipped" if outcome.problems else ""
    output.print(f"{outcome.made} made, {outcome.kept} already there{skipped}. Results: [bold]{escape(str(out))}/[/]")
    for picture in outcome.summary.pictures[:3]:
        output.print(f"Picture: {escape(str(picture))}")
    if outcome.summary.next_command:
        output.print(f"Next: [cyan]{escape(outcome.summary.next_command)}[/]")


def show_table(summary: Summary | Table) -> None:
    """Print a short table."""
    from rich import table as rich_table

    if not summary.rows:
        return
    table = rich_table.Table(*summary.columns, box=None, pad_edge=False, header_style="bold")
    for row in summary.rows:
        table.add_row(*(escape(cell) for cell in row))
    output.print(table, soft_wrap=False)
