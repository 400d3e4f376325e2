"""Options of `aligndiff prepare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from aligndiff_cli.engine.options import GIVEN, Flag
from aligndiff_cli.errors import UsageError
from aligndiff_cli.stages.options.shared import FOLDERS, METHOD, MODEL, Orientation, SeededOptions

EMOJI = "Data sets of emoji"
_PHOTOGRAPHS = ("pascal-5i", "coco-20i", "fss-1000")


def _of(*datasets: str) -> dict[str, tuple[Any, ...]]:
    return {"dataset": datasets}


@dataclass(frozen=True, kw_only=True)
class PrepareOptions(SeededOptions):
    """Which data set, and what of it."""

    command: ClassVar[str] = "prepare"
    stage: ClassVar[str] = "aligndiff_cli.stages.prepare:prepare"

    dataset: Annotated[
        Literal["pascal-5i", "coco-20i", "fss-1000", "emoji-5i", "emoji-fss", "own"],
        Flag(
            "pascal-5i, coco-20i (folds with base and novel classes), fss-1000 (many classes, one object each), or "
            "their likes in emoji: emoji-5i, emoji-fss; own: your annotations (COCO, LabelMe, VOC or YOLO).",
            FOLDERS,
            positional=True,
        ),
    ]
    root: Annotated[
        Path | None,
        Flag(
            "The data set as it is unpacked: VOCdevkit/; COCO's folder of annotations/ and train2017/; FSS-1000's "
            "folder of classes.",
            FOLDERS,
            of=_of(*_PHOTOGRAPHS),
        ),
    ] = None
    sbd: Annotated[
        Path | None,
        Flag(
            "pascal-5i: folder of SBD's label maps (.mat or PNG).",
            FOLDERS,
            unset="looked for in --root",
            of=_of("pascal-5i"),
        ),
    ] = None
    label_maps: Annotated[
        Path | None,
        Flag(
            "coco-20i, pascal-5i: where label maps made of polygons or .mat files are kept; folds may share it.",
            FOLDERS,
            unset="<out>/label_maps",
            reads=False,
            decides=False,
            of=_of("coco-20i", "pascal-5i"),
        ),
    ] = None
    annotations: Annotated[
        Path | None,
        Flag(
            "own: COCO's instances JSON or its folder; a folder of LabelMe's JSON files; a folder of JPEGImages/ and "
            "SegmentationClass/; a YOLO folder of data.yaml, images/ and labels/.",
            FOLDERS,
            of=_of("own"),
        ),
    ] = None
    images: Annotated[
        Path | None,
        Flag("own: folder of the pictures.", FOLDERS, unset="where the annotations say", of=_of("own")),
    ] = None
    classes: Annotated[
        str | None, Flag('own: the wanted classes, with commas: "mug,tea pot".', FOLDERS, of=_of("own"))
    ] = None
    mask_orientation: Annotated[
        Orientation,
        Flag(
            "own: what was annotated where a photograph has an EXIF orientation: the photograph as it is shown, or its "
            "stored pixels. auto: what fits; if both do, as it is shown, and says so.",
            FOLDERS,
            of=_of("own"),
        ),
    ] = "auto"
    boxes: Annotated[
        str | None,
        Flag(
            "own: a SAM or SAM 2 that makes masks of boxes (COCO's without a segmentation, LabelMe's rectangles, "
            "YOLO's lines of five numbers, VOC's XML): a folder or hub id, e.g. facebook/sam-vit-base.",
            MODEL,
            unset="boxes are left out",
            reads=True,
            of=_of("own"),
        ),
    ] = None
    device: Annotated[str, Flag("auto, cpu, cuda, cuda:N or mps.", MODEL, decides=False, of={"boxes": GIVEN})] = "auto"
    partial: Annotated[bool, Flag("Go on with a data set that is not complete.", FOLDERS, of=_of(*_PHOTOGRAPHS))] = (
        False
    )
    fold: Annotated[
        int,
        Flag(
            "Fold, where there are any: which classes are novel.",
            METHOD,
            0,
            3,
            of=_of("pascal-5i", "coco-20i", "emoji-5i"),
        ),
    ] = 0
    fold_layout: Annotated[
        Literal["interleaved", "contiguous"],
        Flag(
            "coco-20i: interleaved (every fourth class is novel; HSNet, GAPS, PIFS) or contiguous (SSP).",
            METHOD,
            of=_of("coco-20i"),
        ),
    ] = "interleaved"
    year: Annotated[
        int, Flag("coco-20i: release 2014 (HSNet, GFS-Seg) or 2017 (GAPS, PIFS).", METHOD, 0, of=_of("coco-20i"))
    ] = 2017
    split: Annotated[
        Literal["train", "val", "test"],
        Flag("fss-1000, emoji-fss: which classes.", METHOD, of=_of("fss-1000", "emoji-fss")),
    ] = "test"
    shots: Annotated[int, Flag("Support pairs per class.", METHOD, 1)] = 1
    min_object: Annotated[
        int,
        Flag(
            "pascal-5i, coco-20i, own: fewest pixels of the class in a support picture (the published protocols: 1; "
            "1024 leaves out what COCO calls small).",
            METHOD,
            1,
            of=_of("pascal-5i", "coco-20i", "own"),
        ),
    ] = 1
    icons: Annotated[
        Path | None,
        Flag(
            "Folder with the artists' npm packages, packed or unpacked.",
            EMOJI,
            unset="fetched with npm pack",
            of=_of("emoji-5i", "emoji-fss"),
        ),
    ] = None
    per_class: Annotated[int, Flag("emoji-fss: further pictures per class.", EMOJI, 1, of=_of("emoji-fss"))] = 10
    scenes: Annotated[int, Flag("emoji-5i: base scenes, and query scenes.", EMOJI, 1, of=_of("emoji-5i"))] = 500

    def check(self) -> None:
        if self.dataset == "own" and (self.annotations is None or self.classes is None):
            missing = "--annotations" if self.annotations is None else "--classes"
            raise UsageError(f"own needs {missing}", remedy='Give --annotations FILE or DIR and --classes "a,b"')
