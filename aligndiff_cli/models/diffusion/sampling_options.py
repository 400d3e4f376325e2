"""How images are drawn: the settings of sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from aligndiff_cli.errors import UsageError
from aligndiff_cli.method.attention import Scaling, Tokens


@dataclass(frozen=True)
class SampleOptions:
    """How images are drawn; ``None`` means the model's own default.

    Attributes:
        height, width: pixels, multiples of the model's latent factor.
        steps: denoising steps.
        guidance: scale of classifier-free guidance, or of what a distilled model is told instead; 1 or less means
            none.
        scheduler: a name ``build_scheduler`` knows.
        negative: prompt to guide away from, in place of the empty one (beyond the paper; Ho and Salimans 2022, Eq. 6,
            with a text for "nothing").
        capture: whether coarse maps are made.
        attention_levels: layers they are read from, as halvings of the latent's resolution.
        attention_tokens, attention_scaling: see ``token_groups`` and ``soft_maps``.
    """

    height: int | None = None
    width: int | None = None
    steps: int | None = None
    guidance: float | None = None
    scheduler: str | None = None
    negative: str = ""
    capture: bool = True
    attention_levels: tuple[int, ...] | None = None
    attention_tokens: Tokens | None = None
    attention_scaling: Scaling | None = None

    def __post_init__(self) -> None:
        if self.steps is not None and self.steps < 1:
            raise UsageError(f"steps must be at least 1, got {self.steps}")
        if self.guidance is not None and not 0 <= self.guidance < float("inf"):
            raise UsageError(f"guidance must be a number of at least 0, got {self.guidance}")
        for name, known in (("attention_tokens", get_args(Tokens)), ("attention_scaling", get_args(Scaling))):
            if getattr(self, name) not in (None, *known):
                raise UsageError(f"{name} cannot be {getattr(self, name)!r}", remedy=f"Known: {', '.join(known)}")
