"""What a mask prompts with, and which answer is believed; values by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aligndiff_cli.method.sharpening import MIN_IOU, Prompt, choose, deepest, eroded, prompt_of


def drawn(*lines: str) -> np.ndarray:
    return np.array([[sign == "#" for sign in line] for line in lines])


def test_a_prompt_is_the_box_and_the_deepest_point() -> None:
    mask = drawn(
        ".........",
        ".######..",
        ".######..",
        ".######.#",
        ".........",
    )
    # survivors of one erosion: row 2, columns 2 to 5; their mean is 3.5, the first of the two nearest is 3
    assert prompt_of(mask) == Prompt(box=(1, 1, 8, 3), point=(3, 2))


@pytest.mark.parametrize(
    ("lines", "point"),
    [
        (["#"], (0, 0)),
        (["....", "...#"], (3, 1)),
        (["#####", "#####", "#####"], (2, 1)),  # the border of the image counts as outside
        (["##...##", "##...##"], (1, 0)),  # two pieces of one depth: a pixel of the mask, not the middle
    ],
)
def test_the_deepest_point_by_hand(lines: list[str], point: tuple[int, int]) -> None:
    assert deepest(drawn(*lines)) == point


def test_erosion_by_hand() -> None:
    mask = drawn("####", "####", "####", ".###")
    np.testing.assert_array_equal(eroded(mask), drawn("....", ".##.", "..#.", "...."))


def test_the_answer_that_agrees_best_is_taken_from_the_threshold_on() -> None:
    mask = drawn("####......")
    seven = drawn("#######...")  # 4 / 7
    five = drawn("#####.....")  # 4 / 5
    taken = choose(mask, [seven, five, ~mask])
    assert (taken.iou, taken.accepted) == (0.8, True)
    assert taken.mask is five
    kept = choose(mask, [seven, ~mask])
    assert (kept.iou, kept.accepted) == (4 / 7, False)
    assert kept.mask is mask
    assert choose(mask, [five], 0.8).accepted
    assert not choose(mask, [five], 0.81).accepted
    assert MIN_IOU == 0.7


def test_no_answer_and_an_empty_one_keep_the_mask() -> None:
    mask = drawn("##..")
    assert choose(mask, []).mask is mask
    empty = choose(mask, [np.zeros_like(mask)], 0.0)
    assert (empty.accepted, empty.iou) == (False, 0.0)
    assert empty.mask is mask
