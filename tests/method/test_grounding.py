"""Windows around an object, and the loss, against hand-computed values."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from aligndiff_cli.method.grounding import mask_loss, object_window


def scene(height: int, width: int, top: int, left: int, bottom: int, right: int) -> tuple[np.ndarray, np.ndarray]:
    """A red box of class 3 on black, the last column ignored, another class in the corner."""
    image, labels = np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint8)
    labels[0, 0] = 5
    labels[top:bottom, left:right] = 3
    image[labels == 3] = (255, 0, 0)
    labels[:, -1] = 255
    return image, labels


def test_the_tightest_window_is_the_object() -> None:
    image, labels = scene(20, 30, 4, 10, 12, 26)
    out, out_labels = object_window(np.random.default_rng(0), image, labels, 3, (8, 16), (1.0, 1.0))
    assert out.shape == (8, 16, 3)
    assert (out_labels == 3).all()
    assert (out == (255, 0, 0)).all()


@pytest.mark.parametrize("size", [(16, 16), (12, 20), (20, 12)])
@pytest.mark.parametrize("shape", [(20, 30), (30, 20)])
def test_a_window_holds_the_whole_object_and_agrees_with_its_labels(shape, size) -> None:
    image, labels = scene(*shape, 5, 6, 14, 13)
    for seed in range(30):
        out, own = object_window(np.random.default_rng(seed), image, labels, 3, size)
        assert out.shape == (*size, 3)
        assert own.shape == size
        assert set(np.unique(own)) <= {0, 3, 255}
        # the box is 9 x 7; the window at most twice as large along its tight side
        assert (own == 3).mean() > 9 * 7 / (2.3 * max(9 / size[0], 7 / size[1])) ** 2 / (size[0] * size[1])
        assert out[own == 3][:, 0].mean() > 200
    again = object_window(np.random.default_rng(29), image, labels, 3, size)
    np.testing.assert_array_equal(again[1], own)


def test_beyond_the_picture_nothing_counts() -> None:
    image, labels = scene(10, 40, 2, 5, 8, 35)
    _, own = object_window(np.random.default_rng(0), image, labels, 3, (30, 30), (1.0, 1.0))
    # the window is 30 x 30 around an object as wide: 20 of its rows are no picture
    assert (own == 255).all(1).sum() == 20
    assert (own == 3).sum() == 6 * 30


def test_a_box_at_the_border_mirrors_half_of_the_time() -> None:
    image, labels = scene(16, 16, 0, 0, 4, 4)
    lefts = 0
    for seed in range(200):
        _, own = object_window(np.random.default_rng(seed), image, labels, 3, (16, 16), (2.0, 2.0))
        lefts += int((own[:, :8] == 3).any())
    assert 70 < lefts < 130


def test_loss() -> None:
    logits = torch.tensor([[[0.0, 0.0, 50.0]]])
    target = torch.tensor([[[1.0, 0.0, 0.0]]])
    counted = torch.tensor([[[1.0, 1.0, 0.0]]])
    # entropy log 2; dice (2 x 0.5 + 1) / (1 + 1 + 1); the wrong pixel is ignored
    assert mask_loss(logits, target, counted).item() == pytest.approx(math.log(2) + 1 - 2 / 3)
    assert mask_loss(logits, target, counted, 0.0).item() == pytest.approx(math.log(2))
    perfect = torch.tensor([[[50.0, -50.0, 0.0]]])
    assert mask_loss(perfect, target, counted).item() == pytest.approx(0, abs=1e-6)
    empty = mask_loss(torch.full((1, 1, 3), -50.0), torch.zeros(1, 1, 3), counted)
    assert empty.item() == pytest.approx(0, abs=1e-6)
