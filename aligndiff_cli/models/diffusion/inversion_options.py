"""How v* is learned: the settings of Eq. 3."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aligndiff_cli.errors import UsageError
from aligndiff_cli.method.framing import FRAMINGS, Framing
from aligndiff_cli.method.prompts import ADJECTIVE_TEMPLATE, Insertion, check_template
from aligndiff_cli.models.diffusion.defaults import ModelDefaults

if TYPE_CHECKING:
    from aligndiff_cli.method.inversion import LossKind, MaskMode


@dataclass(frozen=True)
class InversionOptions:
    """How v* is learned. The values here are the public release's, but for ``framing`` and ``mask_mode``.

    Attributes:
        steps: optimiser steps.
        learning_rate, weight_decay: of AdamW; the rate falls along a cosine, without warm-up.
        batch: samples per instance and pass.
        accumulation: passes per step.
        background_weight: lambda of Eq. 3.
        loss: ``"normalized"`` (Eq. 3), ``"plain"`` or ``"foreground"``.
        flip: probability that image and mask are mirrored together.
        vectors: tokens v* consists of.
        initializer: the word v* starts from.
        templates: prompts that v* is learned in, see Prompt; of several, one is drawn for each noised sample (beyond
            the release, which has one). The first is the one to generate with.
        insertion: see Prompt.
        framing: what of a picture is looked at, see ``method.framing``.
        mask_mode, mask_threshold: how masks are brought to the latent's resolution, see latent_mask.
        size: (height, width) images are resized to; None for the model's own.
        checkpointing: whether the denoiser keeps only some of what it computes for the backward pass and computes the
            rest again: less memory, more time, the same v*.
    """

    steps: int = 500
    learning_rate: float = 5e-4
    weight_decay: float = 1e-2
    batch: int = 4
    accumulation: int = 2
    background_weight: float = 0.6
    loss: LossKind = "normalized"
    flip: float = 0.5
    vectors: int = 1
    initializer: str = "good"
    templates: tuple[str, ...] = (ADJECTIVE_TEMPLATE,)
    insertion: Insertion = "input"
    framing: Framing = "window"
    mask_mode: MaskMode = "nearest-exact"
    mask_threshold: float = 0.3
    size: tuple[int, int] | None = None
    checkpointing: bool = False

    def __post_init__(self) -> None:
        if not self.templates:
            raise UsageError("there is no template to learn in", remedy="Give one: a photo of a {v*} {class}")
        for template in self.templates:
            check_template(template)
            if "{v*}" not in template:
                raise UsageError(f"the template {template!r} has no {{v*}}", remedy="Add it: a photo of a {v*} {class}")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in known:
                raise UsageError(f"{name} cannot be {getattr(self, name)!r}", remedy=f"Known: {', '.join(known)}")
        for name in ("steps", "batch", "accumulation", "vectors"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        for name in ("learning_rate", "weight_decay", "background_weight"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise UsageError(f"{name} must be a number of at least 0, got {getattr(self, name)}")
        for name in ("flip", "mask_threshold"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"{name} must be between 0 and 1, got {getattr(self, name)}")


_CHOICES = {
    "loss": ("normalized", "plain", "foreground"),
    "insertion": ("input", "encoded"),
    "framing": FRAMINGS,
    "mask_mode": ("nearest-exact", "nearest", "area"),
}


def suggested(defaults: ModelDefaults, **given: Any) -> InversionOptions:
    """What suits a model, where nothing else (None) is given."""
    own = {
        "steps": defaults.inversion_steps,
        "learning_rate": defaults.inversion_learning_rate,
        "batch": defaults.inversion_batch,
        "accumulation": defaults.inversion_accumulation,
    }
    return InversionOptions(**own | {name: value for name, value in given.items() if value is not None})
