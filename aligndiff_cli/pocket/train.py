"""The pocket model's recipe, one subcommand per step: ``python -m aligndiff_cli.pocket.train STEP``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False)

Icons = Annotated[Path, typer.Option(help="Folder of the artists' npm packages (tarballs or unpacked).")]
Work = Annotated[Path, typer.Option(help="Folder of the training states; a killed step goes on from there.")]
Out = Annotated[Path, typer.Option(help="Folder to write; replaced if it exists.")]
Steps = Annotated[int, typer.Option(min=1)]
Until = Annotated[int | None, typer.Option(min=1, help="Stop after this step of the schedule.")]
Batch = Annotated[int, typer.Option(min=1)]
Pool = Annotated[int, typer.Option(min=1, help="Pictures rendered beforehand, to draw batches from.")]
Seed = Annotated[int, typer.Option()]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]

WORK = Path("work/pocket")


@app.callback()
def recipe() -> None:
    """The pocket model's recipe, one subcommand per step."""


@app.command()
def vae(
    icons: Icons,
    work: Work = WORK,
    steps: Steps = 2800,
    batch: Batch = 16,
    pool: Pool = 8000,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Train the VAE (first)."""
    from aligndiff_cli.datasets.emoji import EmojiWorld
    from aligndiff_cli.pocket.training import pick_device
    from aligndiff_cli.pocket.vae import train_vae

    train_vae(EmojiWorld(icons), work, steps, batch, pool, seed, pick_device(device))


@app.command()
def pool(icons: Icons, work: Work = WORK, count: Pool = 40000, seed: Seed = 0) -> None:
    """Render the pictures the diffusion model is trained on (any time before it)."""
    from aligndiff_cli.pocket.pool import render_pool

    render_pool(icons, work, count, seed)


@app.command()
def diffusion(
    work: Work = WORK,
    steps: Steps = 3000,
    until: Until = None,
    batch: Batch = 64,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Train U-Net and text encoder (after vae and pool)."""
    from aligndiff_cli.pocket.diffusion import train_diffusion
    from aligndiff_cli.pocket.training import pick_device

    train_diffusion(work, steps, until or steps, batch, seed, pick_device(device))


@app.command()
def classifier(
    icons: Icons,
    work: Work = WORK,
    steps: Steps = 2400,
    batch: Batch = 64,
    pool: Pool = 24000,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Train the judge on real renders (any time before measuring)."""
    from aligndiff_cli.datasets.emoji import EmojiWorld
    from aligndiff_cli.pocket.classifier import train_classifier
    from aligndiff_cli.pocket.training import pick_device

    train_classifier(EmojiWorld(icons), work, steps, batch, pool, seed, pick_device(device))


@app.command()
def export(out: Out = Path(__file__).parent / "model", work: Work = WORK) -> None:
    """Write the averaged weights as a diffusers folder (at any time during or after the training)."""
    from aligndiff_cli.pocket.export import export_model

    export_model(work, out)


@app.command()
def sample_data(icons: Icons, out: Out = Path("sample_data"), seed: Seed = 0) -> None:
    """Render sample_data/, which the demo and the tests use."""
    from aligndiff_cli.pocket.sample_data import write_sample_data

    write_sample_data(out, icons, seed)


if __name__ == "__main__":
    app()
