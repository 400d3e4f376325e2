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


@pytest.mark.parametrize(
    ("strength", "attention", "rows"),
    [
        (0.0, 1.0, 12),  # the real mask alone: shares of at least a half
        (1.0, 0.5, 24),  # attention alone
        (1.0, 0.49, 0),
        # weights of a half each: the share and attention make up 1 (rows 10 to 13 have the shares 1, 2/3, 1/3, 0)
        (0.25, 0.0, 11),
        (0.25, 0.4, 12),
        (0.25, 0.7, 13),
        (0.25, 0.99, 13),
        # 0.8 for attention: 0.125 above or below its threshold outweighs the real mask
        (0.64, 0.6, 13),
        (0.64, 0.63, 24),
        (0.64, 0.37, 0),
    ],
)
def test_both_vote_by_their_margins(strength: float, attention: float, rows: int) -> None:
    real = np.zeros((24, 8), bool)
    real[:12] = True
    mask = both_coarse(np.full((24, 8), attention, np.float32), real, 0.5, strength)
    assert mask.shape == (24, 8)
    assert mask[:rows].all()
    assert not mask[rows:].any()


def test_attention_votes_by_its_own_threshold() -> None:
    real = np.zeros((1, 24), bool)
    soft = np.linspace(0, 1, 24, dtype=np.float32)[None]
    # nothing real: 0.8 (soft - 0.3) >= 0.2 x 0.5
    assert both_coarse(soft, real, 0.3, 0.64).sum() == (soft >= 0.425).sum()
