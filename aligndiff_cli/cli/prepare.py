"""``aligndiff prepare``: a data set -> the folders the stages read."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from aligndiff_cli.cli import flags
from aligndiff_cli.cli.flags import FOLDERS, METHOD
from aligndiff_cli.cli.session import console, errors_reported, output

NAME = "prepare"


def command(
    dataset: Annotated[
        str,
        typer.Argument(
            help="emoji-5i (20 classes in 4 folds, scenes) or emoji-fss (many classes, one object each).",
            rich_help_panel=FOLDERS,
        ),
    ],
    out: flags.Out,
    icons: Annotated[
        Path | None,
        typer.Option(
            help="Folder with the artists' npm packages, packed or unpacked.",
            show_default="fetched with npm pack",
            rich_help_panel=FOLDERS,
        ),
    ] = None,
    fold: Annotated[
        int, typer.Option(min=0, max=3, help="emoji-5i: which five classes are novel.", rich_help_panel=METHOD)
    ] = 0,
    split: Annotated[str, typer.Option(help="emoji-fss: train, val or test.", rich_help_panel=METHOD)] = "test",
    shots: Annotated[
        int, typer.Option(callback=flags.at_least(1), help="Support pairs per class.", rich_help_panel=METHOD)
    ] = 1,
    per_class: Annotated[
        int,
        typer.Option(callback=flags.at_least(1), help="emoji-fss: further pictures per class.", rich_help_panel=METHOD),
    ] = 10,
    scenes: Annotated[
        int,
        typer.Option(
            callback=flags.at_least(1), help="emoji-5i: base scenes, and query scenes.", rich_help_panel=METHOD
        ),
    ] = 500,
    seed: flags.Seed = 0,
    force: flags.Force = False,
    quiet: flags.Quiet = False,
) -> None:
    """Render one of the emoji data sets into support, base and query folders.

    The artists' drawings are fetched from the npm registry unless --icons names them; everything else follows from the
    seed.

    [dim]aligndiff prepare emoji-5i --fold 3 --shots 1 --out data/emoji-5-3[/]
    """
    with errors_reported(), console.status("rendering ...", spinner="dots") if not quiet else nullcontext():
        from aligndiff_cli.stages.prepare import PrepareOptions, prepare

        made = prepare(PrepareOptions(dataset, out, icons, fold, split, shots, per_class, scenes, seed), force=force)
    if not quiet:
        for name, what in made:
            output.print(f"[bold]{out / name}[/]  {what}", soft_wrap=True)
        output.print(f"Next: [cyan]aligndiff invert --images {out}/support --out bank/[/]", soft_wrap=True)
