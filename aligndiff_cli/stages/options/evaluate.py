"""Options of `aligndiff evaluate masks`, `fss` and `gfss`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from aligndiff_cli.engine.folds import FOLD, RUN, check_folds
from aligndiff_cli.engine.options import GIVEN, Flag, Options, options_of
from aligndiff_cli.errors import UsageError
from aligndiff_cli.stages.options.shared import (
    FOLDERS,
    METHOD,
    MODEL,
    MOST_PIXELS,
    MOST_SCALE,
    Device,
    MaskOrientation,
    ScaleOf,
    SeededOptions,
    SegmenterOptions,
    SupportMasks,
)

BASE_STAGE = "Training on the base classes (defaults are the paper's, or smaller for the bundled backbone)"
NOVEL_STAGE = "Learning the novel classes (defaults are the paper's, or smaller for the bundled backbone)"
_SAMPLES = {"masks": GIVEN}

Fold = Annotated[
    str, Flag("Fold, or several as 0,1,2,3: fills {fold} in the paths.", FOLDERS, unset="none", decides=False)
]
Runs = Annotated[int, Flag("Runs per fold (paper: 5); fills {run} in the paths.", FOLDERS, 1, 1000, decides=False)]


@dataclass(frozen=True, kw_only=True)
class MasksOptions(SeededOptions):
    """Which masks are judged by which."""

    command: ClassVar[str] = "evaluate masks"
    stage: ClassVar[str] = "aligndiff_cli.stages.evaluate_masks:MasksStage"

    predictions: Annotated[Path, Flag("Masks to judge: <class>/<id>.png.", FOLDERS)]
    truth: Annotated[Path, Flag("True masks, laid out alike.", FOLDERS)]
    threshold: Annotated[float | None, Flag("The predictions are soft maps; cut them here.", METHOD, 0, 1)] = None


@dataclass(frozen=True, kw_only=True)
class FssOptions(SegmenterOptions):
    """How few-shot segmentation is measured; paths may hold {fold} and {run}."""

    command: ClassVar[str] = "evaluate fss"
    stage: ClassVar[str] = "aligndiff_cli.stages.evaluate_fss:FssStage"

    support: Annotated[Path, Flag("Real support pairs, the ones `aligndiff invert` saw.", FOLDERS)]
    support_masks: SupportMasks = None
    mask_orientation: MaskOrientation = "auto"
    query: Annotated[Path, Flag("What is segmented: pairs laid out like a support folder.", FOLDERS)]
    masks: Annotated[
        Path | None,
        Flag("Synthetic samples, from `aligndiff mask`; without them only the real supports are used.", FOLDERS),
    ] = None
    ood: Annotated[Path | None, Flag("Text file naming the out-of-distribution classes, one a line.", FOLDERS)] = None
    fold: Fold = ""
    runs: Runs = 1
    segmenter: Annotated[
        Literal["hsnet", "ssp", "prototype"] | None,
        Flag(
            "hsnet (trained), ssp (training-free) or prototype (the plainest).",
            METHOD,
            unset="the bundled one's default",
        ),
    ] = None
    synthetic: Annotated[int, Flag("Synthetic samples added to the real ones (20S).", METHOD, 1, of=_SAMPLES)] = 20
    beta: Annotated[
        float,
        Flag("β of D.4: a sample joins if, alone, it segments the real image this well.", METHOD, 0, 1, of=_SAMPLES),
    ] = 0.5
    filter: Annotated[
        Literal["text", "all"],
        Flag(
            "Samples put to β's test: text (those of text prompts, the paper) or all (inverted ones too; ours).",
            METHOD,
            of=_SAMPLES,
        ),
    ] = "text"
    queries: Annotated[int | None, Flag("Query pictures per class.", METHOD, 1, unset="all")] = None
    episodes: Annotated[
        int | None,
        Flag(
            "Episodes, drawn by the seed: a class, one of its queries and, with --shots, its support pairs (HSNet: "
            "1000 on PASCAL-5i and COCO-20i).",
            METHOD,
            1,
            unset="every query once",
        ),
    ] = None
    shots: Annotated[
        int | None, Flag("Real pairs per class, drawn anew for each episode.", METHOD, 1, unset="all there are")
    ] = None
    compare_size: Annotated[
        int | None,
        Flag(
            "Compare masks at this size (HSNet's protocol: its 400 pixels).",
            METHOD,
            8,
            MOST_PIXELS,
            unset="full resolution",
        ),
    ] = None

    def check(self) -> None:
        super().check()
        if self.episodes is not None and self.queries is not None:
            raise UsageError(
                "--episodes draws queries itself, so --queries has no meaning", remedy="Leave out one of them"
            )
        if self.shots is not None and self.episodes is None:
            raise UsageError(
                "--shots goes with --episodes: without episodes every support pair is a shot",
                remedy="Give --episodes, or a support folder of as many pairs",
            )
        if self.shots is not None and self.masks is not None:
            raise UsageError(
                "--shots cannot be drawn for each episode where samples join: they were made from all support pairs",
                remedy="Leave out --shots, or --masks",
            )
        check_fold_paths(self, self.folds)
        for flag, count, place in (("--runs", self.runs, RUN), ("--fold", len(self.folds), FOLD)):
            if count > 1 and place not in str(self.support):
                raise UsageError(
                    f"{flag}: all would have the same real pairs",
                    remedy=f"Give a folder each, with {place} in --support",
                )

    @property
    def folds(self) -> tuple[str, ...]:
        """Names of the folds."""
        return parse_folds(self.fold)


@dataclass(frozen=True, kw_only=True)
class GfssOptions(SeededOptions):
    """How base and novel classes are learnt and measured; paths may hold {fold} and {run}.

    What is None is the method's own, or the paper's.
    """

    command: ClassVar[str] = "evaluate gfss"
    stage: ClassVar[str] = "aligndiff_cli.stages.evaluate_gfss:GfssStage"

    base: Annotated[Path, Flag("Base images (VOC layout, split train, classes.txt naming all classes).", FOLDERS)]
    support: Annotated[Path, Flag("Real support pairs, the ones `aligndiff invert` saw.", FOLDERS)]
    support_masks: SupportMasks = None
    mask_orientation: MaskOrientation = "auto"
    support_labels: Annotated[
        Path | None,
        Flag(
            "Label maps of the support pictures, <class>/<stem>.png, numbered as classes.txt: what the few shots show "
            "of base classes keeps its label (PIFS).",
            FOLDERS,
            unset="<support>_labels, if it is there",
        ),
    ] = None
    query: Annotated[Path, Flag("What is segmented: a VOC folder (split val).", FOLDERS)]
    masks: Annotated[
        Path | None,
        Flag("Synthetic samples, from `aligndiff mask`; without them only the few shots are used.", FOLDERS),
    ] = None
    scenes: Annotated[Path | None, Flag("Ready scenes, from `aligndiff compose`.", FOLDERS)] = None
    base_model: Annotated[
        Path | None,
        Flag(
            "Folder of the model of the base classes: trained there once, then reused by every method.",
            FOLDERS,
            unset="inside --out",
            writes=True,
            decides=False,
        ),
    ] = None
    fold: Fold = ""
    runs: Runs = 1
    method: Annotated[
        Literal["finetune", "gaps", "pifs", "gfs"], Flag("finetune, gaps, pifs or gfs (CAPL).", METHOD)
    ] = "gaps"
    layout: Annotated[
        Literal["paste", "plain", "scenes"],
        Flag(
            "What samples become: paste (objects on base images, the way of the method), plain (pictures as they are, "
            "Table A1's first row) or scenes (from --scenes).",
            METHOD,
        ),
    ] = "paste"
    conditioning: Annotated[
        Literal["full", "text"],
        Flag("Samples used: full (inverted and text) or text (those of text prompts alone).", METHOD, of=_SAMPLES),
    ] = "full"
    per_class: Annotated[
        int | None, Flag("Samples per novel class (paper: 1000).", METHOD, 0, unset="all", of=_SAMPLES)
    ] = None
    inverted_share: Annotated[
        float, Flag("Share of real and inverted samples among the objects shown (D.3).", METHOD, 0, 1)
    ] = 0.5
    shots: Annotated[
        int | None, Flag("Real pairs per class, drawn anew for each run.", METHOD, 1, unset="all there are")
    ] = None
    classes_per_step: Annotated[
        int, Flag("Novel classes learnt at a time (PASCAL: 1, COCO: 5); 0 for all at once.", METHOD, 0)
    ] = 1
    iterations: Annotated[int | None, Flag("Iterations per step (paper: 200).", NOVEL_STAGE, 0)] = None
    batch: Annotated[
        int | None, Flag("Pictures per iteration (paper: 16; PIFS: 10, no more than there are).", NOVEL_STAGE, 1)
    ] = None
    crop: Annotated[
        int | None,
        Flag("Side of training windows, pixels, also in the base stage (paper: 512).", NOVEL_STAGE, 16, MOST_PIXELS),
    ] = None
    backbone_lr: Annotated[float | None, Flag("Learning rate of the network (GAPS: 0.001).", NOVEL_STAGE, 0)] = None
    classifier_lr: Annotated[float | None, Flag("Learning rate of the classifier (GAPS: 0.01).", NOVEL_STAGE, 0)] = None
    distillation: Annotated[
        float | None,
        Flag("Weight of distillation (GAPS: 0.1 on PASCAL, 0.5 on COCO; PIFS: 10).", NOVEL_STAGE, 0),
    ] = None
    memory: Annotated[int | None, Flag("Base images kept for replay (paper: 500).", NOVEL_STAGE, 1)] = None
    scale_low: Annotated[
        float | None, Flag("Least scale of a pasted object (D.2: 0.1).", NOVEL_STAGE, 0.01, MOST_SCALE)
    ] = None
    scale_high: Annotated[
        float | None, Flag("Greatest scale of a pasted object (D.2: 2).", NOVEL_STAGE, 0.01, MOST_SCALE)
    ] = None
    scale_of: Annotated[
        ScaleOf,
        Flag(
            "What scale 1 of a pasted object is: frame (its picture fitted into the training window) or pixels (as "
            "large as in its picture; GAPS).",
            NOVEL_STAGE,
        ),
    ] = "frame"
    guided_share: Annotated[
        float,
        Flag(
            "Share of base images drawn from the 5 % of the memory whose scenes are most like the few shots' (GAPS's "
            "guided copy-paste: 0.9); 0 draws from the whole memory.",
            NOVEL_STAGE,
            0,
            1,
            of={"method": ("gaps",), "layout": ("paste", "plain")},
        ),
    ] = 0.9
    epochs: Annotated[int | None, Flag("Passes over the base images (paper: 20).", BASE_STAGE, 1)] = None
    base_batch: Annotated[int | None, Flag("Pictures per step (paper: 32).", BASE_STAGE, 1)] = None
    base_lr: Annotated[float | None, Flag("Learning rate (paper: 0.01).", BASE_STAGE, 0)] = None
    output_stride: Annotated[int | None, Flag("Pixels per feature position: 8, 16 (paper) or 32.", BASE_STAGE, 1)] = (
        None
    )
    data_parallel: Annotated[
        bool,
        Flag(
            "A launcher's workers learn together, each from its part of every batch. The weights then depend on their "
            "number.",
            BASE_STAGE,
        ),
    ] = False
    backbone: Annotated[
        str | None,
        Flag("A ResNet, by folder or hub id, e.g. microsoft/resnet-101.", MODEL, unset="the bundled one", reads=True),
    ] = None
    device: Device = "auto"

    def check(self) -> None:
        if (self.layout == "scenes") != (self.scenes is not None):
            raise UsageError("--layout scenes and --scenes go together", remedy="Give both, or neither")
        if self.layout == "scenes" and self.method not in ("finetune", "gaps"):
            raise UsageError(f"{self.method} does not learn from scenes", remedy="Use --method finetune or gaps")
        check_fold_paths(self, self.folds)
        if len(self.folds) > 1 and FOLD not in str(self.support):
            raise UsageError(
                "--fold: all would have the same novel classes",
                remedy=f"Give a folder each, with {FOLD} in --support",
            )
        if self.runs > 1 and self.shots is None and RUN not in str(self.support):
            raise UsageError(
                "several runs would all have the same few shots",
                remedy="Say how many each run draws with --shots, or give a support folder per run with {run} in its "
                "path",
            )

    @property
    def folds(self) -> tuple[str, ...]:
        """Names of the folds."""
        return parse_folds(self.fold)


def check_fold_paths(options: Options, folds: Iterable[str]) -> None:
    """Refuse paths that ask for the name of a fold where folds have none (UsageError)."""
    paths = {o.long: str(path) for o in options_of(type(options)) if isinstance(path := getattr(options, o.name), Path)}
    check_folds(tuple(folds), paths)


def parse_folds(text: str) -> tuple[str, ...]:
    """``"0,1"`` -> ("0", "1"); ``""`` -> one fold without a name.

    Raises:
        UsageError: a name that cannot be part of a file's name.
    """
    folds = tuple(part.strip() for part in text.split(","))
    if folds != ("",) and not all(part.isalnum() for part in folds):
        raise UsageError(f"--fold: expected names such as 3 or 0,1,2,3, got {text!r}")
    if len(set(folds)) < len(folds):
        raise UsageError(f"--fold: names a fold twice: {text!r}")
    return folds
