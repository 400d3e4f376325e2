"""Imprinted weights: hand-computed, non-square."""

from __future__ import annotations

import pytest
import torch

from aligndiff_cli.method.imprinting import imprint, masked_mean


def features() -> torch.Tensor:
    """Two images, C = 2, h x w = 2 x 3: directions along the axes and (0.6, 0.8), at various lengths."""
    a = torch.zeros(2, 2, 2, 3)
    a[:, 0] = 5.0
    a[0, :, 0, 1] = torch.tensor([0.0, 7.0])
    a[0, :, 1, 2] = torch.tensor([3.0, 4.0])
    a[1, :, 1, 0] = torch.tensor([0.0, 0.1])
    return a


def masks() -> torch.Tensor:
    """Image 0: a quarter of (0, 1), all of (1, 2); image 1: (0, 1) and (1, 0) and (0, 2), whole."""
    M = torch.zeros(2, 2, 3)
    M[0, 0, 1], M[0, 1, 2] = 0.25, 1.0
    M[1, 0, 1] = M[1, 1, 0] = M[1, 0, 2] = 1.0
    return M


def test_masked_mean_averages_directions_by_mask_weight() -> None:
    # image 0: (0.25 (0, 1) + (0.6, 0.8)) / 1.25; image 1: (2 (1, 0) + (0, 1)) / 3
    expected = torch.tensor([[0.48, 0.84], [2 / 3, 1 / 3]])
    torch.testing.assert_close(masked_mean(features(), masks()), expected)


def test_the_length_of_a_feature_does_not_matter() -> None:
    lengths = torch.tensor([[1.0, 20.0, 3.0], [0.5, 6.0, 0.01]])
    torch.testing.assert_close(masked_mean(features() * lengths, masks()), masked_mean(features(), masks()))


def test_imprint_averages_shots_and_has_length_one() -> None:
    # mean of (0.48, 0.84) and (2/3, 1/3) is (0.573333, 0.586667), of length 0.820298
    torch.testing.assert_close(imprint(masked_mean(features(), masks())), torch.tensor([0.6989325, 0.7151868]))


def test_every_shot_counts_alike_however_large_its_mask() -> None:
    a = torch.zeros(2, 2, 2, 3)
    a[0, 0] = a[1, 1] = 1.0
    M = torch.ones(2, 2, 3)
    M[1] = 0
    M[1, 1, 2] = 0.5
    torch.testing.assert_close(imprint(masked_mean(a, M)), torch.tensor([0.5, 0.5]).sqrt())


def test_one_shot_is_its_own_direction() -> None:
    torch.testing.assert_close(imprint(masked_mean(features()[:1], masks()[:1])), torch.tensor([0.4961389, 0.8682431]))


def test_whole_number_masks_are_taken_and_the_type_is_that_of_the_features() -> None:
    weight = imprint(masked_mean(features().double(), (masks() > 0).to(torch.uint8)))
    assert weight.dtype == torch.float64
    # (0, 1) and (0.6, 0.8): (0.3, 0.9); with (2/3, 1/3): (0.483333, 0.616667)
    torch.testing.assert_close(weight, torch.tensor([0.6168817, 0.7870559], dtype=torch.float64), rtol=0, atol=1e-7)


def test_an_empty_mask_is_named() -> None:
    M = masks()
    M[1] = 0
    with pytest.raises(ValueError, match="empty in image 1 of 2"):
        masked_mean(features(), M)
    with pytest.raises(ValueError, match="no shot"):
        imprint(torch.zeros(0, 2))


@pytest.mark.parametrize("shape", [(2, 3, 2), (1, 2, 3), (2, 6), (2, 1, 2, 3)])
def test_shapes_must_fit(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"got \(2, 2, 2, 3\) and"):
        masked_mean(features(), torch.ones(shape))


@pytest.mark.parametrize("value", [255.0, -0.5, float("nan")])
def test_masks_must_be_shares(value: float) -> None:
    M = masks()
    M[0, 0, 0] = value
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        masked_mean(features(), M)
