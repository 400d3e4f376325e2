from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from transformers import ResNetModel

from aligndiff_cli.errors import UsageError
from aligndiff_cli.models.semantic.cosine import CosineHead
from aligndiff_cli.models.semantic.deeplab import Architecture, DeepLab, freeze_batchnorm
from aligndiff_cli.models.semantic.load import build_deeplab
from aligndiff_cli.models.semantic.novel import predict

CPU = torch.device("cpu")


def pixels(height: int = 64, width: int = 96, count: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, height, width), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize(("stride", "size"), [(8, (8, 12)), (16, (4, 6)), (32, (2, 3))])
@torch.no_grad()
def test_the_output_stride_is_the_size_of_a_position(backbone: Path, stride: int, size: tuple[int, int]) -> None:
    model = build_deeplab(backbone, Architecture(stride, (1, 2), 8), 3, CPU).eval()
    assert model.features(pixels()).shape == (1, 8, *size)
    assert model(pixels()).shape == (1, 3, 64, 96)
    assert model.classes == 3


@pytest.mark.parametrize("stride", [8, 16, 32])
def test_dilation_keeps_the_weights(backbone: Path, stride: int) -> None:
    model = build_deeplab(backbone, Architecture(stride, (1,), 8), 3, CPU)
    before, after = ResNetModel.from_pretrained(backbone).state_dict(), model.backbone.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)
    assert all(parameter.requires_grad for parameter in model.parameters())


def test_dilation_doubles_with_each_stride_given_up(backbone: Path) -> None:
    def rates(stride: int) -> list[set[int]]:
        net = build_deeplab(backbone, Architecture(stride, (1,), 8), 3, CPU).backbone
        return [
            {m.dilation[0] for m in stage.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3)}
            for stage in net.encoder.stages
        ]

    assert rates(32) == [{1}, {1}, {1}, {1}]
    assert rates(16) == [{1}, {1}, {1}, {2}]
    assert rates(8) == [{1}, {1}, {2}, {4}]


@pytest.mark.parametrize("stride", [4, 12, 0])
def test_other_strides_are_refused(backbone: Path, stride: int) -> None:
    with pytest.raises(UsageError, match=f"one of .8, 16, 32., got {stride}"):
        build_deeplab(backbone, Architecture(stride, (1,), 8), 3, CPU)


def test_what_is_not_pretrained_follows_from_the_seed(backbone: Path) -> None:
    torch.manual_seed(5)
    one, two, other = (
        build_deeplab(backbone, Architecture(16, (1,), 8), 3, CPU, seed).head.weight for seed in (1, 1, 2)
    )
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    # and the caller's random numbers are left where they were
    drawn = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))


@torch.no_grad()
def test_cosine_logits_by_hand() -> None:
    head = CosineHead(2, 2)
    head.weight.copy_(torch.tensor([[5.0, 0.0], [3.0, -4.0]]))
    features = torch.tensor([[3.0, 4.0], [0.0, -0.5], [-7.0, 0.0]]).T.view(1, 2, 1, 3)
    expected = torch.tensor([[[6.0, 0.0, -10.0]], [[-2.8, 8.0, -6.0]]])[None]  # 10 * (9 - 16) / 25 = -2.8
    torch.testing.assert_close(head(features), expected)


def test_growing_keeps_the_rows_there_are() -> None:
    head = CosineHead(3, 2)
    old = head.weight.detach().clone()
    head.grow(torch.tensor([[1.0, 2.0, 3.0]]))
    head.grow(torch.tensor([[4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]))
    assert torch.equal(head.weight[:2], old)
    assert head.weight[2:].tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert isinstance(head.weight, nn.Parameter)
    assert head.weight.requires_grad


def test_frozen_batchnorm_learns_nothing(deeplab: DeepLab) -> None:
    deeplab.train()
    freeze_batchnorm(deeplab)
    before = {key: value.clone() for key, value in deeplab.named_buffers()}
    deeplab(pixels(count=2)).sum().backward()
    assert all(torch.equal(value, before[key]) for key, value in deeplab.named_buffers())
    norms = [m for m in deeplab.modules() if isinstance(m, nn.BatchNorm2d)]
    assert norms
    assert all(m.weight.grad is None and m.bias.grad is None for m in norms)
    assert deeplab.aspp.project[0].weight.grad is not None
    assert deeplab.training


def test_pictures_are_normalised_by_the_backbones_statistics(backbone: Path) -> None:
    model = build_deeplab(backbone, Architecture(16, (1,), 8), 3, CPU).eval()
    seen: list[torch.Tensor] = []
    model.backbone.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        model.features(torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 3, 1, 1).expand(1, 3, 32, 48))
    # (x / 255 - 0.5) / 0.25
    torch.testing.assert_close(seen[0][0, :, 0, 0], torch.tensor([-2.0, -1.2, 2.0]))


def test_predictions_are_rows_at_full_resolution(deeplab: DeepLab) -> None:
    images = list(pixels(40, 56, 2).permute(0, 2, 3, 1).numpy())
    found = predict(deeplab, images)
    assert [(f.shape, f.dtype) for f in found] == [((40, 56), np.uint8)] * 2
    alone = predict(deeplab, images[1:])[0]
    assert (found[1] == alone).mean() > 0.99
