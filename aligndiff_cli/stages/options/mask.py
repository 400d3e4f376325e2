"""Options of `aligndiff mask`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from aligndiff_cli.engine.options import GIVEN, Flag
from aligndiff_cli.errors import UsageError
from aligndiff_cli.stages.options.shared import (
    FEW_SHOT,
    FOLDERS,
    METHOD,
    MaskOrientation,
    SegmenterOptions,
    SupportMasks,
)

GROUNDING = "Baseline grounding (GD)"
NOISE = "Baseline noise-learning (DiffuMask)"
SHARPEN = "Sharper edges (beyond the paper)"
BASELINES = ("attention", "grounding", "noise-learning")
_FEW_SHOT = {"segmenter": FEW_SHOT}
_GROUNDING = {"segmenter": ("grounding",)}
_NOISE = {"segmenter": ("noise-learning",)}


@dataclass(frozen=True, kw_only=True)
class MaskOptions(SegmenterOptions):
    """How coarse masks are refined; None leaves a setting to the segmenter, or to what made the images."""

    command: ClassVar[str] = "mask"
    stage: ClassVar[str] = "aligndiff_cli.stages.mask:MaskStage"

    images: Annotated[Path, Flag("Synthetic images and coarse masks, from `aligndiff generate`.", FOLDERS)]
    support: Annotated[
        Path | None,
        Flag(
            "Support folder with the real pairs of the same classes; the baselines do without.", FOLDERS, of=_FEW_SHOT
        ),
    ] = None
    support_masks: SupportMasks = None
    mask_orientation: MaskOrientation = "auto"
    segmenter: Annotated[
        Literal["hsnet", "ssp", "prototype", "attention", "grounding", "noise-learning"] | None,
        Flag(
            "Algorithm 1 with hsnet (trained), ssp (training-free) or prototype (the plainest); or a baseline: "
            "attention (the coarse map as it is), grounding (a small module after GD's, trained on base classes) or "
            "noise-learning (cross-validation on the coarse masks).",
            METHOD,
            unset="the bundled one's default",
        ),
    ] = None
    consensus_iou: Annotated[
        float, Flag("α of Algorithm 1: agreement that makes a pair good.", METHOD, 0, 1, of=_FEW_SHOT)
    ] = 0.8
    keep: Annotated[
        Literal["coarse", "prediction"],
        Flag(
            "Mask of an accepted pair: coarse (the paper) or prediction (the release; with noise-learning, the "
            "held-out one).",
            METHOD,
            of={"segmenter": (*FEW_SHOT, "noise-learning")},
        ),
    ] = "coarse"
    coarse: Annotated[
        Literal["attention", "real", "both"],
        Flag(
            "Coarse masks: attention (the paper), real (the mask of the real picture a sample starts from, see "
            "`aligndiff generate --start real`) or both. Samples that start from noise have attention alone.",
            METHOD,
        ),
    ] = "attention"
    attention_threshold: Annotated[
        float | None,
        Flag("Where the soft attention map is cut.", METHOD, 0, 1, unset="0.4, or what the model suggests"),
    ] = None
    coarse_cut: Annotated[
        Literal["at-least", "above"],
        Flag(
            "Which grey levels of the map are cut out: at-least (those from the threshold on) or above (those beyond "
            "it, as the release).",
            METHOD,
        ),
    ] = "at-least"
    max_supports: Annotated[
        int | None,
        Flag(
            "Most accepted pairs to re-condition on, beside the real ones: of the 20 of best agreement those that look "
            "least alike; from 20 on, the best; 0 for all. Algorithm 1 takes all, which costs hsnet two passes per "
            "pair and image, ssp and prototype nothing.",
            METHOD,
            0,
            unset="all; 4 for hsnet",
            of=_FEW_SHOT,
        ),
    ] = None
    base: Annotated[
        Path | None,
        Flag(
            "VOC folder with classes.txt, split train, or COCO's instances: the base classes to train the module on; "
            "no new class should be in it.",
            GROUNDING,
            of=_GROUNDING,
        ),
    ] = None
    grounding: Annotated[
        Path | None,
        Flag(
            "Folder of the module's weights: used again if they were trained on the same, or without --base.",
            GROUNDING,
            unset="<out>/grounding",
            writes=True,
            decides=False,
            of=_GROUNDING,
        ),
    ] = None
    # what follows decides the module, which run.yaml tells by its fingerprint
    grounding_steps: Annotated[int, Flag("Training steps.", GROUNDING, 1, decides=False, of=_GROUNDING)] = 500
    grounding_batch: Annotated[int, Flag("Base objects per step.", GROUNDING, 1, decides=False, of=_GROUNDING)] = 16
    grounding_lr: Annotated[
        float,
        Flag("Learning rate of AdamW (Li et al.: Adam, 1e-5).", GROUNDING, 0, decides=False, of=_GROUNDING),
    ] = 1e-3
    grounding_width: Annotated[
        int,
        Flag("Channels of the module, a multiple of 8 (Li et al.: 512).", GROUNDING, 8, decides=False, of=_GROUNDING),
    ] = 128
    grounding_layers: Annotated[
        int, Flag("Layers of its decoder (Li et al.: 3).", GROUNDING, 1, decides=False, of=_GROUNDING)
    ] = 2
    grounding_dice: Annotated[
        float,
        Flag("Weight of dice beside cross-entropy (Li et al.: 0).", GROUNDING, 0, decides=False, of=_GROUNDING),
    ] = 1.0
    model: Annotated[
        str | None,
        Flag(
            "Diffusion model the module looks through: a folder or hub id.",
            GROUNDING,
            unset="the one that made the images",
            env="ALIGNDIFF_MODEL",
            reads=True,
            of=_GROUNDING,
        ),
    ] = None
    noise_folds: Annotated[int, Flag("Parts; each is judged by a segmenter of the others.", NOISE, 2, of=_NOISE)] = 3
    noise_steps: Annotated[int, Flag("Training steps per part.", NOISE, 1, of=_NOISE)] = 60
    noise_iou: Annotated[float, Flag("Agreement below which an image is dropped.", NOISE, 0, 1, of=_NOISE)] = 0.6
    use_marked: Annotated[
        bool, Flag("Use pictures that `generate --min-clip-score` has marked as well.", METHOD, decides=False)
    ] = False
    sharpen: Annotated[
        str | None,
        Flag(
            "A SAM or SAM 2 that is shown each refined mask and redraws it: a folder or hub id, e.g. "
            "facebook/sam-vit-base or facebook/sam2.1-hiera-small.",
            SHARPEN,
            unset="off",
            reads=True,
        ),
    ] = None
    sharpen_iou: Annotated[
        float,
        Flag(
            "Agreement with the refined mask from which the redrawn one is taken.",
            SHARPEN,
            0,
            1,
            of={"sharpen": GIVEN},
        ),
    ] = 0.7

    def check(self) -> None:
        super().check()
        if self.segmenter in FEW_SHOT and self.support is None:
            raise UsageError("a few-shot segmenter needs --support", remedy=f"Only {', '.join(BASELINES)} do without")
