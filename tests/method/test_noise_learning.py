"""Noise learning: folds, who is dropped, and who learns from whom."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from aligndiff_cli.method.noise_learning import deal, judge, learn_noise

IDS = [f"dog/text-{number:04d}" for number in range(7)]


def columns(first: int, last: int, dtype: type = bool) -> np.ndarray:
    """A mask (4, 6) of whole columns."""
    mask = np.zeros((4, 6), dtype)
    mask[:, first:last] = 1
    return mask


def test_folds_are_even_disjoint_and_of_the_seed() -> None:
    folds = deal(IDS, 3, seed=0)
    assert sorted(map(len, folds)) == [2, 2, 3]
    assert sorted(index for fold in folds for index in fold) == list(range(7))
    assert all(fold == sorted(fold) for fold in folds)
    assert deal(IDS, 3, seed=0) == folds
    assert deal(IDS, 3, seed=1) != folds
    named = [{IDS[index] for index in fold} for fold in folds]
    backwards = IDS[::-1]
    assert [{backwards[index] for index in fold} for fold in deal(backwards, 3, seed=0)] == named
    assert deal(IDS[:2], 3, seed=0) in ([[0], [1]], [[1], [0]])
    assert deal([], 3, seed=0) == []


@pytest.mark.parametrize(
    ("predicted", "coarse", "threshold", "keep", "iou", "kept"),
    [
        (columns(0, 3), columns(0, 2), 0.6, "coarse", 2 / 3, columns(0, 2)),
        (columns(0, 3), columns(0, 2), 0.6, "prediction", 2 / 3, columns(0, 3)),
        (columns(0, 3), columns(0, 2), 0.7, "coarse", 2 / 3, None),
        (columns(0, 2), columns(4, 6), 0.6, "coarse", 0.0, None),
        (columns(0, 0), columns(0, 2), 0.0, "prediction", 0.0, None),
        (columns(0, 0), columns(0, 0), 0.0, "coarse", 0.0, None),
        (columns(0, 2), columns(4, 6), 0.0, "coarse", 0.0, columns(4, 6)),
    ],
)
def test_judge(predicted, coarse, threshold, keep, iou, kept) -> None:
    found = judge(predicted * np.float32(0.5), coarse, threshold=threshold, keep=keep)
    assert found.iou == pytest.approx(iou)
    assert found.accepted == (kept is not None)
    assert found.round == 1
    np.testing.assert_array_equal(found.mask, columns(0, 0) if kept is None else kept)


class Majority:
    """Predicts, for any image, the pixels most of the chosen masks have."""

    def __init__(self) -> None:
        self.trainings: list[tuple[str, list[int]]] = []

    def learn(self, images: Sequence, masks: Sequence, chosen: Sequence[int], name: str):
        self.trainings.append((name, list(chosen)))
        soft = np.mean([masks[index] for index in chosen], axis=0, dtype=np.float32)
        return lambda some: [soft for _ in some]


def test_the_mask_unlike_the_others_is_dropped() -> None:
    images = [np.zeros((4, 6, 3), np.uint8)] * 7
    coarse = [columns(0, 3)] * 6 + [columns(3, 6)]
    learner = Majority()
    results = dict(learn_noise(learner, IDS, images, coarse, folds=3, seed=4))
    assert [results[index].accepted for index in range(7)] == [True] * 6 + [False]
    assert results[0].iou == 1
    assert not results[6].mask.any()
    folds = deal(IDS, 3, seed=4)
    assert learner.trainings == [
        (f"fold/{number}", sorted(set(range(7)) - set(fold))) for number, fold in enumerate(folds)
    ]


def test_a_single_image_has_nothing_to_be_judged_by() -> None:
    [(index, result)] = learn_noise(Majority(), IDS[:1], [np.zeros((4, 6, 3), np.uint8)], [columns(0, 3)])
    assert (index, result.accepted, result.mask.any()) == (0, False, False)
