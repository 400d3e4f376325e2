"""The pocket model's recipe, one subcommand per step: ``python -m aligndiff_cli.pocket.recipe STEP``."""

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
ImageSize = Annotated[int, typer.Option(min=32, help="Side of the pictures in pixels, a multiple of 32.")]
Seed = Annotated[int, typer.Option()]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]

WORK = Path("work/pocket")
MODEL = Path(__file__).parents[1] / "model"


@app.callback()
def recipe() -> None:
    """The pocket model's recipe, one subcommand per step."""


@app.command()
def vae(
    icons: Icons,
    work: Work = WORK,
    image_size: ImageSize = 64,
    steps: Steps = 9000,
    batch: Batch = 16,
    pool: Pool = 24000,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Train the VAE (first)."""
    from aligndiff_cli.models.device import pick_device
    from aligndiff_cli.pocket.recipe.vae import train_vae

    train_vae(icons, work, image_size, steps, batch, pool, seed, pick_device(device))


@app.command()
def decoder(
    icons: Icons,
    work: Work = WORK,
    image_size: ImageSize = 64,
    steps: Steps = 4000,
    batch: Batch = 16,
    pool: Pool = 24000,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Train the VAE's decoder on, leaving the latents as they are (any time after vae)."""
    from aligndiff_cli.models.device import pick_device
    from aligndiff_cli.pocket.recipe.vae import train_decoder

    train_decoder(icons, work, image_size, steps, batch, pool, seed, pick_device(device))


@app.command()
def pool(icons: Icons, work: Work = WORK, image_size: ImageSize = 64, seed: Seed = 0) -> None:
    """Render the pictures the diffusion model is trained on (any time before it)."""
    from aligndiff_cli.pocket.recipe.pool import render_pool

    render_pool(icons, work, image_size, seed)


@app.command()
def diffusion(
    work: Work = WORK,
    steps: Steps = 400000,
    until: Until = None,
    batch: Batch = 16,
    looks_share: Annotated[float, typer.Option(min=0, max=1, help="Captions with vectors of looks.")] = 0.5,
    bare_share: Annotated[float, typer.Option(min=0, max=1, help="Captions silent after their last word.")] = 0.5,
    noisy_share: Annotated[float, typer.Option(min=0, max=1, help="Noise levels drawn nearer to pure noise.")] = 0.5,
    seed: Seed = 0,
    device: Device = "auto",
    parts: Annotated[int, typer.Option(min=1, help="Threads that share a batch (with OMP_NUM_THREADS=1).")] = 1,
    half: Annotated[bool, typer.Option("--half", help="Compute in bfloat16, on processors that do so faster.")] = False,
) -> None:
    """Train U-Net, text encoder and encoder of looks (after vae and pool)."""
    from aligndiff_cli.models.device import pick_device
    from aligndiff_cli.pocket.recipe.diffusion import DiffusionOptions, train_diffusion

    options = DiffusionOptions(steps, until or steps, batch, parts, looks_share, bare_share, noisy_share, half, seed)
    train_diffusion(work, options, pick_device(device))


@app.command()
def gpu(
    icons: Icons,
    work: Work = WORK,
    minutes: Annotated[float, typer.Option(min=0.01, help="Of training, rendering before it not counted.")] = 7.0,
    batch: Batch = 512,
    passes: Annotated[int, typer.Option(min=1, help="Most passes of pictures.")] = 24,
    per_drawing: Annotated[int, typer.Option(min=2, help="Pictures of each drawing in a pass.")] = 8,
    processes: Annotated[int, typer.Option(min=2, help="That render, and caption.")] = 15,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Train the same networks on by the minute on a GPU, with variants of the drawings (after vae)."""
    from aligndiff_cli.models.device import pick_device
    from aligndiff_cli.pocket.recipe.on_gpu import GpuOptions, train_on_gpu

    train_on_gpu(icons, work, GpuOptions(minutes, batch, passes, per_drawing, processes, seed), pick_device(device))


@app.command()
def judge(
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
    from aligndiff_cli.models.device import pick_device
    from aligndiff_cli.pocket.recipe.judge import train_judge

    train_judge(EmojiWorld(icons), work, steps, batch, pool, seed, pick_device(device))


@app.command()
def export(out: Out = MODEL, work: Work = WORK) -> None:
    """Write the averaged weights as a diffusers folder (at any time during or after the training)."""
    from aligndiff_cli.pocket.recipe.export import export_model

    export_model(work, out)


@app.command()
def measure(
    icons: Icons,
    model: Annotated[Path, typer.Option(help="The exported folder.")] = MODEL,
    work: Work = WORK,
    split: Annotated[str, typer.Option(help="val, to choose settings, or test.")] = "test",
    per_class: Annotated[int, typer.Option(min=1)] = 16,
    guidance: Annotated[float | None, typer.Option(help="Instead of the folder's aligndiff.json.")] = None,
    sampling_steps: Annotated[int | None, typer.Option(help="Likewise.")] = None,
    inversion_steps: Annotated[int | None, typer.Option(help="Likewise.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Likewise.")] = None,
    out: Annotated[Path | None, typer.Option(help="JSON file to write.")] = None,
    seed: Seed = 0,
) -> None:
    """Measure a model against the judge (after judge and export)."""
    import json

    from aligndiff_cli.datasets.emoji import EmojiWorld
    from aligndiff_cli.models.diffusion.inversion_options import InversionOptions
    from aligndiff_cli.models.diffusion.load import load_diffusion
    from aligndiff_cli.models.diffusion.sampling import SampleOptions
    from aligndiff_cli.pocket.recipe.judge import load_judge
    from aligndiff_cli.pocket.recipe.measure import measure as figures

    diffusion_model = load_diffusion(model, device="cpu")
    own = diffusion_model.defaults
    inversion = InversionOptions(
        steps=inversion_steps or own.inversion_steps,
        learning_rate=learning_rate or own.inversion_learning_rate,
        batch=own.inversion_batch,
        accumulation=own.inversion_accumulation,
    )
    sampling = SampleOptions(steps=sampling_steps, guidance=guidance)
    result = figures(diffusion_model, load_judge(work), EmojiWorld(icons), split, per_class, seed, sampling, inversion)
    text = json.dumps(result, indent=2)
    typer.echo(text)
    if out is not None:
        out.write_text(text + "\n")


@app.command()
def keep(work: Work = WORK) -> None:
    """Keep the averages of an unfinished training in the repository, where a training without a state goes on from."""
    from aligndiff_cli.pocket.recipe.training import keep

    for name in ("vae.safetensors", "decoder.safetensors", "diffusion.safetensors"):
        if (work / name).exists():
            keep(work / name)


@app.command()
def evidence(
    icons: Icons,
    work: Work = WORK,
    judge_work: Annotated[Path, typer.Option(help="Folder of the trained judge.")] = WORK,
    per_class: Annotated[int, typer.Option(min=1)] = 8,
    guidance: Annotated[float, typer.Option(min=0)] = 3.0,
    sampling_steps: Annotated[int, typer.Option(min=1)] = 20,
    inversion_steps: Annotated[int, typer.Option(min=1)] = 150,
    learning_rate: Annotated[float, typer.Option(min=0)] = 0.02,
    out: Annotated[Path | None, typer.Option(help="JSON file to write.")] = None,
    seed: Seed = 0,
) -> None:
    """Measure a training, also an unfinished one, on the validation classes (after judge)."""
    import json

    from aligndiff_cli.models.diffusion.inversion_options import InversionOptions
    from aligndiff_cli.models.diffusion.sampling import SampleOptions
    from aligndiff_cli.pocket.recipe.evidence import evidence as figures

    inversion = InversionOptions(steps=inversion_steps, learning_rate=learning_rate, batch=8, accumulation=1)
    sampling = SampleOptions(steps=sampling_steps, guidance=guidance)
    text = json.dumps(figures(icons, work, judge_work, per_class, seed, sampling, inversion), indent=2)
    typer.echo(text)
    if out is not None:
        out.write_text(text + "\n")


@app.command()
def sample_data(icons: Icons, out: Out = Path("sample_data"), seed: Seed = 0) -> None:
    """Render sample_data/, which the demo and the tests use."""
    from aligndiff_cli.pocket.recipe.sample_data import write_sample_data

    write_sample_data(out, icons, seed)


if __name__ == "__main__":
    app()
