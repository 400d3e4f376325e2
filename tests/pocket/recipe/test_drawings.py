from __future__ import annotations

from aligndiff_cli.datasets import emoji_classes as classes
from aligndiff_cli.datasets.emoji_sprites import ARTISTS
from aligndiff_cli.pocket.recipe.drawings import NAMED, STYLES, UNNAMED, UNSEEN_ARTIST


def test_rare_classes_are_in_no_list() -> None:
    assert not set(classes.OOD) & {*NAMED, *UNNAMED}


def test_no_unnamed_drawing_has_a_taught_name() -> None:
    assert len(set(UNNAMED)) == len(UNNAMED)
    assert not set(UNNAMED) & set(NAMED)
    assert set(classes.KNOWN) < set(NAMED)


def test_six_artists_teach_and_the_seventh_is_left_out() -> None:
    assert set(STYLES) | {UNSEEN_ARTIST} == set(ARTISTS)
    assert UNSEEN_ARTIST not in STYLES
    assert len(set(STYLES.values())) == len(STYLES)
