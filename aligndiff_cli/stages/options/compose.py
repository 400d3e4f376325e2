"""Options of `aligndiff compose`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from aligndiff_cli.engine.options import Flag
from aligndiff_cli.errors import UsageError
from aligndiff_cli.stages.options.shared import (
    FOLDERS,
    METHOD,
    MOST_SCALE,
    Format,
    License,
    MaskOrientation,
    MinArea,
    ScaleOf,
    SeededOptions,
    SupportMasks,
    ValShare,
)


@dataclass(frozen=True, kw_only=True)
class ComposeOptions(SeededOptions):
    """How objects are pasted onto base images."""

    command: ClassVar[str] = "compose"
    stage: ClassVar[str] = "aligndiff_cli.stages.compose:ComposeStage"

    foregrounds: Annotated[Path, Flag("Refined masks, from `aligndiff mask`; they know their images.", FOLDERS)]
    base: Annotated[
        Path,
        Flag(
            "Base images with labels: a VOC folder (JPEGImages/, SegmentationClass/, ImageSets/Segmentation/train.txt),"
            " or COCO's instances JSON or the folder that holds it.",
            FOLDERS,
        ),
    ]
    support: Annotated[
        Path | None, Flag("Real pairs to paste as well; they count with the inverted ones (D.3).", FOLDERS)
    ] = None
    unlabelled: Annotated[
        bool,
        Flag(
            "The base is any folder of photographs, of which nothing is known: all but what is pasted is background.",
            FOLDERS,
        ),
    ] = False
    support_masks: SupportMasks = None
    mask_orientation: MaskOrientation = "auto"
    format: Format = "voc"
    license: License = ""
    val_share: ValShare = 0.0
    count: Annotated[int, Flag("Scenes; a later run may ask for more.", METHOD, 1, decides=False)] = 500
    memory: Annotated[int, Flag("Base images kept, class-balanced (3.5).", METHOD, 1)] = 500
    max_objects: Annotated[int, Flag("Objects per scene, from 1 (D.2).", METHOD, 1)] = 3
    scale_low: Annotated[float, Flag("Smallest scale (D.2).", METHOD, 0.001, MOST_SCALE)] = 0.1
    scale_high: Annotated[float, Flag("Largest scale (D.2).", METHOD, 0.001, MOST_SCALE)] = 2.0
    scale_of: Annotated[
        ScaleOf,
        Flag(
            "What scale 1 is: frame (the object's picture fitted into the base image, whatever their sizes) or pixels "
            "(as large as in its picture; D.2 as printed, GAPS).",
            METHOD,
        ),
    ] = "frame"
    inverted_share: Annotated[
        float,
        Flag("Share of objects that are inverted or real; the rest has text prompts (D.3).", METHOD, 0, 1),
    ] = 0.5
    min_area: MinArea = 16

    def check(self) -> None:
        if self.scale_low > self.scale_high:
            raise UsageError(f"expected --scale-low <= --scale-high, got {self.scale_low} and {self.scale_high}")
