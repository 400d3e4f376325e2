"""Eq. 3 by hand, on non-square latents."""

from __future__ import annotations

import pytest
import torch

from aligndiff_cli.method.inversion import latent_mask, masked_mse, spread_vectors

# Two channels on 1 x 3 positions: mean squares 2.5, 10, 1.
ERROR = torch.tensor([[[[1.0, 2.0, 1.0]], [[2.0, 4.0, 1.0]]]])
MASK = torch.tensor([[[True, False, False]]])


@pytest.mark.parametrize(("kind", "total"), [("normalized", 2.5 + 0.6 * 5.5), ("plain", 13.5 / 3), ("foreground", 2.5)])
def test_masked_mse_by_hand(kind, total) -> None:
    loss = masked_mse(kind, ERROR, MASK, 0.6)
    torch.testing.assert_close(loss.total, torch.tensor([total]))
    torch.testing.assert_close(loss.foreground, torch.tensor([2.5]))
    torch.testing.assert_close(loss.background, torch.tensor([5.5]))


def test_each_sample_has_its_own_mask() -> None:
    error = ERROR.repeat(2, 1, 1, 1)
    mask = torch.cat([MASK, ~MASK])
    loss = masked_mse("normalized", error, mask, 0.5)
    torch.testing.assert_close(loss.total, torch.tensor([2.5 + 0.5 * 5.5, 5.5 + 0.5 * 2.5]))


def test_an_empty_side_counts_nothing_and_has_a_gradient() -> None:
    error = ERROR.repeat(2, 1, 1, 1).requires_grad_()
    mask = torch.stack([torch.zeros(1, 3), torch.ones(1, 3)]).bool()
    loss = masked_mse("normalized", error, mask, 0.5)
    torch.testing.assert_close(loss.foreground.detach(), torch.tensor([0.0, 4.5]))
    torch.testing.assert_close(loss.background.detach(), torch.tensor([4.5, 0.0]))
    torch.testing.assert_close(loss.total.detach(), torch.tensor([2.25, 4.5]))
    (gradient,) = torch.autograd.grad(loss.total.sum(), error)
    assert bool(torch.isfinite(gradient).all())


def test_masking_does_not_depend_on_the_size_of_the_object() -> None:
    error = torch.ones(1, 4, 6, 10)
    for columns in (1, 5, 9):
        mask = torch.zeros(1, 6, 10).bool()
        mask[..., :columns] = True
        assert masked_mse("normalized", error, mask, 0.6).total.item() == pytest.approx(1.6)


def test_latent_mask_looks_at_the_centre_the_corner_or_all() -> None:
    mask = torch.zeros(1, 4, 8).bool()
    mask[0, :2, 0] = True  # a thin stroke: half of the pixels of the first 2 x 2 block, not its centre pixel
    mask[0, 2:, 4:] = True
    assert latent_mask(mask, (2, 4)).tolist() == [[[False] * 4, [False, False, True, True]]]
    assert latent_mask(mask, (2, 4), mode="area").tolist() == [
        [[True, False, False, False], [False, False, True, True]]
    ]
    assert not latent_mask(mask, (2, 4), mode="area", threshold=0.5)[0, 0, 0]
    # plain nearest, as the release: the upper left pixel of each block
    assert latent_mask(mask, (2, 4), mode="nearest").tolist() == [
        [[True, False, False, False], [False, False, True, True]]
    ]
    mask[0, 0, 0] = False
    assert not latent_mask(mask, (2, 4), mode="nearest")[0, 0, 0]


def test_latent_mask_of_a_soft_mask_uses_the_threshold() -> None:
    soft = torch.tensor([[[0.3, 0.31, 0.9]]])
    assert latent_mask(soft, (1, 3)).tolist() == [[[False, True, True]]]


def test_spread_vectors() -> None:
    word = torch.tensor([[1.0, 3.0], [3.0, 5.0]])
    assert spread_vectors(word, 1, torch.Generator()).tolist() == [[2.0, 4.0]]
    three = spread_vectors(word, 3, torch.Generator().manual_seed(1))
    assert three.shape == (3, 2)
    assert three[0].tolist() == [2.0, 4.0]
    assert not torch.equal(three[1], three[2])
    assert torch.equal(three, spread_vectors(word, 3, torch.Generator().manual_seed(1)))
    assert float((three - three[0]).abs().max()) < 1.5
