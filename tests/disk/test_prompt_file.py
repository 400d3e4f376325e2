"""Files of prompts: what they may say, and what is told of one that cannot be meant so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from aligndiff_cli.disk.prompt_file import Entry, Line, read_prompts
from aligndiff_cli.errors import UsageError

WHOLE = """\
templates:
  - a photo of a {v*} {class}
  - "{v*} {class},
    large"
negative: blurry, text
classes:
  chess queen:
    templates: ['a {class}']
  dog:
    negative: ""
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "prompts.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_all_parts(tmp_path: Path) -> None:
    found = read_prompts(written(tmp_path, WHOLE))
    assert found.all.templates == (Line("a photo of a {v*} {class}", 2), Line("{v*} {class}, large", 3))
    assert found.all.negative == Line("blurry, text", 5)
    assert found.classes == {
        "chess queen": Entry((Line("a {class}", 8),), None, 8),
        "dog": Entry(None, Line("", 10), 10),
    }


def test_names_are_taken_as_they_stand(tmp_path: Path) -> None:
    """Not as what YAML makes of them; a byte order mark is no part of the first."""
    path = written(tmp_path, "\ufeffclasses:\n  no: {negative: yes}\n  010: {negative: 1_0}\n")
    assert {name: entry.negative.text for name, entry in read_prompts(path).classes.items() if entry.negative} == {
        "no": "yes",
        "010": "1_0",
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "line 1: the file: expected parts by name, got nothing"),
        ("- a {class}", "line 1: the file: expected parts by name, got a list"),
        ("negative: a\ntemplates: []", "line 2: templates: the list is empty"),
        ("templates: a {class}", "line 1: templates: expected a list, got a single value"),
        ("templates:\n- a\n- {v*} {class}", "line 3: is not YAML"),
        ("templates:\n- {class}", "line 2: templates: expected a text, got parts by name. Quote a text"),
        ("templates:\n-", "line 2: templates: expected a text, got nothing"),
        ("negative:", "line 1: negative: expected a text, got nothing"),
        ("negative: [a]", "line 1: negative: expected a text, got a list"),
        ("\nnegatve: a", "line 2: the file has no part called 'negatve'. Known: templates, negative, classes"),
        ("negative: a\nnegative: b", "line 2: the file names 'negative' twice"),
        ("classes:\n  dog:\n", "line 2: dog: expected parts by name, got nothing"),
        ("classes:\n  dog: {}\n", "line 2: dog says nothing"),
        ("classes:\n  dog: {classes: a}\n", "line 2: dog has no part called 'classes'"),
        ("classes:\n  dog: {negative: a}\n  dog: {negative: b}\n", "line 3: classes names 'dog' twice"),
        ("classes:\n  ? [dog]\n  : a", "line 2: classes: expected the name of a part, got a list"),
        ("classes: [", "line 1: is not YAML"),
        ("a: !!python/object/apply:os.system [ls]", "line 1: the file has no part called 'a'"),
    ],
)
def test_what_cannot_be_meant_names_file_and_line(tmp_path: Path, text: str, reason: str) -> None:
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        read_prompts(path)
    assert str(caught.value).startswith(f"{path}: {reason}")
    assert caught.value.remedy


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe", "latin"])
def test_what_is_no_text_file_says_so(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "prompts.yaml"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind == "latin":
        path.write_bytes("negative: für".encode("latin-1"))
    reason = {
        "missing": r"cannot be read \(No such file or directory\)",
        "folder": r"cannot be read \(Is a directory\)",
        "pipe": "is no file, but a pipe",
        "latin": "is not text in UTF-8",
    }[kind]
    with pytest.raises(UsageError, match=reason):
        read_prompts(path)
