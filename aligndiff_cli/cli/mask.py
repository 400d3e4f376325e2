"""``aligndiff mask``: coarse masks -> refined masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aligndiff_cli.cli import flags
from aligndiff_cli.cli.flags import FOLDERS, METHOD
from aligndiff_cli.cli.session import run

NAME = "mask"
GROUNDING = "Baseline grounding (GD)"
NOISE = "Baseline noise-learning (DiffuMask)"
SHARPEN = "Sharper edges (beyond the paper)"


def command(
    images: Annotated[
        Path,
        typer.Option(help="Synthetic images and coarse masks, from `aligndiff generate`.", rich_help_panel=FOLDERS),
    ],
    out: flags.Out,
    support: Annotated[
        Path | None,
        typer.Option(
            help="Support folder with the real pairs of the same classes; the baselines do without.",
            rich_help_panel=FOLDERS,
        ),
    ] = None,
    support_masks: flags.SupportMasks = None,
    mask_orientation: flags.MaskOrientation = "auto",
    segmenter: Annotated[
        str | None,
        typer.Option(
            help="Algorithm 1 with hsnet (trained), ssp (training-free) or prototype (the plainest); or a baseline: "
            "attention (the coarse map as it is), grounding (a small module after GD's, trained on base "
            "classes) or noise-learning (cross-validation on the coarse masks).",
            show_default="the bundled one's default",
            rich_help_panel=METHOD,
        ),
    ] = None,
    segmenter_weights: flags.SegmenterWeights = None,
    backbone: flags.Backbone = None,
    segmenter_size: flags.SegmenterSize = None,
    ssp_refine: flags.SspRefine = True,
    consensus_iou: Annotated[
        float,
        typer.Option(min=0, max=1, help="α of Algorithm 1: agreement that makes a pair good.", rich_help_panel=METHOD),
    ] = 0.8,
    keep: Annotated[
        str,
        typer.Option(
            help="Mask of an accepted pair: coarse (the paper) or prediction (the release; with noise-learning, "
            "the held-out one).",
            rich_help_panel=METHOD,
        ),
    ] = "coarse",
    attention_threshold: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Where the soft attention map is cut.",
            show_default="0.4, or what the model suggests",
            rich_help_panel=METHOD,
        ),
    ] = None,
    coarse_cut: Annotated[
        str,
        typer.Option(
            help="Which grey levels of the map are cut out: at-least (those from the threshold on) or above (those "
            "beyond it, as the release).",
            rich_help_panel=METHOD,
        ),
    ] = "at-least",
    max_supports: Annotated[
        int | None,
        typer.Option(
            callback=flags.at_least(0),
            help="Most accepted pairs to re-condition on, best agreement first, beside the real ones; 0 for all of "
            "them. Algorithm 1 takes all, which costs hsnet a pass per pair and image, ssp and prototype "
            "nothing.",
            show_default="all; 20 for hsnet",
            rich_help_panel=METHOD,
        ),
    ] = None,
    base: Annotated[
        Path | None,
        typer.Option(
            help="VOC folder with classes.txt, split train, or COCO's instances: the base classes to train the module "
            "on; no new class "
            "should be in it.",
            rich_help_panel=GROUNDING,
        ),
    ] = None,
    grounding: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the module's weights: used again if they were trained on the same, or without --base.",
            show_default="<out>/grounding",
            rich_help_panel=GROUNDING,
        ),
    ] = None,
    grounding_steps: Annotated[
        int, typer.Option(callback=flags.at_least(1), help="Training steps.", rich_help_panel=GROUNDING)
    ] = 500,
    grounding_batch: Annotated[
        int, typer.Option(callback=flags.at_least(1), help="Base objects per step.", rich_help_panel=GROUNDING)
    ] = 16,
    grounding_lr: Annotated[
        float,
        typer.Option(
            callback=flags.at_least(0),
            help="Learning rate of AdamW (Li et al.: Adam, 1e-5).",
            rich_help_panel=GROUNDING,
        ),
    ] = 1e-3,
    grounding_width: Annotated[
        int,
        typer.Option(
            callback=flags.at_least(8),
            help="Channels of the module, a multiple of 8 (Li et al.: 512).",
            rich_help_panel=GROUNDING,
        ),
    ] = 128,
    grounding_layers: Annotated[
        int,
        typer.Option(
            callback=flags.at_least(1), help="Layers of its decoder (Li et al.: 3).", rich_help_panel=GROUNDING
        ),
    ] = 2,
    grounding_dice: Annotated[
        float,
        typer.Option(
            callback=flags.at_least(0),
            help="Weight of dice beside cross-entropy (Li et al.: 0).",
            rich_help_panel=GROUNDING,
        ),
    ] = 1.0,
    model: Annotated[
        str | None,
        typer.Option(
            envvar="ALIGNDIFF_MODEL",
            help="Diffusion model the module looks through: a folder or hub id.",
            show_default="the one that made the images",
            rich_help_panel=GROUNDING,
        ),
    ] = None,
    noise_folds: Annotated[
        int,
        typer.Option(
            callback=flags.at_least(2),
            help="Parts; each is judged by a segmenter of the others.",
            rich_help_panel=NOISE,
        ),
    ] = 3,
    noise_steps: Annotated[
        int, typer.Option(callback=flags.at_least(1), help="Training steps per part.", rich_help_panel=NOISE)
    ] = 60,
    noise_iou: Annotated[
        float,
        typer.Option(min=0, max=1, help="Agreement below which an image is dropped.", rich_help_panel=NOISE),
    ] = 0.6,
    sharpen: Annotated[
        str | None,
        typer.Option(
            help="A SAM or SAM 2 that is shown each refined mask and redraws it: a folder or hub id, e.g. "
            "facebook/sam-vit-base or facebook/sam2.1-hiera-small.",
            show_default="off",
            rich_help_panel=SHARPEN,
        ),
    ] = None,
    sharpen_iou: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Agreement with the refined mask from which the redrawn one is taken.",
            rich_help_panel=SHARPEN,
        ),
    ] = 0.7,
    device: flags.Device = "auto",
    seed: flags.Seed = 0,
    shard: flags.Shard = None,
    config: flags.Config = None,
    force: flags.Force = False,
    quiet: flags.Quiet = False,
) -> None:
    """Refine the coarse masks ([bold]synth/ + support/ → masks/[/]).

    Semi-supervised mask generation (the paper's Algorithm 1): the segmenter, shown the real pairs, predicts each
    synthetic image; where it agrees with the coarse mask the pair joins the good ones; shown all the good ones, it
    predicts the rest. Nothing is trained. --segmenter also names the baselines the paper compares it with.

    [dim]aligndiff mask --images synth/ --support support/ --out masks/[/]

    [dim]aligndiff mask --images synth/ --segmenter grounding --base base/ --out masks-gd/[/]
    """

    def stage():  # type: ignore[no-untyped-def]
        from aligndiff_cli.stages.common import SegmenterChoice
        from aligndiff_cli.stages.mask import MaskOptions, MaskStage

        return MaskStage(
            MaskOptions(
                images=images,
                support=support,
                support_masks=support_masks,
                mask_orientation=mask_orientation,  # type: ignore[arg-type]  # its check has seen it
                out=out,
                segmenter=SegmenterChoice(segmenter, segmenter_weights, backbone, segmenter_size, ssp_refine),
                consensus_iou=consensus_iou,
                keep=keep,
                attention_threshold=attention_threshold,
                coarse_cut=coarse_cut,
                max_supports=max_supports,
                model=model,
                base=base,
                grounding=grounding,
                grounding_steps=grounding_steps,
                grounding_batch=grounding_batch,
                grounding_lr=grounding_lr,
                grounding_width=grounding_width,
                grounding_layers=grounding_layers,
                grounding_dice=grounding_dice,
                noise_folds=noise_folds,
                noise_steps=noise_steps,
                noise_iou=noise_iou,
                sharpen=sharpen,
                sharpen_iou=sharpen_iou,
                device=device,
                seed=seed,
            )
        )

    run(stage, shard=shard, force=force, quiet=quiet)
