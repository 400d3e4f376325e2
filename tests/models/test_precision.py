"""Half precision on CUDA, tried with the CPU's: float32 comes out, near to what it was; the CPU is left alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aligndiff_cli.models import precision
from aligndiff_cli.models.segmenters import load_segmenter
from aligndiff_cli.models.segmenters.backbone import Backbone, load_backbone
from aligndiff_cli.models.semantic.batch_renorm import renormalise
from aligndiff_cli.models.semantic.deeplab import Architecture, DeepLab
from aligndiff_cli.models.semantic.load import build_deeplab
from tests.cli.world import build_backbone


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_backbone(tmp_path_factory.mktemp("models") / "backbone")


@pytest.fixture
def like_cuda(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From when it is called, the CPU does what CUDA does: bfloat16 and channels last."""

    def begin() -> None:
        def placed(net: Any, device: Any) -> Any:
            return net.to(device).to(memory_format=torch.channels_last)

        monkeypatch.setattr(precision, "half", lambda device, dtype: torch.autocast("cpu", torch.bfloat16))
        monkeypatch.setattr(precision, "placed", placed)

    return begin


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (40, 56, 3), dtype=np.uint8)


def near(first: torch.Tensor, second: torch.Tensor) -> None:
    """Another precision: not the same numbers, but the same for the eye."""
    assert second.dtype is torch.float32
    assert not torch.equal(first, second)
    assert (first - second).norm() < 0.03 * first.norm()


def test_the_cpu_is_left_alone(folder: Path) -> None:
    cpu = torch.device("cpu")
    flags = torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32
    assert isinstance(precision.half(cpu, precision.FROZEN), nullcontext)
    net = load_backbone(folder)
    weight = net.net.encoder.stages[0].layers[0].layer[0].convolution.weight
    assert weight.is_contiguous()
    assert (torch.backends.cuda.matmul.allow_tf32, torch.backends.cudnn.allow_tf32) == flags
    x = torch.rand(2, 3, 4, 5)
    assert precision.single(x) is x


def test_a_backbone_gives_float32_in_the_usual_layout(folder: Path, like_cuda: Callable[[], None]) -> None:
    def stages(net: Backbone) -> list[torch.Tensor]:
        with torch.no_grad():
            return [block for own in net.stages(net.pixels([picture(0), picture(1)], (40, 56))) for block in own]

    before = stages(load_backbone(folder))
    like_cuda()
    after = stages(load_backbone(folder))
    assert len(before) == len(after) == 4
    for first, second in zip(before, after, strict=True):
        near(first, second)
        assert second.is_contiguous()


@pytest.mark.parametrize("name", ["hsnet", "ssp", "prototype"])
def test_segmenters_take_what_comes(name: str, like_cuda: Callable[[], None]) -> None:
    mask = np.zeros((40, 56), bool)
    mask[10:30, 10:30] = True

    def soft() -> np.ndarray:
        segmenter = load_segmenter(name, size=64, device="cpu")
        return segmenter.predict(segmenter.condition([(picture(0), mask)]), [picture(0), picture(1)])[0]

    before = soft()
    like_cuda()
    after = soft()
    assert after.dtype == np.float32
    assert 0 < np.abs(before - after).max() < 0.1


@pytest.mark.parametrize("batch", ["normalised", "renormalised"])
def test_deeplab_trains_to_float32_gradients(folder: Path, batch: str, like_cuda: Callable[[], None]) -> None:
    images = torch.from_numpy(np.stack([picture(0), picture(1)])).permute(0, 3, 1, 2)

    def trained() -> tuple[torch.Tensor, torch.Tensor]:
        model: DeepLab = build_deeplab(folder, Architecture(16, (1, 2), 8), 3, torch.device("cpu"))
        if batch == "renormalised":
            renormalise(model)
        logits = model.train()(images)
        logits.square().mean().backward()
        assert model.head.weight.grad is not None
        return logits.detach(), model.head.weight.grad

    (logits, gradient), _ = trained(), like_cuda()
    other_logits, other_gradient = trained()
    near(logits, other_logits)
    assert other_gradient.dtype is torch.float32
    assert (gradient - other_gradient).norm() < 0.2 * gradient.norm()
