"""What several stages need: the model in use, the few-shot segmenter, batches."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import aligndiff_cli
from aligndiff_cli.disk.bank import Embedding
from aligndiff_cli.disk.support import SupportScan, scan_support
from aligndiff_cli.engine.run_file import RunFile, input_folder
from aligndiff_cli.method.prompts import Insertion, Prompt, class_words
from aligndiff_cli.models.diffusion.description import Description
from aligndiff_cli.models.diffusion.load import describe_diffusion, load_diffusion
from aligndiff_cli.models.segmenters import load_segmenter
from aligndiff_cli.models.segmenters.description import SegmenterDescription, describe_segmenter
from aligndiff_cli.stages.options.evaluate import FssOptions
from aligndiff_cli.stages.options.mask import MaskOptions
from aligndiff_cli.stages.options.shared import DiffusionOptions, SegmenterOptions

if TYPE_CHECKING:
    from aligndiff_cli.models.diffusion.model import DiffusionModel
    from aligndiff_cli.models.segmenters import Segmenter

T = TypeVar("T")


def chunks(items: Iterable[T], size: int) -> Iterator[Sequence[T]]:
    """Consecutive runs of at most ``size`` items."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


POCKET = "pocket"
"""The name by which users and run files mean the bundled model, wherever it is installed."""
POCKET_FOLDER = Path(aligndiff_cli.__file__).parent / "pocket" / "model"
POCKET_NOTE = (
    "Using the bundled pocket model, which draws 64 x 64 emoji. For photographs pass --model, "
    "e.g. stable-diffusion-v1-5/stable-diffusion-v1-5, or set ALIGNDIFF_MODEL."
)
SEGMENTER_NOTE = (
    "Using the bundled segmenter, which knows emoji. For photographs pass --backbone, e.g. microsoft/resnet-50."
)


def model_folder(name: str) -> str | Path:
    """Where to load a model from: the bundled folder for "pocket", else the name itself."""
    return POCKET_FOLDER if name == POCKET else name


def describe_model(source: str, o: DiffusionOptions) -> Description:
    """The text-to-image model of a stage, not loaded."""
    return describe_diffusion(model_folder(source), device=o.device, dtype=o.dtype, vae_tiling=o.vae_tiling)


def load_model(source: str, o: DiffusionOptions) -> DiffusionModel:
    """The text-to-image model of a stage."""
    return load_diffusion(
        model_folder(source),
        device=o.device,
        dtype=o.dtype,
        offload=o.offload,
        vae_tiling=o.vae_tiling,
        compiled=o.compile,
    )


def embedding_prompt(embedding: Embedding, cls: str, template: str | None = None) -> Prompt:
    """A prompt with an embedding, of a class by the name of its folder.

    Args:
        template: None for the one that it was learnt in, the first if there were several.

    Raises:
        UsageError: the embedding's template is malformed.
    """
    insertion: Insertion = "encoded" if embedding.header.get("insertion") == "encoded" else "input"
    return Prompt(template or embedding.header["template"], class_words(cls), embedding.vectors, insertion)


def segmenter_notes(o: SegmenterOptions) -> tuple[str, ...]:
    """What a user of the bundled segmenter should know."""
    return () if o.backbone or o.segmenter_weights else (SEGMENTER_NOTE,)


def named_backbone(o: SegmenterOptions) -> dict[str, str]:
    """The backbone as it was named, for a run file; nothing where it is the bundled one."""
    return {"backbone": o.backbone} if o.backbone else {}


def describe_chosen(o: FssOptions | MaskOptions) -> SegmenterDescription:
    """The few-shot segmenter that was asked for, not loaded."""
    return describe_segmenter(
        o.segmenter, weights=o.segmenter_weights, backbone=o.backbone, size=o.segmenter_size, refine=o.ssp_refine
    )


def load_chosen(o: FssOptions | MaskOptions) -> Segmenter:
    """The few-shot segmenter that was asked for; None leaves a part to the bundled one."""
    return load_segmenter(
        o.segmenter,
        weights=o.segmenter_weights,
        backbone=o.backbone,
        size=o.segmenter_size,
        refine=o.ssp_refine,
        device=o.device,
    )


def scan_inverted(images: Path, bank: Path, run: RunFile) -> SupportScan:
    """The support folder `images` that a bank was made from, read as its run did."""
    masks = input_folder(bank, run, "masks") if "masks" in run.inputs else None
    return scan_support(images, masks, run.options.get("mask_orientation", "auto"))
