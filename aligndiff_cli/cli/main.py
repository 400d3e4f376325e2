"""``aligndiff``: the command and its subcommands. Nothing here imports torch."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from aligndiff_cli import __version__
from aligndiff_cli.cli import compose, evaluate, export, generate, invert, mask, prepare, report, status
from aligndiff_cli.cli.command import add_command, add_stage
from aligndiff_cli.cli.interrupts import leave_at_once, work_is_done
from aligndiff_cli.cli.streams import drop_output, open_streams

OVERVIEW = """
Turn a handful of image-mask pairs of a new class into hundreds that train segmentation models.

The stages are run in this order, each reading folders and writing one:

support/ → [cyan]invert[/] → bank/ → [cyan]generate[/] → synth/ → [cyan]mask[/] → masks/
→ [cyan]compose[/] → scenes/ → [cyan]evaluate[/] → results/

Any stage can be stopped and run again: finished work is kept. `aligndiff STAGE --help` explains a stage.
"""

app = typer.Typer(
    name="aligndiff",
    help=OVERVIEW,
    rich_markup_mode="rich",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
add_command(app, "prepare", prepare.OPTIONS, prepare.__doc__ or "", prepare.work)
for name, stage in (("invert", invert), ("generate", generate), ("mask", mask), ("compose", compose)):
    add_stage(app, name, stage.OPTIONS, stage.__doc__ or "")
protocols = typer.Typer(help=evaluate.ABOUT, rich_markup_mode="rich", no_args_is_help=True)
app.add_typer(protocols, name="evaluate")
for name, (options, about) in evaluate.COMMANDS.items():
    add_stage(protocols, name, options, about)
add_stage(app, "export", export.OPTIONS, export.__doc__ or "")
add_command(app, "report", report.OPTIONS, report.__doc__ or "", report.work)
app.command(name="status")(status.command)


def _version(value: bool) -> None:
    if value:
        typer.echo(f"aligndiff {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Entry point of the console script."""
    leave_at_once()
    open_streams()
    try:
        try:
            app()
        finally:
            work_is_done()
            sys.stdout.flush()
    except BrokenPipeError:  # `aligndiff ... | head`
        drop_output()
        raise SystemExit(1) from None
    except OSError as error:
        drop_output()
        sys.stderr.write(f"Error standard output: cannot be written to ({error.strerror})\n")
        raise SystemExit(1) from None


if __name__ == "__main__":
    main()
