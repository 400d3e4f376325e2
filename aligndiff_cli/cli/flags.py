"""The flags that several subcommands share, and the panels that group them in ``--help``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from aligndiff_cli.cli.config import load_config
from aligndiff_cli.errors import UsageError

FOLDERS = "Inputs and outputs"
METHOD = "Method (the paper's settings)"
MODEL = "Model and device"
RUN = "Run"


MOST = 1_000_000
"""Of whatever is counted: a run that is asked for more would not end, and ids have no room for them."""
MOST_PIXELS = 16_384
"""Of a side."""
MOST_SCALE = 100.0


def at_least(least: float, most: float = MOST) -> Any:
    """A check that a number is from ``least`` to ``most``; None passes."""

    def check(value: Any) -> Any:
        if value is None or least <= value <= most:
            return value
        wanted = f"at least {least:g}" if value < least else f"at most {most:,}"
        raise typer.BadParameter(f"expected {wanted}, got {value}")

    return check


def one_of(*known: str) -> Any:
    """A check that a text is one of these."""

    def check(value: str) -> str:
        if value not in known:
            raise typer.BadParameter(f"expected one of {', '.join(known)}, got {value!r}")
        return value

    return check


Out = Annotated[Path, typer.Option("--out", "-o", help="Folder to write.", rich_help_panel=FOLDERS)]
Seed = Annotated[
    int,
    typer.Option(
        callback=at_least(0, 2**63 - 1),
        help="Run seed; with an item's id it decides everything random about it.",
        rich_help_panel=RUN,
    ),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.", rich_help_panel=MODEL)]
Config = Annotated[
    Path | None,
    typer.Option(
        callback=load_config,
        is_eager=True,
        help="YAML file with the same names as the flags; flags win.",
        rich_help_panel=RUN,
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Make everything again, whatever is there.", rich_help_panel=RUN)]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress and no table; errors only.", rich_help_panel=RUN)
]
SupportMasks = Annotated[
    Path | None,
    typer.Option(help="Folder of the support masks, if not beside the images.", rich_help_panel=FOLDERS),
]
MaskOrientation = Annotated[
    str,
    typer.Option(
        callback=one_of("auto", "shown", "stored"),
        help="What masks without an EXIF orientation were drawn on, where their photograph has one: the photograph as "
        "it is shown, or its stored pixels. auto: what fits; if both do, as it is shown, and says so.",
        rich_help_panel=FOLDERS,
    ),
]
Format = Annotated[
    str,
    typer.Option(
        "--format",
        help="voc, coco (that and an instances JSON) or hf (Hugging Face's imagefolder, with a dataset card).",
        rich_help_panel=FOLDERS,
    ),
]
Shard = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Do one of N shares of the work (I from 1): the others run beside it or at another time, on one file "
        "system, e.g. --shard $SLURM_ARRAY_TASK_ID/4 in a job array 1-4. The last to end makes tables and pictures. "
        "Not needed under torchrun or accelerate launch.",
        show_default="all of it",
        rich_help_panel=RUN,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        envvar="ALIGNDIFF_MODEL",
        help="Text-to-image model (Stable Diffusion 1, 2, XL, 3, 3.5 or Flux.1): a folder or hub id in diffusers' "
        "layout, e.g. stable-diffusion-v1-5/stable-diffusion-v1-5; 'pocket' is the small bundled emoji model (the "
        "default).",
        rich_help_panel=MODEL,
    ),
]
DType = Annotated[
    str | None,
    typer.Option(
        "--dtype",
        help="float32, float16 or bfloat16.",
        show_default="on CUDA float16, bfloat16 for Stable Diffusion 3 and Flux; elsewhere float32",
        rich_help_panel=MODEL,
    ),
]
Offload = Annotated[
    bool,
    typer.Option(
        "--offload",
        help="Keep on the device only the network at work, the others in main memory: slower, for large models.",
        rich_help_panel=MODEL,
    ),
]
VaeTiling = Annotated[
    bool | None,
    typer.Option(
        "--vae-tiling/--no-vae-tiling",
        help="Encode and decode images in tiles, for less memory; seams may show a little.",
        show_default="above 1536 x 1536 pixels",
        rich_help_panel=MODEL,
    ),
]
Compile = Annotated[
    bool,
    typer.Option(
        "--compile",
        help="torch.compile the denoiser: the first step takes minutes, the others are faster.",
        rich_help_panel=MODEL,
    ),
]
SegmenterName = Annotated[
    str | None,
    typer.Option(
        "--segmenter",
        help="hsnet (trained), ssp (training-free) or prototype (the plainest).",
        show_default="the bundled one's default",
        rich_help_panel=METHOD,
    ),
]
SegmenterWeights = Annotated[
    Path | None,
    typer.Option(
        help="Trained weights: our own .safetensors, or a checkpoint of HSNet's or SSP's authors (.pt, .pth), told "
        "apart by what is inside.",
        show_default="the bundled emoji ones",
        rich_help_panel=MODEL,
    ),
]
Backbone = Annotated[
    str | None,
    typer.Option(
        help="Network of a training-free segmenter: a folder or hub id of a ResNet, DINOv2, Swin or other "
        "AutoBackbone, e.g. microsoft/resnet-50, or a torchvision ResNet's .pth file.",
        show_default="the bundled one",
        rich_help_panel=MODEL,
    ),
]


def _segmenter_size(value: int | None) -> int | None:
    return value if value == 0 else at_least(32, MOST_PIXELS)(value)


SegmenterSize = Annotated[
    int | None,
    typer.Option(
        callback=_segmenter_size,
        help="Side in pixels of the square in which the segmenter looks at pictures; 0 for each picture's own size "
        "(not for hsnet).",
        show_default="what its weights suggest, of SSP's authors' 0",
        rich_help_panel=MODEL,
    ),
]
SspRefine = Annotated[
    bool,
    typer.Option(
        "--ssp-refine/--no-ssp-refine",
        help="SSP's second pass, which its authors' checkpoints named baseline do without.",
        rich_help_panel=METHOD,
    ),
]


def needed(value: Path | None, flag: str, protocol: str) -> Path:
    """The value of a flag that this protocol cannot do without.

    Raises:
        UsageError: it was not given.
    """
    if value is None:
        raise UsageError(f"--protocol {protocol} needs {flag}", remedy="See: aligndiff evaluate --help")
    return value
