from __future__ import annotations

import pytest

from aligndiff_cli.datasets import emoji_classes as classes
from aligndiff_cli.errors import UsageError


def test_emoji_5i_has_four_folds_of_five_in_alphabetical_order() -> None:
    assert [len(fold) for fold in classes.EMOJI_5I] == [5, 5, 5, 5]
    assert list(classes.EMOJI_5I_CLASSES) == sorted(set(classes.EMOJI_5I_CLASSES))


def test_no_class_plays_two_parts() -> None:
    parts = (classes.FSS_TRAIN, classes.FSS_VAL, classes.FSS_TEST)
    assert sum(map(len, parts)) == len({name for part in parts for name in part})
    assert not set(classes.KNOWN) & set(classes.OOD)
    assert set(classes.KNOWN) | set(classes.OOD) == set(classes.FSS_VAL) | set(classes.FSS_TEST)
    assert len(classes.OOD_TEST) >= 20


@pytest.mark.parametrize("name", ["two-hump-camel", "shortcake", "squid", "evergreen-tree", "horse-face", "old-key"])
def test_drawings_of_the_same_thing_are_in_no_list(name: str) -> None:
    assert name not in {*classes.FSS_TRAIN, *classes.KNOWN, *classes.OOD}


@pytest.mark.parametrize(("fold", "ids"), [(0, (1, 2, 3, 4, 5)), (3, (16, 17, 18, 19, 20))])
def test_novel_ids(fold: int, ids: tuple[int, ...]) -> None:
    assert classes.novel_ids(fold) == ids
    assert [classes.EMOJI_5I_CLASSES[i - 1] for i in ids] == list(classes.EMOJI_5I[fold])


@pytest.mark.parametrize("fold", [-1, 4])
def test_no_other_folds(fold: int) -> None:
    with pytest.raises(UsageError, match="folds 0 to 3"):
        classes.novel_ids(fold)


def test_prompts_say_names_with_spaces() -> None:
    assert classes.prompt_name("high-heeled-shoe") == "high heeled shoe"
