"""The segmenter of noise learning learns what it is shown, and depends on nothing but its seed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from aligndiff_cli.models.noise_learner import NoiseLearner, NoiseSettings

pytestmark = pytest.mark.slow


def pictures(count: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Bright boxes on a dark ground, 48 x 64, and their masks."""
    rng = np.random.default_rng(0)
    images, masks = [], []
    for _ in range(count):
        image, mask = rng.integers(0, 60, (48, 64, 3), dtype=np.uint8), np.zeros((48, 64), bool)
        top, left = rng.integers(0, 20, 2)
        mask[top : top + 24, left : left + 32] = True
        image[mask] = (250, 220, 30)
        images.append(image)
        masks.append(mask)
    return images, masks


def test_it_learns_from_the_chosen_alone() -> None:
    images, masks = pictures(5)
    steps: list[int] = []

    def learn(chosen: list[int], shown: list[np.ndarray]) -> np.ndarray:
        learner = NoiseLearner(None, NoiseSettings(12, 4), torch.device("cpu"), 3, steps.append)
        return learner.learn(images, shown, chosen, "fold/0")([images[4], images[4][:40]])[0]

    soft = learn([0, 1, 2, 3], masks)
    assert soft.shape == (48, 64)
    assert steps == [1] * 12
    assert soft[masks[4]].mean() > soft[~masks[4]].mean() + 0.3
    wrong = [*masks[:4], ~masks[4]]
    np.testing.assert_array_equal(learn([0, 1, 2, 3], wrong), soft)
