"""Real mask and attention together, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from aligndiff_cli.method.coarse import blurred, both_coarse


def test_blurred_is_the_share_of_a_box_within_the_picture() -> None:
    mask = np.zeros((4, 24), bool)  # a box of 3 x 3
    mask[:2, :12] = True
    share = blurred(mask)
    assert share.shape == (4, 24)
    assert share[0, 0] == share[0, 10] == 1  # the box is cut at the picture's edge
    assert share[1, 5] == pytest.approx(6 / 9)
    assert share[2, 11] == pytest.approx(2 / 9)
    assert share[0, 12] == pytest.approx(2 / 6)
    assert share[3, 5] == share[0, 13] == 0


def test_attention_decides_near_the_edge_alone() -> None:
    real = np.zeros((24, 8), bool)
    real[:12] = True  # shares of the rows 10 to 13: 1, 2/3, 1/3, 0
    for attention, rows in ((0.0, 11), (0.4, 12), (0.7, 13), (0.99, 13)):
        mask = both_coarse(np.full((24, 8), attention, np.float32), real, 0.5)
        assert mask.shape == (24, 8)
        assert mask.any(1).sum() == mask.all(1).sum() == rows
    # where attention is cut lower, a strong one counts anywhere
    assert both_coarse(np.full((24, 8), 0.8, np.float32), real, 0.4).all()
