"""Make support, base and query folders of a data set.

PASCAL-5i (VOC 2012 with SBD), COCO-20i and FSS-1000 are read as they are unpacked: counts are checked, what is
missing is named with where it is had, and photographs are linked, not copied. The emoji data sets are rendered; the
artists' drawings are fetched from the npm registry unless --icons names them. What is drawn follows from the seed.
Of your own annotations, the largest and cleanest examples of each wanted class become support, the others query, and
pictures of the other classes base.

[dim]aligndiff prepare pascal-5i --root VOCdevkit/ --fold 3 --shots 1 --out data/pascal-5-3[/]

[dim]aligndiff prepare emoji-5i --fold 3 --shots 1 --out data/emoji-5-3[/]

[dim]aligndiff prepare own --annotations instances.json --classes "mug,tea pot" --shots 5 --out data/mugs[/]
"""

from __future__ import annotations

from contextlib import closing, nullcontext

import typer
from rich.markup import escape

from aligndiff_cli.cli.interrupts import work_begins
from aligndiff_cli.cli.session import announced, console, errors_reported, output, show_error, show_table
from aligndiff_cli.engine.progress import Bar
from aligndiff_cli.stages.options.prepare import PrepareOptions

OPTIONS = PrepareOptions
NAMED, FAILURES = 20, "failures.jsonl"
"""Problems shown one by one; all of them are in the file."""


def work(options: PrepareOptions, *, force: bool, quiet: bool) -> None:
    """Make the folders, and say what is in them."""
    rendered = options.dataset.startswith("emoji") and not quiet
    with (
        errors_reported(),
        announced(quiet),
        console.status("rendering ...", spinner="dots") if rendered else nullcontext(),
        closing(Bar(quiet or rendered)) as progress,
    ):
        from aligndiff_cli.stages.prepare import prepare

        options.check_apart()
        work_begins()
        prepared = prepare(options, progress, force=force)
    for warning in () if quiet else prepared.warnings:
        console.print(f"[yellow]Note[/] {escape(warning)}")
    for problem in prepared.problems[:NAMED]:
        show_error(problem, "[yellow]Skipped[/]")
    if len(prepared.problems) > NAMED:
        more = len(prepared.problems) - NAMED
        console.print(f"[yellow]Skipped[/] {more} more, which {escape(str(options.out / FAILURES))} tells")
    if not quiet:
        for table in prepared.tables:
            show_table(table)
        for name, what in prepared.made.items():
            output.print(f"[bold]{escape(str(options.out / name))}[/]  {escape(what)}")
        support = f"aligndiff invert --images {options.out}/support --out bank/" if "support" in prepared.made else ""
        following = f" Next: [cyan]{escape(support)}[/]" if support else ""
        for picture in prepared.pictures:
            output.print(f"Picture: {escape(str(picture))}")
        output.print(f"{'Already there.' if prepared.kept else 'Made.'}{following}")
    if prepared.problems:
        raise typer.Exit(1)
