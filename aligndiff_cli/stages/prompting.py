"""Which prompt draws which picture: `generate --template`, or a template from a file of prompts (beyond the paper).

A picture's template is drawn by (run seed, its id) from those that fit its kind: with an embedding those that hold
``{v*}``, without one those that hold ``{class}``, where ``{v*}`` is left out. So a class more in the file, or pictures
more, leave the others as they are.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from aligndiff_cli.disk.bank import Embedding
from aligndiff_cli.disk.digest import file_digest, joint_digest
from aligndiff_cli.disk.prompt_file import Entry, Line, PromptFile, read_prompts
from aligndiff_cli.errors import InputError, UsageError
from aligndiff_cli.method.prompts import TEXT_TEMPLATE, Prompt, check_template, class_words
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.diffusion.description import Description
from aligndiff_cli.stages.common import embedding_prompt
from aligndiff_cli.stages.names import nearest
from aligndiff_cli.stages.samples import INVERTED, TEXT

LIST = "prompt list"
"""The input by which a picture knows its class's part of the file."""
_NEEDS = {INVERTED: ("{v*}", "--inverted-share 0"), TEXT: ("{class}", "--inverted-share 1")}


class Prompting:
    """Templates and negative prompts by class.

    Args:
        path: the file, or None.
        template: of text pictures of which the file says nothing.

    Raises:
        UsageError: the file cannot be meant so.
    """

    def __init__(self, path: Path | None, template: str) -> None:
        self._file = PromptFile(Path()) if path is None else read_prompts(path)
        self._template = template
        self.path = path
        if self._file.all.templates and template != TEXT_TEMPLATE:
            raise UsageError(
                "--template has no meaning beside templates for all classes", path, "Leave out one of them"
            )
        for entry in (self._file.all, *self._file.classes.values()):
            for line in entry.templates or ():
                with_line(line, path, check_template)

    @cached_property
    def _classes(self) -> dict[str, Entry]:
        return {class_words(name): entry for name, entry in self._file.classes.items()}

    def told(self) -> dict[str, Any]:
        """The file's digest, for the run file."""
        return {} if self.path is None else {"prompts": file_digest(self.path)}

    @property
    def negates(self) -> bool:
        """Whether there is a negative prompt at all."""
        return any(entry.negative and entry.negative.text for entry in (self._file.all, *self._classes.values()))

    def check(self, classes: Collection[str], kinds: Collection[str]) -> None:
        """Refuse a file that names a class which is not there, or twice, or has nothing to draw a kind with.

        Args:
            classes: those of the bank.
            kinds: of the pictures to be drawn.

        Raises:
            UsageError: the message names the line.
        """
        known = {class_words(cls) for cls in classes}
        seen: set[str] = set()
        for name, entry in self._file.classes.items():
            place = f"line {entry.number}: "
            if class_words(name) not in known:
                what = f"{place}the bank has no class {name!r}{nearest(name, known)}"
                raise UsageError(what, self.path, f"Correct or remove it. There are: {', '.join(sorted(known))}")
            if class_words(name) in seen:
                raise UsageError(f"{place}names the class {class_words(name)!r} twice", self.path, "Keep one of them")
            seen.add(class_words(name))
        for cls in sorted(classes):
            for kind in sorted(kinds):
                self._check_kind(cls, kind)

    def _check_kind(self, cls: str, kind: str) -> None:
        lines = self._lines(cls)
        needed, remedy = _NEEDS[kind]
        if lines and not self._templates(cls, kind):
            what = f"line {lines[0].number}: none of the templates of {cls} holds {needed}, so no {kind} picture of it"
            raise UsageError(f"{what} can be drawn", self.path, f"Add {needed} to one, or pass {remedy}")

    def _entry(self, cls: str) -> Entry:
        own, general = self._classes.get(class_words(cls), Entry()), self._file.all
        templates = general.templates if own.templates is None else own.templates
        return Entry(templates, general.negative if own.negative is None else own.negative)

    def _lines(self, cls: str) -> Sequence[Line]:
        return self._entry(cls).templates or ()

    def _templates(self, cls: str, kind: str) -> list[Line]:
        return [line for line in self._lines(cls) if _NEEDS[kind][0] in line.text]

    def negative(self, cls: str) -> str:
        """The negative prompt of a class, "" for none."""
        line = self._entry(cls).negative
        return "" if line is None else line.text

    def inputs(self, cls: str) -> dict[str, str]:
        """What the file says of a class, as an input of its pictures; empty where that is nothing."""
        texts = [line.text for line in self._lines(cls)]
        if not texts and not self.negative(cls):
            return {}
        return {LIST: joint_digest({"templates": json.dumps(texts), "negative": self.negative(cls)})}

    def parameters(self, cls: str, kind: str, item_id: str, seed: int) -> dict[str, str]:
        """The template drawn for a picture and the negative prompt, each where the file says something of it."""
        lines = self._templates(cls, kind)
        drawn = {}
        if lines:
            rng = np.random.default_rng(item_seed(seed, f"{item_id}/template"))
            drawn["template"] = lines[int(rng.integers(len(lines)))].text
        return drawn | ({"negative": self.negative(cls)} if self.negative(cls) else {})

    def prompt(self, cls: str, template: str | None, embedding: Embedding | None) -> Prompt:
        """A picture's prompt.

        Args:
            template: that drawn for it; None for the embedding's own, or that of text pictures.
            embedding: None for a text picture.
        """
        if embedding is None:
            return Prompt(template or self._template, class_words(cls))
        return embedding_prompt(embedding, cls, template)

    def check_prompts(self, about: Description, cls: str, embedding: Embedding | None) -> None:
        """Refuse what is too long for the model's text encoders (InputError): any prompt a picture might have."""
        lines = self._templates(cls, TEXT if embedding is None else INVERTED)
        if not lines:
            about.check_prompt(self.prompt(cls, None, embedding))
        for line in lines:
            with_line(line, self.path, lambda template: about.check_prompt(self.prompt(cls, template, embedding)))
        negative = self._entry(cls).negative
        if negative and negative.text:
            with_line(negative, self.path, lambda text: about.check_prompt(Prompt("{class}", text)))


def with_line(line: Line, path: Path | None, check: Any) -> None:
    """Check a text of the file; what is wrong with it is told with its line."""
    try:
        check(line.text)
    except (UsageError, InputError) as error:
        raise type(error)(f"line {line.number}: {error.what}", path, error.remedy) from error


def prompt_words(prompt: str, cls: str) -> str:
    """A recorded prompt without v*, with the class's name where v* stood for it: what a picture should show."""
    words = " ".join(word for word in prompt.split() if word != "v*")
    return words if class_words(cls) in words else f"{words} {class_words(cls)}"


def kinds_of(counts: tuple[int, int]) -> Iterator[str]:
    """The kinds of pictures that there are some of, by (inverted, text)."""
    return (kind for kind, count in zip((INVERTED, TEXT), counts, strict=True) if count)
