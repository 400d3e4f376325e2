"""``aligndiff invert``: image-mask pairs -> embedding bank."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aligndiff_cli.cli import flags
from aligndiff_cli.cli.flags import FOLDERS, METHOD, MODEL
from aligndiff_cli.cli.session import run

NAME = "invert"


def command(
    images: Annotated[
        Path,
        typer.Option(
            help="Support folder: IMAGES/<class>/<stem>.jpg|png with <stem>_mask.png.", rich_help_panel=FOLDERS
        ),
    ],
    out: flags.Out,
    masks: Annotated[
        Path | None,
        typer.Option(help="Folder of the masks, laid out alike, if not beside the images.", rich_help_panel=FOLDERS),
    ] = None,
    mask_orientation: flags.MaskOrientation = "auto",
    steps: Annotated[
        int | None,
        typer.Option(
            callback=flags.at_least(1),
            help="Optimization steps.",
            show_default="500, or what the model suggests",
            rich_help_panel=METHOD,
        ),
    ] = None,
    learning_rate: Annotated[
        float | None,
        typer.Option(
            "--lr",
            callback=flags.at_least(0),
            help="AdamW's rate.",
            show_default="5e-4, or what the model suggests",
            rich_help_panel=METHOD,
        ),
    ] = None,
    background_weight: Annotated[
        float, typer.Option(callback=flags.at_least(0), help="λ of Eq. 3.", rich_help_panel=METHOD)
    ] = 0.6,
    loss: Annotated[
        str,
        typer.Option(
            help="normalized (Eq. 3), plain (textual inversion's) or foreground (no background term).",
            rich_help_panel=METHOD,
        ),
    ] = "normalized",
    insertion: Annotated[
        str,
        typer.Option(
            help="Where v* goes: input (a token before the text encoder, as the release) or "
            "encoded (after the determiner in the encoded sequence, as the paper writes).",
            rich_help_panel=METHOD,
        ),
    ] = "input",
    per: Annotated[
        str,
        typer.Option(
            help="One embedding per instance (image-mask pair, the paper) or per class (the release).",
            rich_help_panel=METHOD,
        ),
    ] = "instance",
    vectors: Annotated[
        int, typer.Option(callback=flags.at_least(1), help="Vectors of one v*.", rich_help_panel=METHOD)
    ] = 1,
    initializer: Annotated[
        str, typer.Option(help="Word whose embedding v* begins as.", rich_help_panel=METHOD)
    ] = "good",
    template: Annotated[
        str,
        typer.Option(
            help="Prompt with {v*} and {class}; without {class}, v* is the noun (textual inversion).",
            rich_help_panel=METHOD,
        ),
    ] = "a photo of a {v*} {class}",
    batch: Annotated[
        int | None,
        typer.Option(
            callback=flags.at_least(1),
            help="Noised samples per instance and pass.",
            show_default="4, or what the model suggests",
            rich_help_panel=METHOD,
        ),
    ] = None,
    accumulation: Annotated[
        int | None,
        typer.Option(
            callback=flags.at_least(1),
            help="Passes per step.",
            show_default="2, or what the model suggests",
            rich_help_panel=METHOD,
        ),
    ] = None,
    flip: Annotated[
        float, typer.Option(min=0, max=1, help="Chance to mirror a sample, image and mask.", rich_help_panel=METHOD)
    ] = 0.5,
    framing: Annotated[
        str,
        typer.Option(
            help="What of a picture is looked at: window (of the model's shape, around the object) or whole "
            "(squeezed into that shape, as the release).",
            rich_help_panel=METHOD,
        ),
    ] = "window",
    latent_mask: Annotated[
        str,
        typer.Option(
            help="How a mask becomes one of latents: nearest-exact (the pixel at a position's centre), nearest (in its "
            "corner, as the release) or area (the share of its pixels).",
            rich_help_panel=METHOD,
        ),
    ] = "nearest-exact",
    instances: Annotated[
        int,
        typer.Option(
            callback=flags.at_least(1),
            help="Instances that share one batch, each with its own v*. Lower it if memory runs out.",
            rich_help_panel=MODEL,
        ),
    ] = 8,
    preview: Annotated[
        int, typer.Option(callback=flags.at_least(0), help="Pictures per embedding to look at.", rich_help_panel=MODEL)
    ] = 4,
    model: flags.Model = None,
    dtype: flags.DType = None,
    device: flags.Device = "auto",
    offload: flags.Offload = False,
    vae_tiling: flags.VaeTiling = None,
    compile: flags.Compile = False,
    seed: flags.Seed = 0,
    shard: flags.Shard = None,
    config: flags.Config = None,
    force: flags.Force = False,
    quiet: flags.Quiet = False,
) -> None:
    """Learn an embedding v* for each image-mask pair ([bold]support/ → bank/[/]).

    Normalized masked textual inversion (the paper's Eq. 3): only v* is trained, so that "a photo of a v* CLASS" draws
    that object. Each embedding is one file that diffusers' load_textual_inversion reads as it is; for a model of
    several text encoders it has a tensor for each (clip_l, clip_g, t5).

    [dim]aligndiff invert --images support/ --out bank/[/]
    """

    def stage():  # type: ignore[no-untyped-def]
        from aligndiff_cli.stages.invert import InvertOptions, InvertStage

        return InvertStage(
            InvertOptions(
                images=images,
                masks=masks,
                mask_orientation=mask_orientation,  # type: ignore[arg-type]  # its check has seen it
                out=out,
                steps=steps,
                learning_rate=learning_rate,
                background_weight=background_weight,
                loss=loss,
                insertion=insertion,
                per=per,
                vectors=vectors,
                initializer=initializer,
                template=template,
                batch=batch,
                accumulation=accumulation,
                flip=flip,
                framing=framing,
                latent_mask=latent_mask,
                instances=instances,
                preview=preview,
                model=model,
                dtype=dtype,
                device=device,
                offload=offload,
                vae_tiling=vae_tiling,
                compile=compile,
                seed=seed,
            )
        )

    run(stage, shard=shard, force=force, quiet=quiet)
