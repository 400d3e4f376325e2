"""What settings a model wants when none are asked for: the paper's, unless the model's folder says otherwise.

A small model is inverted with another learning rate and sampled with another guidance than Stable Diffusion;
its folder may hold ``aligndiff.json`` with any of the fields below.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, get_args

from aligndiff_cli.errors import ModelError
from aligndiff_cli.method.attention import Scaling, Tokens

DEFAULTS_FILE = "aligndiff.json"


@dataclass(frozen=True)
class ModelDefaults:
    """Settings used where the user gives none. The values here are the public release's.

    Attributes:
        inversion_steps, inversion_learning_rate, inversion_batch, inversion_accumulation: see InversionOptions.
        steps: sampling steps.
        guidance: scale, see SampleOptions.
        scheduler: name of the sampling scheduler; None for the model's own.
        attention_levels: cross-attention layers the coarse masks are read from, as halvings of the latent's
            resolution (0, 1, 2: a latent of 64 is read at 64, 32 and 16).
        attention_tokens, attention_scaling: how coarse masks are made of it, see ``method/attention.py``.
        mask_threshold: where the soft coarse mask is cut, in [0, 1].
        clip_skip: text-encoder layers left out at the end.
    """

    inversion_steps: int = 500
    inversion_learning_rate: float = 5e-4
    inversion_batch: int = 4
    inversion_accumulation: int = 2
    steps: int = 50
    guidance: float = 7.5
    scheduler: str | None = None
    attention_levels: tuple[int, ...] = (0, 1, 2)
    attention_tokens: Tokens = "class"
    attention_scaling: Scaling = "maximum"
    mask_threshold: float = 0.4
    clip_skip: int = 0


_LEAST: dict[str, float] = {
    "inversion_steps": 1,
    "inversion_batch": 1,
    "inversion_accumulation": 1,
    "inversion_learning_rate": 0.0,
    "steps": 1,
    "guidance": 0.0,
    "mask_threshold": 0.0,
    "clip_skip": 0,
}


def read_defaults(folder: Path, family: ModelDefaults | None = None) -> ModelDefaults:
    """The defaults of the model in ``folder``: what its ``aligndiff.json`` says, and else its family's.

    Args:
        family: None for the public release's.

    Raises:
        ModelError: the file is not JSON, or has an unknown field or an impossible value.
    """
    path = folder / DEFAULTS_FILE
    family = family or ModelDefaults()
    if not path.is_file():
        return family
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"not readable as JSON ({error})", path, "Correct or remove the file") from error
    if not isinstance(values, dict):
        raise ModelError("expected one JSON object", path, "Correct or remove the file")
    known = [field.name for field in fields(ModelDefaults)]
    for name, value in values.items():
        if name not in known:
            raise ModelError(f"unknown field {name!r}", path, f"Known: {', '.join(known)}")
        if not _fits(name, value):
            raise ModelError(f"{name} cannot be {value!r}", path, "Correct the value or remove the field")
    if "attention_levels" in values:
        values["attention_levels"] = tuple(values["attention_levels"])
    return replace(family, **values)


_CHOICES = {"attention_tokens": get_args(Tokens), "attention_scaling": get_args(Scaling)}


def _fits(name: str, value: Any) -> bool:
    if name in _CHOICES:
        return value in _CHOICES[name]
    if name == "scheduler":
        return value is None or isinstance(value, str)
    if name == "attention_levels":
        return isinstance(value, list) and bool(value) and all(type(v) is int and v >= 0 for v in value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not _LEAST[name] <= value < float("inf"):
        return False
    if name == "mask_threshold" and value > 1:
        return False
    return isinstance(value, int) or isinstance(getattr(ModelDefaults, name), float)
