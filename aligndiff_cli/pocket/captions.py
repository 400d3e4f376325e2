"""Captions of the pocket model's training pictures, and all the words it knows."""

from __future__ import annotations

import numpy as np

from aligndiff_cli.datasets import emoji_classes as classes
from aligndiff_cli.datasets.emoji_classes import prompt_name
from aligndiff_cli.datasets.emoji_pictures import BACKGROUNDS, TINTS, Placement

STYLES = {"noto": "shaded", "twemoji": "flat", "emojione": "detailed", "fluent-emoji-flat": "rounded"}
"""The artists the diffusion model is trained on, and the adjective for each one's way of drawing."""

SIZES = ("small", "large")
SLANTS = ("tilted", "upright")
GENERIC = ("object", "thing")

EMPTY_SHARE = 0.1
"""Share of empty captions, for classifier-free guidance."""

UNNAMED_SHARE = 0.1
"""Share of captions whose noun is no name (a made-up word, "object", "thing"): it teaches that an unknown noun
still means the thing in the picture, and leaves the say to the adjectives."""

TINTED_SHARE = 0.2


def known_words() -> list[str]:
    """Every word of the captions, sorted; each is one token."""
    words = {"a", "photo", "of", "the", "good", "with", "and", "picture", *GENERIC, *SIZES, *SLANTS}
    words |= set(STYLES.values()) | set(BACKGROUNDS) | set(TINTS)
    for concept in classes.KNOWN:
        words |= set(prompt_name(concept).split())
    return sorted(words)


def true_adjectives(artist: str, background: str, placement: Placement) -> list[str]:
    """The adjectives that hold for a picture of this making."""
    words = [STYLES[artist], background]
    if placement.scale < 0.68:
        words.append("small")
    elif placement.scale > 0.82:
        words.append("large")
    words.append("tilted" if abs(placement.angle) > 4 else "upright")
    return words


def caption(rng: np.random.Generator, concept: str, adjectives: list[str], tint: str | None) -> str:
    """``"a photo of a {0-2 adjectives} {class}"``; a tinted object's colour is always said.

    Args:
        rng: the only source of chance.
        concept: the class in the picture.
        adjectives: those that hold; up to two are said.
        tint: the word for the object's dye, if it is dyed.
    """
    if rng.random() < EMPTY_SHARE:
        return ""
    count = int(rng.choice(3, p=(0.45, 0.35, 0.2)))
    said = [str(word) for word in rng.permutation(adjectives)[:count]]
    if tint is not None:
        said = [*said[:1], tint]
    noun = prompt_name(concept)
    if rng.random() < UNNAMED_SHARE:
        noun = GENERIC[rng.integers(2)] if rng.random() < 0.3 else _made_up_word(rng)
    return " ".join(["a photo of a", *said, noun])


def _made_up_word(rng: np.random.Generator) -> str:
    letters = rng.choice(list("abcdefghijklmnopqrstuvwxyz"), int(rng.integers(3, 11)))
    return "".join(letters)
