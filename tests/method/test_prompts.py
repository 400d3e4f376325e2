"""Prompts: what is rendered, where v* and the class stand, and which templates are refused."""

from __future__ import annotations

import pytest
import torch

from aligndiff_cli.errors import UsageError
from aligndiff_cli.method.prompts import Prompt, Segment, class_words

V = torch.zeros(1, 4)


@pytest.mark.parametrize(
    ("folder", "words"),
    [
        ("dog", "dog"),
        ("chess_queen", "chess queen"),
        ("t-rex", "t rex"),
        (" _éclair__au-chocolat ", "éclair au chocolat"),
    ],
)
def test_class_words(folder: str, words: str) -> None:
    assert class_words(folder) == words


def test_an_absent_adjective_leaves_no_gap() -> None:
    prompt = Prompt("a photo of a {v*} {class}, close up", "chess queen")
    assert prompt.text == str(prompt) == "a photo of a chess queen, close up"
    assert prompt.segments == (
        Segment("text", "a photo of a"),
        Segment("class", "chess queen"),
        Segment("text", ", close up"),
    )


def test_a_present_adjective_has_its_place() -> None:
    prompt = Prompt("a photo of a {v*} {class}", "dog", V)
    assert [segment.role for segment in prompt.segments] == ["text", "v", "class"]
    assert str(prompt) == "a photo of a v* dog"
    assert prompt.text == "a photo of a dog"


def test_v_may_be_the_noun() -> None:
    prompt = Prompt("a photo of a {v*}", "dog", V)
    assert prompt.segments == (Segment("text", "a photo of a"), Segment("v", ""))
    assert str(prompt) == "a photo of a v*"


@pytest.mark.parametrize(
    ("template", "embedding"),
    [
        ("a photo", V),
        ("a photo", None),
        ("{v*} {v*} {class}", V),
        ("{class} and {class}", None),
        ("a {adjective} {class}", None),
        ("a {v*}{class}", V),
        ("two {class}s", None),
        ("un{v*} {class}", V),
        ("a photo of a {v*}", None),
        ("a photo of a {class}", V),
    ],
)
def test_a_template_that_cannot_be_meant_is_refused(template: str, embedding: torch.Tensor | None) -> None:
    with pytest.raises(UsageError, match="template"):
        Prompt(template, "dog", embedding)


def test_unknown_insertion_is_refused() -> None:
    with pytest.raises(UsageError, match="input, encoded"):
        Prompt("a {v*} {class}", "dog", V, "before")  # type: ignore[arg-type]
