"""``aligndiff compose``: masks and base images -> training scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aligndiff_cli.cli import flags
from aligndiff_cli.cli.flags import FOLDERS, METHOD
from aligndiff_cli.cli.session import run

NAME = "compose"


def command(
    foregrounds: Annotated[
        Path,
        typer.Option(help="Refined masks, from `aligndiff mask`; they know their images.", rich_help_panel=FOLDERS),
    ],
    base: Annotated[
        Path,
        typer.Option(
            help="Base images with labels: a VOC folder (JPEGImages/, SegmentationClass/, "
            "ImageSets/Segmentation/train.txt), or COCO's instances JSON or the folder that holds it.",
            rich_help_panel=FOLDERS,
        ),
    ],
    out: flags.Out,
    support: Annotated[
        Path | None,
        typer.Option(
            help="Real pairs to paste as well; they count with the inverted ones (D.3).", rich_help_panel=FOLDERS
        ),
    ] = None,
    unlabelled: Annotated[
        bool,
        typer.Option(
            "--unlabelled",
            help="The base is any folder of photographs, of which nothing is known: all but what is pasted is "
            "background.",
            rich_help_panel=FOLDERS,
        ),
    ] = False,
    support_masks: flags.SupportMasks = None,
    mask_orientation: flags.MaskOrientation = "auto",
    output_format: flags.Format = "voc",
    count: Annotated[
        int,
        typer.Option(callback=flags.at_least(1), help="Scenes; a later run may ask for more.", rich_help_panel=METHOD),
    ] = 500,
    memory: Annotated[
        int,
        typer.Option(
            callback=flags.at_least(1), help="Base images kept, class-balanced (3.5).", rich_help_panel=METHOD
        ),
    ] = 500,
    max_objects: Annotated[
        int, typer.Option(callback=flags.at_least(1), help="Objects per scene, from 1 (D.2).", rich_help_panel=METHOD)
    ] = 3,
    scale_low: Annotated[
        float,
        typer.Option(
            callback=flags.at_least(0.001, flags.MOST_SCALE), help="Smallest scale (D.2).", rich_help_panel=METHOD
        ),
    ] = 0.1,
    scale_high: Annotated[
        float,
        typer.Option(
            callback=flags.at_least(0.001, flags.MOST_SCALE), help="Largest scale (D.2).", rich_help_panel=METHOD
        ),
    ] = 2.0,
    scale_of: Annotated[
        str,
        typer.Option(
            help="What scale 1 is: frame (the object's picture fitted into the base image, whatever their sizes) or "
            "pixels (as large as in its picture; D.2 as printed, GAPS).",
            rich_help_panel=METHOD,
        ),
    ] = "frame",
    inverted_share: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Share of objects that are inverted or real; the rest has plain prompts (D.3).",
            rich_help_panel=METHOD,
        ),
    ] = 0.5,
    min_area: Annotated[
        int,
        typer.Option(
            callback=flags.at_least(1),
            help="Pixels of an object that must stay visible for a COCO instance.",
            rich_help_panel=METHOD,
        ),
    ] = 16,
    seed: flags.Seed = 0,
    shard: flags.Shard = None,
    config: flags.Config = None,
    force: flags.Force = False,
    quiet: flags.Quiet = False,
) -> None:
    """Paste the objects onto base images ([bold]masks/ + base/ → scenes/[/]).

    Copy-paste as the paper's D.2: a class-balanced memory of base images, 1 to 3 objects each, random scale and place,
    no rotation, colour change or blending. The base image keeps its own labels around the objects.

    [dim]aligndiff compose --foregrounds masks/ --base base/ --out scenes/[/]
    """

    def stage():  # type: ignore[no-untyped-def]
        from aligndiff_cli.stages.compose import ComposeOptions, ComposeStage

        return ComposeStage(
            ComposeOptions(
                foregrounds=foregrounds,
                base=base,
                out=out,
                support=support,
                support_masks=support_masks,
                mask_orientation=mask_orientation,  # type: ignore[arg-type]  # its check has seen it
                format=output_format,
                unlabelled=unlabelled,
                count=count,
                memory=memory,
                max_objects=max_objects,
                scale_low=scale_low,
                scale_high=scale_high,
                scale_of=scale_of,
                inverted_share=inverted_share,
                min_area=min_area,
                seed=seed,
            )
        )

    run(stage, shard=shard, force=force, quiet=quiet)
