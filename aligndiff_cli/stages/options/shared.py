"""The options that several commands share, and the panels that --help lists them under."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from aligndiff_cli.engine.options import GIVEN, Flag, Options
from aligndiff_cli.errors import UsageError

FOLDERS = "Inputs and outputs"
METHOD = "Method (the paper's settings)"
MODEL = "Model and device"
RUN = "Run"

MOST_PIXELS = 16_384
"""Of a side."""
MOST_SCALE = 100.0

Orientation = Literal["auto", "shown", "stored"]
ScaleOf = Literal["frame", "pixels"]
Format = Annotated[
    Literal["voc", "coco", "hf", "yolo"],
    Flag(
        "voc, coco (that and an instances JSON), hf (Hugging Face's imagefolder, with a dataset card) or yolo "
        "(Ultralytics' images, polygons and data.yaml).",
        FOLDERS,
    ),
]
MinArea = Annotated[
    int,
    Flag(
        "Fewest visible pixels of an object that becomes an instance of COCO or YOLO.",
        METHOD,
        1,
        of={"format": ("coco", "yolo")},
    ),
]
License = Annotated[
    str,
    Flag(
        "Licence of the set, as its files tell it (an SPDX id such as cc-by-4.0, or any words).",
        FOLDERS,
        decides=False,
        of={"format": ("coco", "hf", "yolo")},
    ),
]
ValShare = Annotated[
    float,
    Flag(
        "Share of the pictures that become the split `val`, chosen by their names alone: a larger set moves none "
        "from one to the other.",
        FOLDERS,
        0,
        0.9,
    ),
]
DType = Literal["float32", "float16", "bfloat16"]
Device = Annotated[str, Flag("auto, cpu, cuda, cuda:N or mps.", MODEL, decides=False)]
SupportMasks = Annotated[
    Path | None, Flag("Folder of the support masks, if not beside the images.", FOLDERS, of={"support": GIVEN})
]
MaskOrientation = Annotated[
    Orientation,
    Flag(
        "What masks without an EXIF orientation were drawn on, where their photograph has one: the photograph as it is "
        "shown, or its stored pixels. auto: what fits; if both do, as it is shown, and says so.",
        FOLDERS,
    ),
]


@dataclass(frozen=True, kw_only=True)
class OutputOptions(Options):
    """Where to."""

    out: Annotated[Path, Flag("Folder to write.", FOLDERS, short="-o", writes=True, decides=False)]


@dataclass(frozen=True, kw_only=True)
class SeededOptions(OutputOptions):
    """Where to, and which chances."""

    seed: Annotated[
        int,
        Flag("Run seed; with an item's id it decides everything random about it.", RUN, 0, 2**63 - 1, decides=False),
    ] = 0


@dataclass(frozen=True, kw_only=True)
class DiffusionOptions(SeededOptions):
    """Which text-to-image model, and how it is run."""

    model: Annotated[
        str | None,
        Flag(
            "Text-to-image model (Stable Diffusion 1, 2, XL, 3, 3.5 or Flux.1): a folder or hub id in diffusers' "
            "layout, e.g. stable-diffusion-v1-5/stable-diffusion-v1-5; 'pocket' is the small bundled emoji model (the "
            "default).",
            MODEL,
            env="ALIGNDIFF_MODEL",
            reads=True,
        ),
    ] = None
    dtype: Annotated[
        DType | None,
        Flag(
            "Precision of the networks.",
            MODEL,
            unset="on CUDA float16, bfloat16 for Stable Diffusion 3 and Flux; elsewhere float32",
        ),
    ] = None
    device: Device = "auto"
    offload: Annotated[
        bool,
        Flag(
            "Keep on the device only the network at work, the others in main memory: slower, for large models.",
            MODEL,
            decides=False,
        ),
    ] = False
    vae_tiling: Annotated[
        bool | None,
        Flag(
            "Encode and decode images in tiles, for less memory; seams may show a little.",
            MODEL,
            unset="above 1536 x 1536 pixels",
        ),
    ] = None
    compile: Annotated[
        bool,
        Flag("torch.compile the denoiser: the first step takes minutes, the others are faster.", MODEL, decides=False),
    ] = False


FEW_SHOT = (None, "hsnet", "ssp", "prototype")
"""The values of --segmenter that name a few-shot segmenter; None is the bundled one's."""
Backbone = Annotated[
    str | None,
    Flag(
        "Network of a training-free segmenter: a folder or hub id of a ResNet, DINOv2, Swin or other AutoBackbone, "
        "e.g. microsoft/resnet-50, or a torchvision ResNet's .pth file.",
        MODEL,
        unset="the bundled one",
        reads=True,
        of={"segmenter": (*FEW_SHOT, "noise-learning")},
    ),
]


@dataclass(frozen=True, kw_only=True)
class SegmenterOptions(SeededOptions):
    """Which few-shot segmenter; a class of these declares ``segmenter`` itself."""

    segmenter_weights: Annotated[
        Path | None,
        Flag(
            "Trained weights: our own .safetensors, or a checkpoint of HSNet's or SSP's authors (.pt, .pth), told "
            "apart by what is inside.",
            MODEL,
            unset="the bundled emoji ones",
            of={"segmenter": FEW_SHOT},
        ),
    ] = None
    backbone: Backbone = None
    # what follows decides masks, and run.yaml tells it by the segmenter's fingerprint
    segmenter_size: Annotated[
        int | None,
        Flag(
            "Side in pixels of the square in which the segmenter looks at pictures, from 32; 0 for each picture's own "
            "size (not for hsnet).",
            MODEL,
            0,
            MOST_PIXELS,
            unset="what its weights suggest, of SSP's authors' 0",
            decides=False,
            of={"segmenter": FEW_SHOT},
        ),
    ] = None
    ssp_refine: Annotated[
        bool,
        Flag(
            "SSP's second pass, which its authors' checkpoints named baseline do without.",
            METHOD,
            decides=False,
            of={"segmenter": FEW_SHOT},
        ),
    ] = True
    device: Device = "auto"

    def check(self) -> None:
        if self.segmenter_size and self.segmenter_size < 32:
            raise UsageError(f"--segmenter-size: expected at least 32, got {self.segmenter_size}")
