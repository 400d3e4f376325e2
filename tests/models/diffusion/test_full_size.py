"""Full-size configurations on the meta device, without weights: the checkpoints' counts and shapes."""

from __future__ import annotations

import pytest
import torch

from tests.benchmarks.full_size import build, parameters, shapes

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "millions", "expected"),
    [
        (
            "sd15",
            859.5,
            {
                "text": (8, 77, 768),
                "output": (8, 4, 64, 64),
                "attention 0": (8, 1, 64, 64),
                "attention 1": (8, 1, 32, 32),
                "attention 2": (8, 1, 16, 16),
            },
        ),
        (
            "sdxl",
            2567.5,
            {
                "text": (8, 77, 2048),
                "output": (8, 4, 128, 128),
                "attention 0": (8, 1, 64, 64),
                "attention 1": (8, 1, 32, 32),
            },
        ),
    ],
)
def test_counts_and_shapes(name, millions, expected) -> None:
    model = build(name, torch.device("meta"), torch.float16)
    assert parameters(model.denoiser) / 1e6 == pytest.approx(millions, abs=0.05)
    assert shapes(model) == expected
