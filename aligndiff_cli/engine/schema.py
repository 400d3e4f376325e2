"""What the fields of run files and records must be, whoever wrote or edited them; checked where they are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Real
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """What a field may be: in words, and as a test."""

    words: str
    fits: Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and "\0" not in value  # no path holds that character


def _are_texts(value: Any) -> bool:
    return _is_mapping(value) and all(map(_is_text, (*value, *value.values())))


TEXT = Kind("text", _is_text)
WHOLE = Kind("a whole number", lambda value: isinstance(value, int) and not isinstance(value, bool))
COUNT = Kind("a whole number from 0", lambda value: WHOLE.fits(value) and value >= 0)
NUMBER = Kind("a number", _is_number)
SHARE = Kind("a number from 0 to 1", lambda value: _is_number(value) and 0 <= value <= 1)
FLAG = Kind("true or false", lambda value: isinstance(value, bool))
NAMED = Kind("values by name", _is_mapping)
TEXTS = Kind("texts by name", _are_texts)
MODELS = Kind(
    "facts of models by name", lambda value: _is_mapping(value) and all(_are_texts(own) for own in value.values())
)
INDICES = Kind(
    "a list of class indices", lambda value: isinstance(value, list) and all(COUNT.fits(index) for index in value)
)
SAMPLE = Kind('"inverted" or "text"', lambda value: value in ("inverted", "text"))
OBJECTS = Kind(
    "a list of objects, each with its sample",
    lambda value: isinstance(value, list) and all(_is_mapping(o) and TEXT.fits(o.get("sample")) for o in value),
)

Fields = Mapping[str, Kind]
"""Places such as ``"measured.area"`` and what is to be found there."""

RUN: Fields = {
    "command": TEXT,
    "options": NAMED,
    "seed": WHOLE,
    "inputs": TEXTS,
    "models": MODELS,
    "versions": NAMED,
    "told": NAMED,
    "schema": WHOLE,
}
"""Of every run file."""

RUN_OF: Mapping[str, Fields] = {
    "invert": {"models.diffusion.source": TEXT, "models.diffusion.fingerprint": TEXT},
    "generate": {"options.mask_threshold": SHARE},
    "mask": {"inputs.images": TEXT, "options.attention_threshold": SHARE},
}
"""Of a command's run file, what other stages need."""

RECORD: Fields = {
    "id": TEXT,
    "cls": TEXT,
    "inputs": TEXTS,
    "outputs": TEXTS,
    "parameters": NAMED,
    "measured": NAMED,
}
"""Of every record."""

RECORD_OF: Mapping[str, Fields] = {
    "generate": {"parameters.kind": SAMPLE},
    "mask": {"parameters.kind": SAMPLE, "measured.area": SHARE},
}
"""Of a command's records, what other stages need."""

_LOSSES = ("total", "foreground", "background")
OWN_RECORD_OF: Mapping[str, Fields] = {
    "invert": {f"measured.{when}.{part}": NUMBER for when in ("initial", "final") for part in _LOSSES},
    "generate": {"measured.coarse_area": SHARE},
    "mask": {"measured.consensus_iou": NUMBER, "measured.accepted": FLAG},
    "compose": {"parameters.base": TEXT, "parameters.objects": OBJECTS, "measured.hidden": COUNT},
}
"""Of a command's records, what only its own table needs."""


def record_fields(command: str, options: Mapping[str, Any], *, own: bool) -> Fields:
    """What the records of a folder must hold besides what all do.

    Args:
        command, options: of its run file.
        own: whether the stage that made it is asking, which makes a table of them.
    """
    fields = dict(RECORD_OF.get(command, {}))
    if own:
        fields |= OWN_RECORD_OF.get(command, {})
        if command == "mask" and "sharpen_iou" in options:
            fields["measured.sharpened"] = FLAG
        if command in ("compose", "export"):
            fields |= {"coco": {"measured.dropped": COUNT}, "hf": {"measured.classes": INDICES}}.get(
                str(options.get("format")), {}
            )
    return fields


def check_fields(data: Any, fields: Fields) -> None:
    """Refuse plain data in which a field is missing or of another kind.

    Raises:
        ValueError: the message names the first such field, what was expected and what was found.
    """
    for place, kind in fields.items():
        value = data
        for name in place.split("."):
            if not isinstance(value, dict) or name not in value:
                raise ValueError(f"{place} is missing")
            value = value[name]
        if not kind.fits(value):
            raise ValueError(f"{place}: expected {kind.words}, got {_shown(value)}")


def check_known(data: Mapping[str, Any], fields: Fields) -> None:
    """Refuse a name that is none of the fields' (ValueError)."""
    unknown = [name for name in data if name not in fields]
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no field of it")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
