"""Captions of the pocket model's training pictures, and all the words it knows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from aligndiff_cli.datasets.emoji_classes import prompt_name
from aligndiff_cli.datasets.emoji_pictures import BACKGROUNDS, Pose
from aligndiff_cli.pocket.recipe.drawings import NAMED, STYLES

SIZES = ("small", "large")
GENERIC = ("object", "thing")
GOOD = "good"
"""An adjective that says nothing: it holds of every picture, it keeps the place of a vector of looks, and v* starts
from it."""

EMPTY_SHARE = 0.1
"""Share of empty captions, for classifier-free guidance."""

LOOKS_SHARE = 0.5
"""Share of the other captions whose adjective is not a word but a vector of looks."""

UNNAMED_SHARE = 0.4
"""Share of captions with looks whose noun is no name (a made-up word, "object", "thing")."""


@dataclass(frozen=True)
class Caption:
    """What a picture is said to be.

    Attributes:
        text: the caption; `GOOD` is where a vector of looks goes.
        looks: whether it has one.
    """

    text: str
    looks: bool = False


def known_words() -> list[str]:
    """Every word of the captions, sorted; each is one token."""
    words = {"a", "photo", "of", "the", "with", "and", "picture", GOOD, *GENERIC, *SIZES, *STYLES.values()}
    words |= set(BACKGROUNDS)
    for concept in NAMED:
        words |= set(prompt_name(concept).split())
    return sorted(words)


def true_adjectives(artist: str, background: str, placement: Pose) -> list[str]:
    """The adjectives that hold for a picture of this making."""
    words = [background, GOOD]
    if artist in STYLES:  # there is no word for the unseen one
        words.insert(0, STYLES[artist])
    if placement.scale < 0.76:
        words.append("small")
    elif placement.scale > 0.84:
        words.append("large")
    return words


def draw_caption(
    rng: np.random.Generator, name: str | None, adjectives: list[str], looks_share: float = LOOKS_SHARE
) -> Caption:
    """``"a photo of a {adjectives} {class}"``, or with a vector of looks before the class.

    Args:
        rng: the only source of chance.
        name: the class as a prompt says it; None for a drawing without a name, whose caption always has looks.
        adjectives: those that hold, `true_adjectives`: up to two are said in plain captions, up to one besides looks.
        looks_share: how many captions of named drawings have looks.
    """
    if rng.random() < EMPTY_SHARE:
        return Caption("")
    if name is None or rng.random() < looks_share:
        said = [word for word in rng.permutation(adjectives)[: int(rng.random() < 0.3)] if word != GOOD]
        noun = name if name is not None and rng.random() >= UNNAMED_SHARE else _no_name(rng)
        return Caption(" ".join(["a photo of a", *said, GOOD, noun]), looks=True)
    count = int(rng.choice(3, p=(0.45, 0.35, 0.2)))
    return Caption(" ".join(["a photo of a", *rng.permutation(adjectives)[:count], name]))


def _no_name(rng: np.random.Generator) -> str:
    if rng.random() < 0.3:
        return GENERIC[rng.integers(2)]
    letters = rng.choice(list("abcdefghijklmnopqrstuvwxyz"), int(rng.integers(3, 11)))
    return "".join(letters)
