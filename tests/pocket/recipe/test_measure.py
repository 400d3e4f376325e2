from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from aligndiff_cli.models.diffusion.load import load_diffusion
from aligndiff_cli.models.diffusion.model import DiffusionModel
from aligndiff_cli.models.diffusion.sampling import SampleOptions
from aligndiff_cli.pocket.recipe import measure
from aligndiff_cli.pocket.recipe.judge import JUDGED, Judge, verdicts


class Stubborn(nn.Module):
    """A judge that sees the same class in everything."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.index = JUDGED.index(name)

    def forward(self, images: Tensor) -> Tensor:
        return torch.nn.functional.one_hot(torch.full((len(images),), self.index), len(JUDGED)).float()


class World:
    """Pictures whose left half is the object."""

    def fss_picture(self, rng: np.random.Generator, concept: str, size: tuple[int, int] = (32, 32)) -> tuple:
        mask = np.zeros(size, bool)
        mask[:, : size[1] // 2] = True
        return np.full((*size, 3), 90, np.uint8), mask


@pytest.fixture(scope="module")
def model(tiny_sd: Path) -> DiffusionModel:
    return load_diffusion(tiny_sd, device="cpu")


def test_a_verdict_is_an_index_into_the_judged_classes() -> None:
    images = np.zeros((3, 64, 64, 3), np.uint8)
    assert verdicts(Stubborn("camel"), images).tolist() == [JUDGED.index("camel")] * 3
    assert Judge()(torch.zeros(2, 3, 64, 64)).shape == (2, len(JUDGED))


def test_recognition_is_counted_per_class(model: DiffusionModel) -> None:
    shares = measure.recognised(
        model, Stubborn("bus"), ["bus", "camel"], [None, None], 2, 0, SampleOptions(steps=1, guidance=1.0)
    )
    assert shares == {"bus": 1.0, "camel": 0.0}


@pytest.mark.parametrize(("lower", "expected"), [(0.9, 1.0), (0.1, 0.5)])
def test_attention_is_compared_with_the_true_mask(
    model: DiffusionModel, monkeypatch: pytest.MonkeyPatch, lower: float, expected: float
) -> None:
    def left_half(maps: list[Tensor], valid: Tensor, size: tuple[int, int], scaling: str) -> Tensor:
        soft = torch.zeros(len(valid), *size)
        soft[:, :, : size[1] // 2] = 0.9
        soft[:, size[0] // 2 :, : size[1] // 2] = lower
        return soft

    monkeypatch.setattr(measure, "soft_maps", left_half)
    ious = measure.attention_iou(model, World(), ["bus"], 2, 0, SampleOptions())
    assert ious == {"bus": pytest.approx(expected)}
