from __future__ import annotations

import numpy as np
import pytest

from aligndiff_cli.method.memory import class_balanced_subset


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def counts(classes_of: list[set[int]], chosen: list[int]) -> dict[int, int]:
    classes = sorted(set().union(*classes_of))
    return {c: sum(c in classes_of[i] for i in chosen) for c in classes}


def test_single_class_images_are_taken_evenly() -> None:
    classes_of = [{1}] * 100 + [{2}] * 10 + [{3}] * 40
    chosen = class_balanced_subset(classes_of, rng(), size=30)
    assert len(set(chosen)) == 30
    assert counts(classes_of, chosen) == {1: 10, 2: 10, 3: 10}


def test_a_share_that_does_not_divide_differs_by_one() -> None:
    classes_of = [{1}] * 9 + [{2}] * 9 + [{3}] * 9
    assert sorted(counts(classes_of, class_balanced_subset(classes_of, rng(), size=10)).values()) == [3, 3, 4]


def test_a_poor_class_leaves_its_share_to_the_others() -> None:
    classes_of = [{1}] * 50 + [{2}] * 2 + [{3}] * 50
    chosen = class_balanced_subset(classes_of, rng(), size=30)
    assert counts(classes_of, chosen) == {1: 14, 2: 2, 3: 14}


def test_an_image_counts_for_every_class_it_shows() -> None:
    # whatever is drawn brings class 1 along, which leaves all the drawing to classes 2 and 3
    classes_of = [{1, 2}] * 20 + [{1, 3}] * 20 + [{1}] * 60
    chosen = class_balanced_subset(classes_of, rng(), size=20)
    shown = counts(classes_of, chosen)
    assert shown[1] == 20
    assert min(shown[2], shown[3]) >= 9


def test_every_prefix_is_balanced() -> None:
    classes_of = [{c} for c in (5, 6, 7) for _ in range(20)]
    chosen = class_balanced_subset(classes_of, rng(3), size=30)
    for length in range(1, 31):
        shown = counts(classes_of, chosen[:length]).values()
        assert max(shown) - min(shown) <= 1


def test_images_without_a_class_are_never_chosen_and_too_large_a_memory_takes_the_rest() -> None:
    classes_of: list[set[int]] = [set(), {1}, {2}, set(), {1, 2}]
    assert sorted(class_balanced_subset(classes_of, rng(), size=500)) == [1, 2, 4]
    assert class_balanced_subset([], rng()) == []


def test_same_seed_same_memory_other_seed_another() -> None:
    classes_of = [{i % 4} for i in range(200)]
    assert class_balanced_subset(classes_of, rng(1), 20) == class_balanced_subset(classes_of, rng(1), 20)
    assert class_balanced_subset(classes_of, rng(1), 20) != class_balanced_subset(classes_of, rng(2), 20)


def test_order_within_an_image_does_not_matter() -> None:
    there = [[1, 2, 3], [2, 1], [3], [1, 3]] * 10
    back = [list(reversed(classes)) for classes in there]
    assert class_balanced_subset(there, rng(), 9) == class_balanced_subset(back, rng(), 9)


def test_a_memory_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        class_balanced_subset([{1}], rng(), size=0)
