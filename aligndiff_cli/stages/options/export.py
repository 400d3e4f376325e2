"""Options of `aligndiff export`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from aligndiff_cli.engine.options import Flag
from aligndiff_cli.stages.options.shared import FOLDERS, Format, License, MinArea, OutputOptions, ValShare


@dataclass(frozen=True, kw_only=True)
class ExportOptions(OutputOptions):
    """How masks and their images are written for other programs."""

    command: ClassVar[str] = "export"
    stage: ClassVar[str] = "aligndiff_cli.stages.export:ExportStage"

    masks: Annotated[Path, Flag("Refined masks, from `aligndiff mask`; they know their images.", FOLDERS)]
    format: Format = "voc"
    license: License = ""
    val_share: ValShare = 0.0
    min_area: MinArea = 16
