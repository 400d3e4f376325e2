"""Put a whole chain on one HTML page, from its folders alone ([bold]WORK/ → WORK/report/index.html[/]).

Each class is a row: its real pair, what v* draws, coarse mask, refined mask, a scene it is in; then the tables, the
settings and the commands that made it. A chain may be half done: the page says what is missing, and the next command.
It opens from the disk, without a network; a second run draws only the pictures that are new.

[dim]aligndiff report demo/[/]
"""

from __future__ import annotations

from contextlib import closing

import typer
from rich.markup import escape

from aligndiff_cli.cli.interrupts import work_begins
from aligndiff_cli.cli.session import announced, console, errors_reported, output, show_error, show_table
from aligndiff_cli.engine.progress import Bar
from aligndiff_cli.stages.options.report import ReportOptions

OPTIONS = ReportOptions


def work(options: ReportOptions, *, force: bool, quiet: bool) -> None:
    """Write the page, and say where it is."""
    with errors_reported(), announced(quiet), closing(Bar(quiet)) as progress:
        from aligndiff_cli.stages.report import TOLD, make_report

        work_begins()
        made = make_report(options, progress, force=force)
    for problem in made.problems[:TOLD]:
        show_error(problem, "[yellow]Not shown[/]")
    if len(made.problems) > TOLD:
        console.print(f"... and {len(made.problems) - TOLD} more")
    if not quiet:
        show_table(made.summary)
        output.print(f"{made.drawn} pictures drawn, {made.kept} already there.")
        output.print(f"Page: [bold]{escape(str(made.page))}[/]")
        if made.summary.next_command:
            output.print(f"Next: [cyan]{escape(made.summary.next_command)}[/]")
    if made.problems:
        raise typer.Exit(1)
