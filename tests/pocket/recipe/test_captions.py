from __future__ import annotations

import numpy as np

from aligndiff_cli.datasets import emoji_classes as classes
from aligndiff_cli.datasets.emoji_pictures import Pose
from aligndiff_cli.pocket.recipe.captions import Caption, draw_caption, known_words, true_adjectives


def drawn(name: str | None = "hot pepper", count: int = 4000, looks_share: float = 0.5) -> list[Caption]:
    adjectives = ["flat", "sunny", "good"]
    return [draw_caption(np.random.default_rng(i), name, adjectives, looks_share) for i in range(count)]


def share(captions: list[Caption], holds: list[bool]) -> float:
    return sum(holds) / len(captions)


def test_a_tenth_of_the_captions_is_empty() -> None:
    assert 0.08 < share(drawn(), [c.text == "" for c in drawn()]) < 0.12


def test_half_of_the_others_have_looks_and_two_fifths_of_these_no_name() -> None:
    spoken = [c for c in drawn() if c.text]
    looks = [c for c in spoken if c.looks]
    assert 0.46 < len(looks) / len(spoken) < 0.54
    unnamed = [c for c in looks if not c.text.endswith("good hot pepper")]
    assert 0.36 < len(unnamed) / len(looks) < 0.44
    assert all(c.text.split()[-2] == "good" for c in unnamed)
    assert {"object", "thing"} < {c.text.split()[-1] for c in unnamed}
    assert all(c.text.split().count("good") == 1 for c in looks)


def test_without_looks_captions_are_plain() -> None:
    plain = [c for c in drawn(looks_share=0.0) if c.text]
    assert not any(c.looks for c in plain)
    said = [c.text.removeprefix("a photo of a").removesuffix("hot pepper").split() for c in plain]
    assert {len(words) for words in said} == {0, 1, 2}
    assert {word for words in said for word in words} == {"flat", "sunny", "good"}
    assert all(len(set(words)) == len(words) for words in said)


def test_a_drawing_without_a_name_is_known_by_its_looks_alone() -> None:
    spoken = [c for c in drawn(None, 300, looks_share=0.0) if c.text]
    assert all(c.looks for c in spoken)
    assert not any("pepper" in c.text for c in spoken)


def test_adjectives_follow_from_how_the_picture_was_made() -> None:
    assert true_adjectives("noto", "sandy", Pose(0.7, 4.0, False)) == ["shaded", "sandy", "good", "small"]
    assert true_adjectives("twemoji", "rosy", Pose(0.9, 0.0, False)) == ["flat", "rosy", "good", "large"]
    assert true_adjectives("fluent-emoji", "rosy", Pose(0.8, 0.0, True)) == ["solid", "rosy", "good"]
    assert true_adjectives("fxemoji", "rosy", Pose(0.8, 0.0, True)) == ["rosy", "good"]


def test_every_word_of_a_taught_name_is_known_and_rare_names_are_not() -> None:
    words = set(known_words())
    assert all(word in words for name in (*classes.KNOWN, *classes.FSS_TRAIN) for word in name.split("-"))
    assert not any(name in words for name in classes.OOD)
