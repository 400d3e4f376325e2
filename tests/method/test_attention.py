"""Attention to soft map: hand-computed, batched, non-square."""

from __future__ import annotations

import numpy as np
import torch

from aligndiff_cli.method.attention import coarse_threshold, quantise, scaled, soft_maps, token_groups


def test_each_resolution_and_each_token_is_scaled_by_its_own_maximum() -> None:
    # At image size already, so that resizing changes nothing: 2 x 3 pixels, 2 tokens.
    first = torch.tensor([[[[2.0, 0, 0], [0, 0, 1]], [[0, 0.5, 0], [0, 0, 0]]]])
    second = torch.tensor([[[[0.0, 0, 0], [0, 0, 4]], [[0, 0.2, 0], [0, 0, 0.1]]]])
    soft = soft_maps([first, second], torch.tensor([[True, True]]), (2, 3))
    # Token 0: ([1, 0, 0], [0, 0, .5]) and ([0, 0, 0], [0, 0, 1]); token 1: a peak, and a peak with .5.
    expected = torch.tensor([[[0.25, 0.5, 0.0], [0.0, 0.0, 0.5]]])
    torch.testing.assert_close(soft, expected)


def test_padding_tokens_do_not_count() -> None:
    a = torch.zeros(2, 2, 2, 3)
    a[:, 0, 0, 0] = 0.5
    a[:, 1, 1, 2] = 0.9
    soft = soft_maps([a], torch.tensor([[True, False], [True, True]]), (2, 3))
    assert soft[0].tolist() == [[1, 0, 0], [0, 0, 0]]
    assert soft[1].tolist() == [[0.5, 0, 0], [0, 0, 0.5]]


def test_resized_to_a_non_square_image_with_the_peak_in_its_place() -> None:
    a = torch.zeros(1, 1, 4, 6)
    a[0, 0, 1, 4] = 0.03
    soft = soft_maps([a, a[..., ::1]], torch.tensor([[True]]), (16, 24))
    assert soft.shape == (1, 16, 24)
    assert float(soft.min()) == 0.0
    assert float(soft.max()) == 1.0
    y, x = divmod(int(soft.argmax()), 24)
    assert (y // 4, x // 4) == (1, 4)


def test_no_attention_at_all_is_zero_not_nan() -> None:
    for scaling in ("maximum", "range"):
        assert scaled(torch.zeros(1, 2, 3), scaling).tolist() == [[[0, 0, 0], [0, 0, 0]]]
    soft = soft_maps([torch.zeros(1, 1, 2, 2)], torch.tensor([[True]]), (4, 6))
    assert soft.abs().sum() == 0


def test_range_takes_the_floor_off() -> None:
    a = torch.tensor([[0.5, 0.75, 1.0], [0.6, 0.5, 0.5]])
    torch.testing.assert_close(scaled(a, "range"), torch.tensor([[0, 0.5, 1.0], [0.2, 0, 0]]))
    torch.testing.assert_close(scaled(a / 2, "maximum"), a)


def test_token_groups() -> None:
    assert token_groups((5, 6), 9, "class") == [[5], [6]]
    assert token_groups((5, 6), 9, "onward") == [[5, 6, 7, 8]]


def test_quantise() -> None:
    stored = quantise(np.array([[0.0, 1.0, 0.4], [1.2, -0.1, 0.5]], np.float32))
    assert stored.dtype == np.uint8
    assert stored.tolist() == [[0, 255, 102], [255, 0, 128]]


def test_a_coarse_map_is_cut_at_its_threshold_or_beyond_it() -> None:
    levels = np.array([101, 102, 103], np.float32) / 255  # 0.4 is level 102
    assert (levels >= coarse_threshold(0.4, "at-least")).tolist() == [False, True, True]
    assert (levels >= coarse_threshold(0.4, "above")).tolist() == [False, False, True]
    # between two levels both mean the same
    half = np.array([127, 128], np.float32) / 255
    assert (half >= coarse_threshold(0.5, "at-least")).tolist() == [False, True]
    assert (half >= coarse_threshold(0.5, "above")).tolist() == [False, True]
