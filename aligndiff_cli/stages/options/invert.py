"""Options of `aligndiff invert`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from aligndiff_cli.engine.options import Flag
from aligndiff_cli.stages.options.shared import FOLDERS, METHOD, MODEL, DiffusionOptions, MaskOrientation


@dataclass(frozen=True, kw_only=True)
class InvertOptions(DiffusionOptions):
    """How embeddings are learnt; None leaves a setting to the model."""

    command: ClassVar[str] = "invert"
    stage: ClassVar[str] = "aligndiff_cli.stages.invert:InvertStage"

    images: Annotated[Path, Flag("Support folder: IMAGES/<class>/<stem>.jpg|png with <stem>_mask.png.", FOLDERS)]
    masks: Annotated[Path | None, Flag("Folder of the masks, laid out alike, if not beside the images.", FOLDERS)] = (
        None
    )
    mask_orientation: MaskOrientation = "auto"
    steps: Annotated[int | None, Flag("Optimization steps.", METHOD, 1, unset="500, or what the model suggests")] = None
    lr: Annotated[float | None, Flag("AdamW's learning rate.", METHOD, 0, unset="5e-4, or what the model suggests")] = (
        None
    )
    background_weight: Annotated[float, Flag("λ of Eq. 3.", METHOD, 0)] = 0.6
    loss: Annotated[
        Literal["normalized", "plain", "foreground"],
        Flag("normalized (Eq. 3), plain (textual inversion's) or foreground (no background term).", METHOD),
    ] = "normalized"
    insertion: Annotated[
        Literal["input", "encoded"],
        Flag(
            "Where v* goes: input (a token before the text encoder, as the release) or encoded (after the determiner "
            "in the encoded sequence, as the paper writes).",
            METHOD,
        ),
    ] = "input"
    per: Annotated[
        Literal["instance", "class"],
        Flag("One embedding per instance (image-mask pair, the paper) or per class (the release).", METHOD),
    ] = "instance"
    num_vectors: Annotated[int, Flag("Vectors of one v*.", METHOD, 1)] = 1
    initializer: Annotated[str, Flag("Word whose embedding v* begins as.", METHOD)] = "good"
    template: Annotated[
        tuple[str, ...],
        Flag(
            "Prompt with {v*} and {class}; without {class}, v* is the noun (textual inversion). Given several times, "
            "one is drawn per step and noised picture (beyond the paper), and the first is what `generate` uses.",
            METHOD,
        ),
    ] = ("a photo of a {v*} {class}",)
    batch: Annotated[
        int | None,
        Flag("Noised samples per instance and pass.", METHOD, 1, unset="4, or what the model suggests"),
    ] = None
    gradient_accumulation: Annotated[
        int | None, Flag("Passes per step.", METHOD, 1, unset="2, or what the model suggests")
    ] = None
    flip: Annotated[float, Flag("Chance to mirror a sample, image and mask.", METHOD, 0, 1)] = 0.5
    framing: Annotated[
        Literal["window", "whole"],
        Flag(
            "What of a picture is looked at: window (of the model's shape, around the object) or whole (squeezed into "
            "that shape, as the release).",
            METHOD,
        ),
    ] = "window"
    latent_mask: Annotated[
        Literal["nearest-exact", "nearest", "area"],
        Flag(
            "How a mask becomes one of latents: nearest-exact (the pixel at a position's centre), nearest (in its "
            "corner, as the release) or area (the share of its pixels).",
            METHOD,
        ),
    ] = "nearest-exact"
    instances: Annotated[
        int,
        Flag("Instances that share one batch, each with its own v*. Lower it if memory runs out.", MODEL, 1),
    ] = 8
    checkpointing: Annotated[
        bool,
        Flag(
            "Compute the denoiser's blocks again in the backward pass instead of keeping all they made: half "
            "the memory for up to twice the time, and the same v*. For SDXL and larger models.",
            MODEL,
            decides=False,
        ),
    ] = False
    preview: Annotated[int, Flag("Pictures per embedding to look at.", MODEL, 0)] = 4

    def recorded(self) -> dict[str, Any]:
        """One template is told as its text alone."""
        told = super().recorded()
        return told | ({"template": self.template[0]} if len(self.template) == 1 else {})
