"""The flags of ``aligndiff evaluate --protocol gfss``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aligndiff_cli.cli.flags import MOST, MOST_PIXELS, MOST_SCALE, at_least
from aligndiff_cli.errors import UsageError

SHARED = "Protocols fss and gfss"
GFSS = "Protocol gfss: base and novel classes (4.1, D.3, Table 1)"
TRAINING = "Protocol gfss: training (defaults are the paper's, or smaller for the bundled backbone)"
SUITED = False


def _count(help: str, panel: str = GFSS, least: float = 1, default: str | bool = SUITED, most: float = MOST) -> Any:
    return typer.Option(callback=at_least(least, most), help=help, rich_help_panel=panel, show_default=default)


Base = Annotated[
    Path | None,
    typer.Option(help="Base images (VOC layout, split train, classes.txt naming all classes).", rich_help_panel=GFSS),
]
SupportLabels = Annotated[
    Path | None,
    typer.Option(
        help="Label maps of the support pictures, <class>/<stem>.png, numbered as classes.txt: what the few shots show "
        "of base classes keeps its label (PIFS).",
        show_default="<support>_labels, if it is there",
        rich_help_panel=GFSS,
    ),
]
BaseModel = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the model of the base classes: trained there once, then reused by every method.",
        show_default="inside --out",
        rich_help_panel=GFSS,
    ),
]
Method = Annotated[
    str,
    typer.Option(help="finetune, gaps, pifs or gfs (CAPL).", rich_help_panel=GFSS),
]
Layout = Annotated[
    str,
    typer.Option(
        help="What samples become: paste (objects on base images, the way of the method), plain (pictures as they are, "
        "Table A1's first row) or scenes (from --scenes).",
        rich_help_panel=GFSS,
    ),
]
Scenes = Annotated[Path | None, typer.Option(help="Ready scenes, from `aligndiff compose`.", rich_help_panel=GFSS)]
Conditioning = Annotated[
    str,
    typer.Option(help="Samples used: full (inverted and plain) or text (plain ones alone).", rich_help_panel=GFSS),
]
PerClass = Annotated[int | None, _count("Samples per novel class (paper: 1000).", default="all", least=0)]
InvertedShare = Annotated[
    float,
    typer.Option(
        min=0, max=1, help="Share of real and inverted samples among the objects shown (D.3).", rich_help_panel=GFSS
    ),
]
Shots = Annotated[
    int | None,
    _count(
        "Real pairs per class, drawn anew for each run (gfss) or each episode (fss).", SHARED, default="all there are"
    ),
]
Folds = Annotated[
    str,
    typer.Option(
        "--fold",
        help="Fold, or several as 0,1,2,3: fills {fold} in the paths.",
        show_default="none",
        rich_help_panel=SHARED,
    ),
]
Runs = Annotated[int, _count("Runs per fold (paper: 5); fills {run} in the paths.", SHARED, default=True, most=1000)]
ClassesPerStep = Annotated[
    int, _count("Novel classes learnt at a time (PASCAL: 1, COCO: 5); 0 for all at once.", least=0, default=True)
]
Iterations = Annotated[int | None, _count("Iterations per step (paper: 200).", TRAINING, least=0)]
Batch = Annotated[int | None, _count("Pictures per iteration (paper: 16; PIFS: 10, no more than there are).", TRAINING)]
Crop = Annotated[
    int | None,
    _count("Side of training windows, pixels, also in the base stage (paper: 512).", TRAINING, 16, most=MOST_PIXELS),
]
BackboneRate = Annotated[float | None, _count("Learning rate of the network (GAPS: 0.001).", TRAINING, least=0)]
ClassifierRate = Annotated[float | None, _count("Learning rate of the classifier (GAPS: 0.01).", TRAINING, least=0)]
Distillation = Annotated[
    float | None, _count("Weight of distillation (GAPS: 0.1 on PASCAL, 0.5 on COCO; PIFS: 10).", TRAINING, least=0)
]
ScaleLow = Annotated[
    float | None, _count("Least scale of a pasted object (D.2: 0.1).", TRAINING, 0.01, most=MOST_SCALE)
]
ScaleHigh = Annotated[
    float | None, _count("Greatest scale of a pasted object (D.2: 2).", TRAINING, 0.01, most=MOST_SCALE)
]
ScaleOf = Annotated[
    str,
    typer.Option(
        help="What scale 1 of a pasted object is: frame (its picture fitted into the training window) or pixels (as "
        "large as in its picture; GAPS).",
        rich_help_panel=TRAINING,
    ),
]
Memory = Annotated[int | None, _count("Base images kept for replay (paper: 500).", TRAINING)]
Epochs = Annotated[int | None, _count("Base stage: passes over the base images (paper: 20).", TRAINING)]
BaseBatch = Annotated[int | None, _count("Base stage: pictures per step (paper: 32).", TRAINING)]
BaseRate = Annotated[float | None, _count("Base stage: learning rate (paper: 0.01).", TRAINING, least=0)]
DataParallel = Annotated[
    bool,
    typer.Option(
        "--data-parallel",
        help="Base stage: a launcher's workers learn together, each from its part of every batch. The weights then "
        "depend on their number.",
        rich_help_panel=TRAINING,
    ),
]
OutputStride = Annotated[int | None, _count("Pixels per feature position: 8, 16 (paper) or 32.", TRAINING)]


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
