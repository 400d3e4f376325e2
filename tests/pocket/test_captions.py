from __future__ import annotations

import numpy as np

from aligndiff_cli.datasets import emoji_classes as classes
from aligndiff_cli.datasets.emoji_pictures import Placement
from aligndiff_cli.pocket.captions import caption, known_words, true_adjectives


def drawn(tint: str | None = None, count: int = 2000) -> list[str]:
    return [caption(np.random.default_rng(i), "hot-pepper", ["flat", "sunny", "upright"], tint) for i in range(count)]


def test_a_tenth_of_the_captions_is_empty() -> None:
    assert 0.07 < drawn().count("") / 2000 < 0.13


def test_captions_say_none_to_two_true_adjectives_before_the_class() -> None:
    named = [text for text in drawn() if text.endswith("hot pepper")]
    said = [text.removeprefix("a photo of a").removesuffix("hot pepper").split() for text in named]
    assert {len(words) for words in said} == {0, 1, 2}
    assert {word for words in said for word in words} == {"flat", "sunny", "upright"}
    assert all(len(set(words)) == len(words) for words in said)


def test_a_tenth_of_the_nouns_is_no_name() -> None:
    spoken = [text for text in drawn() if text]
    unnamed = [text for text in spoken if not text.endswith("hot pepper")]
    assert 0.07 < len(unnamed) / len(spoken) < 0.13
    assert {"object", "thing"} < {text.split()[-1] for text in unnamed}


def test_the_colour_of_a_dyed_object_is_always_said() -> None:
    assert all("purple" in text.split() for text in drawn("purple", 300) if text)


def test_adjectives_follow_from_how_the_picture_was_made() -> None:
    assert true_adjectives("noto", "sandy", Placement(0.6, 7.0, False)) == ["shaded", "sandy", "small", "tilted"]
    assert true_adjectives("twemoji", "rosy", Placement(0.9, -1.0, False)) == ["flat", "rosy", "large", "upright"]
    assert true_adjectives("twemoji", "rosy", Placement(0.75, -5.0, False)) == ["flat", "rosy", "tilted"]


def test_every_word_of_a_known_name_is_known_and_rare_names_are_not() -> None:
    words = set(known_words())
    assert all(word in words for name in classes.KNOWN for word in name.split("-"))
    assert not any(name in words for name in classes.OOD)
