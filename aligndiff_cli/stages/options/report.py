"""Options of `aligndiff report`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from aligndiff_cli.engine.options import Flag, Options
from aligndiff_cli.stages.options.shared import FOLDERS


@dataclass(frozen=True, kw_only=True)
class ReportOptions(Options):
    """Which folders are shown, and where the page goes."""

    command: ClassVar[str] = "report"
    stage: ClassVar[str] = "aligndiff_cli.stages.report:make_report"

    work: Annotated[
        Path,
        Flag(
            "Folder that holds the stage folders of a chain, or of several, at any depth.",
            FOLDERS,
            positional=True,
            reads=False,  # the page may lie inside it
        ),
    ]
    out: Annotated[
        Path | None,
        Flag("Folder of the page, index.html, and its pictures.", FOLDERS, unset="WORK/report", short="-o"),
    ] = None
    per_class: Annotated[
        int, Flag("Most samples and scenes shown of each class, spread evenly; 0 for all.", FOLDERS, 0)
    ] = 200

    @property
    def page_folder(self) -> Path:
        """Where the page goes."""
        return self.out or self.work / "report"
