"""Algorithm 1 with a segmenter whose answers are written down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from aligndiff_cli.method import consensus
from aligndiff_cli.method.consensus import Good, Image, Kept, Mask, Pair, Refined, SoftMap, iou, score
from aligndiff_cli.method.consensus import refine as refine_each

WIDTH = 10


def bar(length: int, start: int = 0, height: int = 3) -> Mask:
    """A mask (height, 10) whose columns start .. start + length are set."""
    mask = np.zeros((height, WIDTH), bool)
    mask[:, start : start + length] = True
    return mask


def image(tag: int) -> Image:
    return np.full((3, WIDTH, 3), tag, np.uint8)


class Seen(np.ndarray):
    """An image that was seen."""


class Scripted:
    """Predicts per image tag; once conditioned on more than the real pair, other maps."""

    batch = 2

    def __init__(self, first: dict[int, SoftMap], second: dict[int, SoftMap]) -> None:
        self.first, self.second = first, second
        self.seen: list[int] = []
        self.unseen: list[int] = []
        self.joined: list[list[Pair]] = []

    def see(self, images: Sequence[Image]) -> list[Image]:
        self.seen += [int(picture[0, 0, 0]) for picture in images]
        return [picture.view(Seen) for picture in images]

    def condition(self, pairs: Sequence[Pair]) -> list[Pair]:
        return list(pairs)

    def join(self, states: Sequence[list[Pair]]) -> list[Pair]:
        if len(states) == 1:
            return states[0]
        self.joined.append([pair for state in states for pair in state])
        return self.joined[-1]

    def predict(self, state: list[Pair], images: Sequence[Image]) -> list[SoftMap]:
        self.unseen += [int(picture[0, 0, 0]) for picture in images if not isinstance(picture, Seen)]
        maps = self.second if self.joined else self.first
        return [maps[int(picture[0, 0, 0])] for picture in images]


def soft(mask: Mask, value: float = 0.9) -> SoftMap:
    return np.where(mask, np.float32(value), np.float32(0.1)).astype(np.float32)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (bar(4), bar(4), 1.0),
        (bar(4), bar(4, 2), 2 / 6),
        (bar(4), bar(4, 5), 0.0),
        (bar(4), bar(0), 0.0),
        (bar(0), bar(0), 0.0),
    ],
)
def test_iou_by_hand(first: Mask, second: Mask, expected: float) -> None:
    assert iou(first, second) == pytest.approx(expected)


def test_an_iou_of_exactly_alpha_is_accepted() -> None:
    assert score(soft(bar(4)), bar(5), alpha=0.8).accepted
    assert not score(soft(bar(4)), bar(5), alpha=0.8001).accepted


def test_scoring_counts_probabilities_from_0_4() -> None:
    assert score(soft(bar(5), 0.4), bar(5)).iou == 1.0
    assert score(soft(bar(5), 0.39), bar(5)).iou == 0.0


def test_the_kept_mask_follows_the_rule() -> None:
    prediction, coarse = soft(bar(5)), bar(6)
    assert np.array_equal(score(prediction, coarse, keep="coarse").mask, bar(6))
    assert np.array_equal(score(prediction, coarse, keep="prediction").mask, bar(5))


@pytest.mark.parametrize("keep", ["coarse", "prediction"])
def test_an_empty_mask_never_joins(keep: str) -> None:
    assert not score(soft(bar(0)), bar(0), alpha=0.0, keep=keep).accepted  # type: ignore[arg-type]


def look_of(value: float) -> np.ndarray:
    """Looks a distance apart that is the difference of their values."""
    return np.array([value, *[0.0] * 319], np.float32)


def test_the_strongest_are_pooled_and_ties_go_by_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consensus, "POOL", 3)

    def held(limit: int | None) -> list[int]:
        good = Good[int](limit)
        for index, value in enumerate((0.9, 0.95, 0.8, 0.9, 0.99)):
            if good.takes(value):
                good.offer(index, value, index, look_of(float(index)))
        assert good.states() == good.chosen()
        return good.chosen()

    assert held(None) == [0, 1, 2, 3, 4]
    assert held(4) == [0, 1, 3, 4]
    assert held(3) == [0, 1, 4]
    # of these three the strongest is 4, and 0 looks least like it
    assert held(2) == [0, 4]
    assert held(1) == [4]
    assert held(0) == []


REAL = [(image(100), bar(3))]


def refine(*arguments: Any, **options: Any) -> list[Refined]:
    """All results, in the order of the images."""
    found = dict(refine_each(*arguments, **options))
    return [found[index] for index in sorted(found)]


def case() -> tuple[Scripted, list[Image], list[Mask]]:
    """Image 0 agrees with its coarse mask (5/6), image 1 does not (2/8), image 2 fully."""
    first = {0: soft(bar(5)), 1: soft(bar(2)), 2: soft(bar(4))}
    second = {0: soft(bar(9)), 1: soft(bar(7)), 2: soft(bar(9))}
    return Scripted(first, second), [image(i) for i in range(3)], [bar(6), bar(8), bar(4)]


def test_agreeing_pairs_join_and_the_rest_is_estimated_again() -> None:
    segmenter, images, coarse = case()
    results = refine(segmenter, REAL, images, coarse)
    assert [(r.accepted, r.round) for r in results] == [(True, 1), (False, 2), (True, 1)]
    assert [r.iou for r in results] == pytest.approx([5 / 6, 2 / 8, 1.0])
    for result, expected in zip(results, (bar(6), bar(7), bar(4)), strict=True):
        assert np.array_equal(result.mask, expected)
    supports = segmenter.joined[-1]
    assert [int(picture[0, 0, 0]) for picture, _ in supports] == [100, 0, 2]
    assert np.array_equal(supports[1][1], bar(6))


def test_predictions_can_be_kept_instead() -> None:
    segmenter, images, coarse = case()
    results = refine(segmenter, REAL, images, coarse, keep="prediction")
    assert np.array_equal(results[0].mask, bar(5))
    assert np.array_equal(segmenter.joined[-1][1][1], bar(5))


def test_estimates_are_cut_at_0_5() -> None:
    segmenter, images, coarse = case()
    segmenter.second[1] = soft(bar(7), 0.49)
    assert not refine(segmenter, REAL, images, coarse)[1].mask.any()
    segmenter, images, coarse = case()
    segmenter.second[1] = soft(bar(7), 0.5)
    assert refine(segmenter, REAL, images, coarse)[1].mask.any()


def test_the_cap_is_of_accepted_pairs_alone() -> None:
    segmenter, images, coarse = case()
    refine(segmenter, REAL * 5, images, coarse, max_supports=2)
    assert [int(picture[0, 0, 0]) for picture, _ in segmenter.joined[-1]] == [100] * 5 + [0, 2]
    segmenter, images, coarse = case()
    results = refine(segmenter, REAL, images, coarse, max_supports=1)
    assert [int(picture[0, 0, 0]) for picture, _ in segmenter.joined[-1]] == [100, 2]
    assert [r.accepted for r in results] == [True, False, True]
    segmenter, images, coarse = case()
    refine(segmenter, REAL, images, coarse, max_supports=0)
    assert segmenter.joined == []


def test_all_accepted_pairs_join_beside_any_number_of_real_ones() -> None:
    count = 40
    maps = {tag: soft(bar(4 if tag else 2)) for tag in range(count + 1)}
    segmenter = Scripted(maps, maps)
    refine(segmenter, REAL * 5, [image(tag) for tag in range(count + 1)], [bar(4)] * (count + 1))
    tags = [int(picture[0, 0, 0]) for picture, _ in segmenter.joined[-1]]
    assert tags == [100] * 5 + list(range(1, count + 1))


def test_nothing_accepted_estimates_from_the_real_pairs_alone() -> None:
    segmenter, images, coarse = case()
    results = refine(segmenter, REAL, images, coarse, alpha=math.inf)
    assert all(not r.accepted and r.round == 2 for r in results)
    assert segmenter.joined == []
    assert np.array_equal(results[1].mask, bar(2))


def test_everything_accepted_needs_no_second_round() -> None:
    segmenter, images, coarse = case()
    results = refine(segmenter, REAL, images, coarse, alpha=0.0)
    assert all(r.accepted and r.round == 1 for r in results)
    assert segmenter.joined == []


BYTES = 3 * WIDTH * 3
"""Of one image as Scripted sees it."""


@pytest.mark.parametrize(("limit", "again"), [(2 * BYTES, []), (2 * BYTES - 1, [3]), (0, [1, 3])])
def test_what_is_rejected_is_seen_again_only_beyond_the_limit(limit: int, again: list[int]) -> None:
    maps = {tag: soft(bar(2 if tag % 2 else 5)) for tag in range(4)}
    segmenter = Scripted(maps, {tag: soft(bar(tag + 1)) for tag in range(4)})
    results = refine(segmenter, REAL, [image(tag) for tag in range(4)], [bar(5)] * 4, kept_bytes=limit)
    assert segmenter.seen == [0, 1, 2, 3]
    assert segmenter.unseen == again
    assert [int(result.mask[0].sum()) for result in results] == [5, 2, 5, 4]


def test_what_was_seen_is_kept_until_there_is_no_room() -> None:
    segmenter, pictures = Scripted({}, {}), {name: image(tag) for tag, name in enumerate("abcde")}
    kept: Kept[str, Image] = Kept(segmenter, 3 * BYTES + 1)
    kept.keep("d", pictures["d"])
    found = kept.see({name: pictures[name] for name in "ecdab"})
    assert {name: int(view[0, 0, 0]) for name, view in found.items()} == {"e": 4, "c": 2, "d": 3, "a": 0, "b": 1}
    # two at once: of the second two the first has no room
    assert segmenter.seen == [4, 2, 0, 1]
    assert kept.see(pictures).keys() == pictures.keys()
    assert segmenter.seen == [4, 2, 0, 1]
    assert kept.get("e", {"e": image(9)})[0, 0, 0] == 4
    assert kept.get("a", {"a": image(9)})[0, 0, 0] == 9


def test_no_images_give_no_results() -> None:
    assert refine(case()[0], REAL, [], []) == []


def test_coarse_masks_must_be_in_step() -> None:
    segmenter, images, coarse = case()
    with pytest.raises(ValueError, match="3 images but 2 coarse masks"):
        refine(segmenter, REAL, images, coarse[:2])
