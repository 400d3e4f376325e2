"""Prompts with a learned adjective v* (paper 3.4), as text with marked places.

A template such as ``"a photo of a {v*} {class}"`` says where v* and the class name stand. Without an
embedding the place of v* collapses; a template without ``{class}`` makes v* the noun (vanilla textual
inversion, for the ablation of Fig. A9).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from aligndiff_cli.errors import InputError, UsageError

if TYPE_CHECKING:  # class names are read where torch is not needed
    from torch import Tensor

Insertion = Literal["input", "encoded"]
Role = Literal["text", "v", "class"]

ADJECTIVE_TEMPLATE = "a photo of a {v*} {class}"
TEXT_TEMPLATE = "a photo of a {class}"
NOUN_TEMPLATE = "a photo of a {v*}"

_PLACE = re.compile(r"(\{v\*\}|\{class\})")
_ROLES: dict[str, Role] = {"{v*}": "v", "{class}": "class"}


@dataclass(frozen=True)
class Segment:
    """A stretch of a prompt: plain text, the class name, or the place of v* (whose text is empty)."""

    role: Role
    text: str


@dataclass(frozen=True, eq=False)
class Prompt:
    """One prompt, optionally with a learned embedding.

    Attributes:
        template: text with ``{class}`` and, optionally, ``{v*}``; with ``{v*}`` alone v* is the noun.
        class_name: the class in words, e.g. ``"chess queen"``.
        embedding: v*, shape (vectors, dim), or None for a prompt of text alone.
        insertion: ``"input"`` puts v* among the token embeddings before the text encoder runs (the public
            release); ``"encoded"`` puts it into the encoded sequence V (paper 3.4).

    Raises:
        UsageError: the template is malformed, or v* is the noun and there is no embedding.
        InputError: the class has no name in words.
    """

    template: str
    class_name: str
    embedding: Tensor | None = None
    insertion: Insertion = "input"

    def __post_init__(self) -> None:
        check_template(self.template)
        if not self.class_name.strip():
            raise InputError(
                "the name of the class has no word in it, so that no prompt can name it", None, "Rename it"
            )
        if self.insertion not in ("input", "encoded"):
            raise UsageError(f"no insertion is called {self.insertion!r}", remedy="Known: input, encoded")
        if self.embedding is None and "{class}" not in self.template:
            raise UsageError(
                f"the template {self.template!r} has no {{class}}",
                remedy="Without an embedding there is nothing to name the object: add {class}",
            )
        if self.embedding is not None and "{v*}" not in self.template:
            raise UsageError(
                f"the template {self.template!r} has no {{v*}}", remedy="Add {v*} where the embedding belongs"
            )

    @property
    def segments(self) -> tuple[Segment, ...]:
        """The stretches in order, spaces collapsed, empty text left out."""
        found: list[Segment] = []
        for piece in _PLACE.split(self.template):
            role = _ROLES.get(piece, "text")
            text = {"text": piece, "v": "", "class": self.class_name}[role]
            text = " ".join(text.split())
            if text or (role == "v" and self.embedding is not None):
                found.append(Segment(role, text))
        return tuple(found)

    @property
    def text(self) -> str:
        """The prompt as plain text, without v*; spaces collapsed."""
        filled = self.template.replace("{v*}", "").replace("{class}", self.class_name)
        return " ".join(filled.split())

    @property
    def vectors(self) -> int:
        """Vectors of v*, 0 without v*."""
        return 0 if self.embedding is None else self.embedding.shape[0]

    def __str__(self) -> str:
        shown = self.template if self.embedding is not None else self.template.replace("{v*}", "")
        return " ".join(shown.replace("{v*}", "v*").replace("{class}", self.class_name).split())


def check_template(template: str) -> None:
    """Refuse a template that cannot be meant like this (UsageError)."""
    stray = re.search(r"[{}]", _PLACE.sub("", template))
    if stray:
        raise UsageError(
            f"the template {template!r} has a brace that belongs to neither {{v*}} nor {{class}}",
            remedy='Write it like "a photo of a {v*} {class}"',
        )
    counts = [template.count(place) for place in _ROLES]
    if max(counts) > 1 or sum(counts) == 0:
        raise UsageError(
            f"the template {template!r} must have {{class}} once and {{v*}} at most once",
            remedy='Write it like "a photo of a {v*} {class}"; with {v*} alone v* is the noun',
        )
    if re.search(r"\w(\{v\*\}|\{class\})|(\{v\*\}|\{class\})(\w|\{)", template):
        # Tokens are found word by word: a name glued to other letters would be another word.
        raise UsageError(
            f"in the template {template!r} a place touches another word", remedy="Put a space between them"
        )


def class_words(folder_name: str) -> str:
    """The class name in words: ``"chess_queen"`` and ``"chess-queen"`` are both ``"chess queen"``."""
    return " ".join(re.split(r"[\s_\-]+", folder_name.strip())).strip()
