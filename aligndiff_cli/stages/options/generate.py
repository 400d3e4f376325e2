"""Options of `aligndiff generate`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from aligndiff_cli.engine.options import GIVEN, Flag
from aligndiff_cli.errors import UsageError
from aligndiff_cli.stages.options.shared import FOLDERS, METHOD, MODEL, MOST_PIXELS, DiffusionOptions

START = "Start from a real picture (beyond the paper)"
Side = Annotated[int | None, Flag("Pixels.", MODEL, 8, MOST_PIXELS, unset="the model's own")]


@dataclass(frozen=True, kw_only=True)
class GenerateOptions(DiffusionOptions):
    """How images are drawn; None leaves a setting to the model."""

    command: ClassVar[str] = "generate"
    stage: ClassVar[str] = "aligndiff_cli.stages.generate:GenerateStage"

    bank: Annotated[Path, Flag("Embedding bank, from `aligndiff invert`.", FOLDERS)]
    per_class: Annotated[
        int,
        Flag("Images per class; a later run may ask for more. The paper makes 1000.", METHOD, 1, decides=False),
    ] = 100
    inverted_share: Annotated[
        float,
        Flag("Share made from the inverted embeddings; the rest has text prompts (D.3).", METHOD, 0, 1, decides=False),
    ] = 0.5
    steps: Annotated[int | None, Flag("Sampling steps.", METHOD, 1, unset="50, or what the model suggests")] = None
    guidance: Annotated[float | None, Flag("Guidance scale.", METHOD, 0, unset="7.5, or what the model suggests")] = (
        None
    )
    scheduler: Annotated[
        str | None,
        Flag("Sampler: ddim, ddpm, euler, dpm++ ... or any diffusers class.", METHOD, unset="the model's own"),
    ] = None
    template: Annotated[str, Flag("Prompt of the other half, by text alone.", METHOD)] = "a photo of a {class}"
    prompts: Annotated[
        Path | None,
        Flag(
            "YAML file of templates and a negative prompt, for all classes or one (beyond the paper); one template is "
            "drawn for each picture.",
            METHOD,
        ),
    ] = None
    attention: Annotated[
        str | None,
        Flag(
            "Attention layers the masks are read from, as halvings of the latent's resolution.",
            METHOD,
            unset="0,1,2, or what the model suggests",
        ),
    ] = None
    attention_tokens: Annotated[
        Literal["class", "onward"] | None,
        Flag(
            "Whose attention is a mask: class (the class's words, the release) or onward (these and all that follows "
            "them, end and padding).",
            METHOD,
            unset="class, or what the model suggests",
        ),
    ] = None
    attention_scaling: Annotated[
        Literal["maximum", "range"] | None,
        Flag(
            "maximum (a map is divided by its maximum, the release) or range (its minimum becomes 0 as well).",
            METHOD,
            unset="maximum, or what the model suggests",
        ),
    ] = None
    start: Annotated[
        Literal["noise", "real"],
        Flag(
            "What the inverted half starts from: noise (the paper) or its own real picture, noised (after SDEdit and "
            "DA-Fusion), whose mask is then kept as well, for `aligndiff mask --coarse`.",
            START,
        ),
    ] = "noise"
    strength: Annotated[
        float,
        Flag(
            "Share of the sampling steps that is run then: low keeps the picture, 1 keeps almost nothing of it.",
            START,
            0,
            1,
            of={"start": ("real",)},
        ),
    ] = 0.6
    height: Side = None
    width: Side = None
    clip: Annotated[
        str | None,
        Flag(
            "CLIP or SigLIP that scores every picture against its prompt and the real ones (beyond the paper): a "
            "folder or hub id, e.g. openai/clip-vit-large-patch14.",
            MODEL,
            reads=True,
        ),
    ] = None
    min_clip_score: Annotated[
        float | None,
        Flag(
            "Cosine with its prompt below which a picture is marked: it is kept, and later stages leave it out. A "
            "later run may ask for another.",
            METHOD,
            -1,
            1,
            unset="none is marked",
            decides=False,
            of={"clip": GIVEN},
        ),
    ] = None
    min_real_score: Annotated[
        float | None,
        Flag(
            "The same of its mean cosine with the real pictures of its class.",
            METHOD,
            -1,
            1,
            unset="none is marked",
            decides=False,
            of={"clip": GIVEN},
        ),
    ] = None
    batch: Annotated[
        int,
        Flag("Images sampled at once; the last batch is filled up, so that more may be asked for later.", MODEL, 1),
    ] = 8

    def check(self) -> None:
        self.attention_levels  # noqa: B018  reading it checks it
        if self.strength == 0:
            remedy = "Give the share of the steps that is run, such as 0.6; at 0 the real picture stays as it is"
            raise UsageError("--strength: expected more than 0, got 0", remedy=remedy)

    @property
    def attention_levels(self) -> tuple[int, ...] | None:
        """``"0,1,2"`` as numbers, sorted.

        Raises:
            UsageError: not a list of numbers from 0.
        """
        if self.attention is None:
            return None
        parts = [part.strip() for part in self.attention.split(",")]
        if not all(part.isdecimal() for part in parts):
            raise UsageError(f"--attention: expected numbers such as 0,1,2, got {self.attention!r}")
        return tuple(sorted({int(part) for part in parts}))
