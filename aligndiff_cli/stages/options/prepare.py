"""Options of `aligndiff prepare`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from aligndiff_cli.engine.options import Flag
from aligndiff_cli.stages.options.shared import FOLDERS, METHOD, SeededOptions

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
        Literal["pascal-5i", "coco-20i", "fss-1000", "emoji-5i", "emoji-fss"],
        Flag(
            "pascal-5i, coco-20i (folds with base and novel classes), fss-1000 (many classes, one object each), or "
            "their likes in emoji: emoji-5i, emoji-fss.",
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
            "pascal-5i, coco-20i: fewest pixels of the class in a support picture (the published protocols: 1; 1024 "
            "leaves out what COCO calls small).",
            METHOD,
            1,
            of=_of("pascal-5i", "coco-20i"),
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
