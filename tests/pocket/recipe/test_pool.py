from __future__ import annotations

import numpy as np
import pytest
import torch

from aligndiff_cli.pocket.recipe.pool import Entry, Pool


@pytest.fixture
def pool() -> Pool:
    """Three pictures of a known bus, two of a bat (of the train split), four of an axe, which has no name."""
    concepts = ["bus"] * 3 + ["bat"] * 2 + ["axe"] * 4
    drawings = [0] * 3 + [1] * 2 + [2] * 4
    entries = [Entry(d, "noto", c, []) for d, c in zip(drawings, concepts, strict=True)]
    latents = torch.arange(9.0).half().view(9, 1, 1, 1).expand(9, 2, 2, 3)
    return Pool(latents, entries)


def test_both_pictures_show_one_drawing_and_differ(pool: Pool) -> None:
    first, second = pool.draw(np.random.default_rng(0), 600)
    assert (first != second).all()
    of = np.array([entry.drawing for entry in pool.entries])
    assert (of[first] == of[second]).all()
    assert set(zip(first[of[first] == 0], second[of[first] == 0], strict=True)) == {
        (a, b) for a in range(3) for b in range(3) if a != b
    }


def test_known_classes_are_shown_four_times_as_often_and_unnamed_ones_half(pool: Pool) -> None:
    first, _ = pool.draw(np.random.default_rng(0), 11000)
    shares = np.bincount([pool.entries[i].drawing for i in first]) / 11000
    assert shares == pytest.approx([4 / 5.5, 1 / 5.5, 0.5 / 5.5], abs=0.015)


def test_latents_are_scaled_to_unit_variance(pool: Pool) -> None:
    assert pool.scale == pytest.approx(1 / np.repeat(np.arange(9.0), 12).std(ddof=1), rel=1e-4)
    assert torch.allclose(pool.scaled(np.array([4, 2]))[:, 0, 0, 0], torch.tensor([4.0, 2.0]) * pool.scale)
