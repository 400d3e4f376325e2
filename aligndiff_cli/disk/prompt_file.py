"""A file of prompts, in YAML: templates and a negative prompt, for all classes or for one.

::

    templates:                      # of every class without templates of its own
      - a photo of a {v*} {class}
      - a close-up of a {v*} {class}
    negative: blurry, text
    classes:
      chess_queen:
        templates:
          - a {v*} {class} on a board
        negative: ""                # none

Every part may be left out. A template that begins with a brace needs quotes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from aligndiff_cli.disk.regular import regular
from aligndiff_cli.errors import InputError, UsageError

REMEDY = "Write it as `aligndiff generate --help` shows"
QUOTES = "quote a text that begins with a brace, or holds a colon or a comma in brackets"


@dataclass(frozen=True)
class Line:
    """A text of the file, and the number of its line from 1."""

    text: str
    number: int


@dataclass(frozen=True)
class Entry:
    """What is said of all classes, or of one.

    Attributes:
        templates: at least one; None where nothing is said.
        negative: None where nothing is said, empty for none.
        number: line it begins at.
    """

    templates: tuple[Line, ...] | None = None
    negative: Line | None = None
    number: int = 1


@dataclass(frozen=True)
class PromptFile:
    """A file of prompts.

    Attributes:
        all: of every class that says nothing of its own.
        classes: by their names as written.
    """

    path: Path
    all: Entry = field(default_factory=Entry)
    classes: Mapping[str, Entry] = field(default_factory=dict)


def read_prompts(path: Path) -> PromptFile:
    """Read a file of prompts.

    Raises:
        UsageError: it cannot be read, is not YAML, or a part of it cannot be meant so; the message names the line.
    """
    try:
        top = yaml.compose(regular(path).read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f"line {error.problem_mark.line + 1}: "
        raise UsageError(f"{line}is not YAML ({error.problem})", path, f"Correct it; {QUOTES}") from error
    except InputError as error:
        raise UsageError(error.what, path, error.remedy) from error
    except OSError as error:
        raise UsageError(f"cannot be read ({error.strerror})", path, "Give the file of prompts as --prompts") from error
    except UnicodeDecodeError as error:
        raise UsageError("is not text in UTF-8", path, REMEDY) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"cannot be read as YAML ({error})", path, REMEDY) from error
    reader = _Reader(path)
    parts = reader.parts(top, "the file", ("templates", "negative", "classes"))
    classes: dict[str, Entry] = {}
    for key, node in reader.named(parts["classes"], "classes") if "classes" in parts else ():
        classes[key] = reader.entry(node, key)
    return PromptFile(path, reader.entry_of(parts, 1), classes)


class _Reader:
    """Turns nodes of YAML into entries; every complaint names the file and the line."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def entry(self, node: Any, name: str) -> Entry:
        return self.entry_of(self.parts(node, name, ("templates", "negative")), _line(node))

    def entry_of(self, parts: Mapping[str, Any], number: int) -> Entry:
        templates = self._templates(parts["templates"]) if "templates" in parts else None
        negative = self._text(parts["negative"], "negative") if "negative" in parts else None
        return Entry(templates, negative, number)

    def parts(self, node: Any, name: str, known: tuple[str, ...]) -> dict[str, Any]:
        found = dict(self.named(node, name))
        for key, value in found.items():
            if key not in known:
                raise self._wrong(value, f"{name} has no part called {key!r}", f"Known: {', '.join(known)}")
        if not found:
            raise self._wrong(node, f"{name} says nothing", "Give it templates or a negative prompt, or remove it")
        return found

    def named(self, node: Any, name: str) -> Iterator[tuple[str, Any]]:
        if not isinstance(node, yaml.MappingNode):
            raise self._wrong(node, f"{name}: expected parts by name, got {_kind(node)}", REMEDY)
        seen = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._wrong(
                    key, f"{name}: expected the name of a part, got {_kind(key)}", f"{QUOTES}".capitalize()
                )
            if key.value in seen:
                raise self._wrong(key, f"{name} names {key.value!r} twice", "Keep one of them")
            seen.add(key.value)
            yield key.value, value

    def _templates(self, node: Any) -> tuple[Line, ...]:
        if not isinstance(node, yaml.SequenceNode):
            raise self._wrong(
                node, f"templates: expected a list, got {_kind(node)}", "One template a line, after a dash"
            )
        if not node.value:
            raise self._wrong(node, "templates: the list is empty", "Give a template, or remove the list")
        return tuple(self._text(one, "templates") for one in node.value)

    def _text(self, node: Any, name: str) -> Line:
        if not isinstance(node, yaml.ScalarNode):
            raise self._wrong(node, f"{name}: expected a text, got {_kind(node)}", QUOTES.capitalize())
        if node.tag == "tag:yaml.org,2002:null" and node.style is None:
            raise self._wrong(node, f"{name}: expected a text, got nothing", 'Give one, or remove it; "" is none')
        return Line(" ".join(node.value.split()), _line(node))

    def _wrong(self, node: Any, what: str, remedy: str) -> UsageError:
        return UsageError(f"line {_line(node)}: {what}", self._path, remedy)


def _line(node: Any) -> int:
    return 1 if node is None else int(node.start_mark.line) + 1


def _kind(node: Any) -> str:
    if node is None or node.tag == "tag:yaml.org,2002:null":
        return "nothing"
    return {"mapping": "parts by name", "sequence": "a list", "scalar": "a single value"}[node.id]
