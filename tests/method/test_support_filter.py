"""D.4's filter with a segmenter that answers by its support alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from aligndiff_cli.method.consensus import Image, Mask, Pair, SoftMap
from aligndiff_cli.method.support_filter import filter_supports


def bar(length: int) -> Mask:
    mask = np.zeros((2, 8), bool)
    mask[:, :length] = True
    return mask


def pair(tag: int, length: int) -> Pair:
    return np.full((2, 8, 3), tag, np.uint8), bar(length)


class Echo:
    """Segments every image as the mask of its support; insists on one support."""

    batch = 1

    def see(self, images: Sequence[Image]) -> Sequence[Image]:
        return images

    def condition(self, pairs: Sequence[Pair]) -> Mask:
        assert len(pairs) == 1
        assert pairs[0][1].any()
        return pairs[0][1]

    def join(self, states: Sequence[Mask]) -> Mask:
        raise NotImplementedError

    def predict(self, state: Mask, images: Sequence[Image]) -> list[SoftMap]:
        return [state.astype(np.float32) for _ in images]


def test_each_candidate_is_judged_alone() -> None:
    candidates = [pair(0, 4), pair(1, 1), pair(2, 2), pair(3, 0)]
    verdicts = filter_supports(Echo(), candidates, [pair(9, 4)])
    assert [v.iou for v in verdicts] == pytest.approx([1.0, 0.25, 0.5, 0.0])
    assert [v.kept for v in verdicts] == [True, False, False, False]


def test_beta_must_be_exceeded_and_several_real_pairs_average() -> None:
    verdicts = filter_supports(Echo(), [pair(0, 4)], [pair(8, 4), pair(9, 8)], beta=0.75)
    assert (verdicts[0].iou, verdicts[0].kept) == (pytest.approx(0.75), False)
    assert filter_supports(Echo(), [pair(0, 4)], [pair(8, 4), pair(9, 8)], beta=0.74)[0].kept
