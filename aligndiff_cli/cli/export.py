"""``aligndiff export``: masks and their images, as they are, in the form other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aligndiff_cli.cli import flags
from aligndiff_cli.cli.flags import FOLDERS, METHOD
from aligndiff_cli.cli.session import run

NAME = "export"


def command(
    masks: Annotated[
        Path,
        typer.Option(help="Refined masks, from `aligndiff mask`; they know their images.", rich_help_panel=FOLDERS),
    ],
    out: flags.Out,
    output_format: flags.Format = "voc",
    min_area: Annotated[
        int,
        typer.Option(callback=flags.at_least(1), help="Fewest pixels of a COCO instance.", rich_help_panel=METHOD),
    ] = 16,
    shard: flags.Shard = None,
    config: flags.Config = None,
    force: flags.Force = False,
    quiet: flags.Quiet = False,
) -> None:
    """Write the synthetic images and their masks as they are, uncomposed ([bold]masks/ → a data set[/]).

    Each image shows one object; a sample whose mask is empty is left out.

    [dim]aligndiff export --masks masks/ --format hf --out dataset/[/]
    """

    def stage():  # type: ignore[no-untyped-def]
        from aligndiff_cli.stages.export import ExportOptions, ExportStage

        return ExportStage(ExportOptions(masks=masks, out=out, format=output_format, min_area=min_area))

    run(stage, shard=shard, force=force, quiet=quiet)
