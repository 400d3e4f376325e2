"""``aligndiff mask``: coarse masks -> refined masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aligndiff_cli.cli import flags
from aligndiff_cli.cli.flags import FOLDERS, METHOD
from aligndiff_cli.cli.session import run

NAME = "mask"


def command(
    images: Annotated[
        Path,
        typer.Option(help="Synthetic images and coarse masks, from `aligndiff generate`.", rich_help_panel=FOLDERS),
    ],
    support: Annotated[
        Path, typer.Option(help="Support folder with the real pairs of the same classes.", rich_help_panel=FOLDERS)
    ],
    out: flags.Out,
    support_masks: Annotated[
        Path | None,
        typer.Option(help="Folder of the support masks, if not beside the images.", rich_help_panel=FOLDERS),
    ] = None,
    segmenter: flags.SegmenterName = None,
    segmenter_weights: flags.SegmenterWeights = None,
    backbone: flags.Backbone = None,
    segmenter_size: flags.SegmenterSize = None,
    consensus_iou: Annotated[
        float,
        typer.Option(min=0, max=1, help="α of Algorithm 1: agreement that makes a pair good.", rich_help_panel=METHOD),
    ] = 0.8,
    keep: Annotated[
        str,
        typer.Option(
            help="Mask of an accepted pair: coarse (the paper) or prediction (the release).", rich_help_panel=METHOD
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
    max_supports: Annotated[
        int,
        typer.Option(
            callback=flags.at_least(1),
            help="Most accepted pairs to re-condition on (best agreement first); bounds the time per image.",
            rich_help_panel=METHOD,
        ),
    ] = 20,
    device: flags.Device = "auto",
    seed: flags.Seed = 0,
    config: flags.Config = None,
    force: flags.Force = False,
    quiet: flags.Quiet = False,
) -> None:
    """Refine the coarse masks with a few-shot segmenter ([bold]synth/ + support/ → masks/[/]).

    Semi-supervised mask generation (the paper's Algorithm 1): the segmenter, shown the real pairs, predicts each
    synthetic image; where it agrees with the coarse mask the pair joins the good ones; shown all the good ones, it
    predicts the rest. Nothing is trained.

    [dim]aligndiff mask --images synth/ --support support/ --out masks/[/]
    """

    def stage():  # type: ignore[no-untyped-def]
        from aligndiff_cli.stages.common import SegmenterChoice
        from aligndiff_cli.stages.mask import MaskOptions, MaskStage

        return MaskStage(
            MaskOptions(
                images=images,
                support=support,
                support_masks=support_masks,
                out=out,
                segmenter=SegmenterChoice(segmenter, segmenter_weights, backbone, segmenter_size),
                consensus_iou=consensus_iou,
                keep=keep,
                attention_threshold=attention_threshold,
                max_supports=max_supports,
                device=device,
                seed=seed,
            )
        )

    run(stage, force=force, quiet=quiet)
