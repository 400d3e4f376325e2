"""Looks and their distances, computed by hand; pictures are not square."""

from __future__ import annotations

import numpy as np
import pytest

from aligndiff_cli.method import diversity as module
from aligndiff_cli.method.diversity import LOOK, NEAR, diversity, farthest_first, look


def plain(value: int | tuple[int, int, int], height: int = 48, width: int = 80) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(look(a).astype(float) - look(b)))


def test_a_look_of_one_colour_has_it_in_every_cell_and_no_edges() -> None:
    found = look(plain((255, 0, 51)))
    assert found.shape == (LOOK,) == (320,)
    np.testing.assert_allclose(found[:192].reshape(64, 3), np.tile([1, 0, 0.2], (64, 1)) / np.sqrt(192), atol=1e-6)
    assert not found[192:].any()


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (plain(0), plain(0, 20, 33), 0.0),
        (plain(0), plain(255), 1.0),
        # mean squared difference of the three channels: (1 + 0 + 0) / 3
        (plain(0), plain((255, 0, 0)), np.sqrt(1 / 3)),
        (plain(0), plain(51), 0.2),
    ],
)
def test_distances_of_plain_pictures(a: np.ndarray, b: np.ndarray, expected: float) -> None:
    assert distance(a, b) == pytest.approx(expected, abs=1e-6)


def test_an_edge_lies_in_the_cells_it_is_met_in() -> None:
    """The right half white: between the 16th and 17th of 32 columns, so in the last column of each row's 4th cell."""
    image = plain(0, 64, 96)
    image[:, 48:] = 255
    cells = look(image)[192:].reshape(8, 8, 2) * np.sqrt(128)
    expected = np.zeros((8, 8, 2))
    expected[:, 3, 0] = 1 / 4  # one of the cell's four columns, with a step of 1
    np.testing.assert_allclose(cells, expected, atol=1e-6)
    upright = look(np.ascontiguousarray(image.transpose(1, 0, 2)))[192:].reshape(8, 8, 2) * np.sqrt(128)
    np.testing.assert_allclose(upright, expected.transpose(1, 0, 2)[..., ::-1], atol=1e-6)


def test_stripes_differ_from_grey_by_their_edges_alone() -> None:
    """32 columns, black and white by turns: 31 steps of 1, so 7 cells have 1 and the last of each row 3/4."""
    image = plain(0, 32, 32)
    image[:, ::2] = 254
    grey = plain(127)
    squares = (7 * 1 + 0.75**2) * 8 * (254 / 255) ** 2 / 128
    assert distance(image, grey) == pytest.approx(np.sqrt(squares), abs=1e-5)


def test_the_mean_is_over_all_pairs_and_near_ones_are_named() -> None:
    """Greys 0, 0, 51 and 255: distances 0, .2, 1, .2, 1, .8."""
    looks = np.stack([look(plain(value)) for value in (0, 0, 51, 255)])
    found = diversity(looks)
    assert found.mean == pytest.approx(3.2 / 6, abs=1e-6)
    assert (found.near, found.first) == (1, ((0, 1),))


@pytest.mark.parametrize("count", [0, 1])
def test_fewer_than_two_have_no_distance(count: int) -> None:
    assert diversity(np.zeros((count, LOOK), np.float32)) == module.Diversity(0.0, 0, ())


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eleven looks, three of them the same, as one block and as blocks of 4, 4 and 3."""
    looks = np.random.default_rng(0).random((11, LOOK)).astype(np.float32) / 20
    looks[9] = looks[5] = looks[2]
    whole = diversity(looks)
    gaps = [np.linalg.norm(looks[i].astype(float) - looks[j]) for i in range(11) for j in range(i + 1, 11)]
    assert whole.mean == pytest.approx(np.mean(gaps))
    assert (whole.near, whole.first) == (3, ((2, 5), (2, 9), (5, 9)))
    monkeypatch.setattr(module, "_BLOCK", 4)
    blocks = diversity(looks)
    assert blocks.mean == pytest.approx(whole.mean)
    assert (blocks.near, blocks.first) == (whole.near, whole.first)
    assert diversity(looks, most=1).near == 3
    assert len(diversity(looks, most=1).first) == 1


def test_noise_and_a_shift_of_light_are_near_and_other_pictures_are_not() -> None:
    rng = np.random.default_rng(1)
    image = np.kron(rng.integers(20, 235, (6, 9, 3)), np.ones((16, 16, 1))).astype(np.uint8)
    noisy = np.clip(image + rng.normal(0, 8, image.shape), 0, 255).astype(np.uint8)
    assert distance(image, noisy) < NEAR < distance(image, image[::-1].copy())


def test_the_farthest_from_the_nearest_taken_comes_next() -> None:
    looks = np.zeros((5, LOOK), np.float32)
    looks[:, 7] = [0.4, 0.5, 1.0, 0.0, 0.4]
    # 1.0 is 0.6 from the first, then 0.0 is 0.4 from it; 0.5 is 0.1 from 0.4, and its twin is at no distance
    assert farthest_first(looks, 5) == [0, 2, 3, 1, 4]
    assert farthest_first(looks, 2) == [0, 2]
    assert farthest_first(looks[:2], 9) == [0, 1]
    assert farthest_first(looks, 0) == []
    looks[:, 7] = [0.5, 0.0, 1.0, 0.0, 1.0]
    assert farthest_first(looks, 3) == [0, 1, 2]
