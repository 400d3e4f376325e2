"""``aligndiff status``: what is done, missing, changed or failed in any stage folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from aligndiff_cli.cli.command import VERIFY
from aligndiff_cli.cli.session import errors_reported, output
from aligndiff_cli.stages.options.shared import FOLDERS


def command(
    folders: Annotated[list[Path], typer.Argument(help="Stage folders to look into.", rich_help_panel=FOLDERS)],
    verify: VERIFY = False,
) -> None:
    """Say what each stage folder holds: done, missing, changed since, failed.

    Exit code 1 if anything is missing, changed or failed, or a folder is none of a stage.
    """
    with errors_reported():
        from rich.table import Table

        from aligndiff_cli.engine.status import UNKNOWN, look_at_all

        table = Table("folder", "stage", "done", "missing", "changed", "failed", "remarks")
        table.box, table.header_style, table.columns[0].overflow = None, "bold", "fold"
        states = look_at_all(folders, verify=verify)
        for state in states:
            known = (state.done, len(state.missing), len(state.changed), state.failed)
            counts = [UNKNOWN] * 4 if state.command == UNKNOWN else map(str, known)
            words = (str(state.folder), state.command, *counts, "; ".join(state.remarks))
            table.add_row(*map(escape, words))
        output.print(table, soft_wrap=False)
        for state in states:
            for label, names in (("missing", state.missing), ("changed", state.changed)):
                for name in names[:5]:
                    output.print(f"{label}: {state.folder / name}", markup=False)
        if any(state.missing or state.changed or state.failed or state.command == UNKNOWN for state in states):
            raise typer.Exit(1)
