"""``aligndiff generate``: embedding bank -> images and coarse masks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aligndiff_cli.cli import flags
from aligndiff_cli.cli.flags import FOLDERS, METHOD, MODEL
from aligndiff_cli.cli.session import run

NAME = "generate"

Side = Annotated[
    int | None,
    typer.Option(
        callback=flags.at_least(8, flags.MOST_PIXELS),
        help="Pixels.",
        show_default="the model's own",
        rich_help_panel=MODEL,
    ),
]


def command(
    bank: Annotated[Path, typer.Option(help="Embedding bank, from `aligndiff invert`.", rich_help_panel=FOLDERS)],
    out: flags.Out,
    per_class: Annotated[
        int,
        typer.Option(
            callback=flags.at_least(1),
            help="Images per class; a later run may ask for more. The paper makes 1000.",
            rich_help_panel=METHOD,
        ),
    ] = 100,
    inverted_share: Annotated[
        float,
        typer.Option(
            min=0,
            max=1,
            help="Share made from the inverted embeddings; the rest has plain prompts (D.3).",
            rich_help_panel=METHOD,
        ),
    ] = 0.5,
    steps: Annotated[
        int | None,
        typer.Option(
            callback=flags.at_least(1),
            help="Sampling steps.",
            show_default="50, or what the model suggests",
            rich_help_panel=METHOD,
        ),
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(
            callback=flags.at_least(0),
            help="Guidance scale.",
            show_default="7.5, or what the model suggests",
            rich_help_panel=METHOD,
        ),
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(
            help="Sampler: ddim, ddpm, euler, dpm++ ... or any diffusers class.",
            show_default="the model's own",
            rich_help_panel=METHOD,
        ),
    ] = None,
    template: Annotated[
        str, typer.Option(help="Prompt of the plain half.", rich_help_panel=METHOD)
    ] = "a photo of a {class}",
    attention: Annotated[
        str | None,
        typer.Option(
            help="Attention layers the masks are read from, as halvings of the latent's resolution. ",
            show_default="0,1,2, or what the model suggests",
            rich_help_panel=METHOD,
        ),
    ] = None,
    attention_tokens: Annotated[
        str | None,
        typer.Option(
            help="Whose attention is a mask: class (the class's words, the release) or onward (these and all that "
            "follows them, end and padding).",
            show_default="class, or what the model suggests",
            rich_help_panel=METHOD,
        ),
    ] = None,
    attention_scaling: Annotated[
        str | None,
        typer.Option(
            help="maximum (a map is divided by its maximum, the release) or range (its minimum becomes 0 as well).",
            show_default="maximum, or what the model suggests",
            rich_help_panel=METHOD,
        ),
    ] = None,
    height: Side = None,
    width: Side = None,
    batch: Annotated[
        int,
        typer.Option(
            callback=flags.at_least(1),
            help="Images sampled at once; the last batch is filled up, so that more may be asked for later.",
            rich_help_panel=MODEL,
        ),
    ] = 8,
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
    """Draw images of each class, with coarse masks from the cross-attention ([bold]bank/ → synth/[/]).

    Half of the prompts carry an inverted embedding and half are plain by default (D.3). The coarse mask of an image is
    the attention its pixels pay to the class's words, read in the same pass (Sec. 3.6).

    [dim]aligndiff generate --bank bank/ --out synth/ --per-class 1000[/]
    """

    def stage():  # type: ignore[no-untyped-def]
        from aligndiff_cli.stages.generate import GenerateOptions, GenerateStage

        return GenerateStage(
            GenerateOptions(
                bank=bank,
                out=out,
                per_class=per_class,
                inverted_share=inverted_share,
                steps=steps,
                guidance=guidance,
                scheduler=scheduler,
                template=template,
                attention=attention,
                attention_tokens=attention_tokens,
                attention_scaling=attention_scaling,
                height=height,
                width=width,
                batch=batch,
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
