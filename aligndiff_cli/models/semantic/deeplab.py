"""DeepLab-V3 (Chen et al. 2017) on a transformers ResNet, with a cosine classifier (paper D.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ResNetConfig, ResNetModel

from aligndiff_cli.errors import UsageError
from aligndiff_cli.models import precision
from aligndiff_cli.models.semantic.cosine import CosineHead

OUTPUT_STRIDES = (8, 16, 32)


@dataclass(frozen=True)
class Architecture:
    """What is built on the ResNet.

    Attributes:
        output_stride: pixels per feature position: 8, 16 (the paper) or 32.
        rates: dilations of the ASPP's 3 x 3 convolutions (paper: 6, 12, 18 at stride 16).
        width: D, channels of the features that are classified (paper: 256).
    """

    output_stride: int = 16
    rates: tuple[int, ...] = (6, 12, 18)
    width: int = 256


class DeepLab(nn.Module):
    """Images to features, features to logits over the classes learnt so far.

    On CUDA features are computed in half precision (``models/precision.py``); they and the logits are float32.

    Args:
        config: of the ResNet; its weights are loaded apart.
        architecture: see there.
        classes: background and the base classes.
        mean, std: per channel, on the [0, 1] scale of RGB images.

    Raises:
        UsageError: an output stride other than 8, 16 or 32.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        config: ResNetConfig,
        architecture: Architecture,
        classes: int,
        mean: Sequence[float],
        std: Sequence[float],
    ) -> None:
        super().__init__()
        self.backbone = ResNetModel(config)
        dilate(self.backbone, architecture.output_stride)
        self.aspp = Aspp(config.hidden_sizes[-1], architecture.width, architecture.rates)
        self.head = CosineHead(architecture.width, classes)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1))

    @property
    def classes(self) -> int:
        """Number of classes learnt so far, background among them."""
        return len(self.head.weight)

    def encode(self, images: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) -> the ResNet's last map (N, C, h, w)."""
        with precision.half(self.mean.device, precision.TRAINED):
            found = self._last_map(images)
        return precision.single(found)

    def _last_map(self, images: Tensor) -> Tensor:
        pixels = (images.to(self.mean.device).float() / 255 - self.mean) / self.std
        return self.backbone(pixels).last_hidden_state

    def features(self, images: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) -> features (N, D, h, w), neither normalised nor rectified."""
        with precision.half(self.mean.device, precision.TRAINED):
            found = self.aspp(self._last_map(images))
        return precision.single(found)

    def forward(self, images: Tensor) -> Tensor:
        """uint8 (N, 3, H, W) -> logits (N, classes, H, W), resized bilinearly."""
        return upsample(self.head(self.features(images)), images.shape[-2:])


def upsample(logits: Tensor, size: Sequence[int]) -> Tensor:
    """(N, C, h, w) -> (N, C, H, W), bilinear."""
    return F.interpolate(logits, tuple(size), mode="bilinear", align_corners=False)


class Aspp(nn.Module):
    """Atrous spatial pyramid pooling: one 1 x 1, several dilated 3 x 3, and the pooled image, joined and projected."""

    def __init__(self, channels: int, width: int, rates: Sequence[int]) -> None:
        super().__init__()
        kernels = [(1, 1), *((3, rate) for rate in rates)]
        self.branches = nn.ModuleList(_conv(channels, width, kernel, rate) for kernel, rate in kernels)
        # no batch statistics here: a pooled image is one value per channel, and a batch may be one image
        self.pooled = nn.Sequential(nn.Conv2d(channels, width, 1), nn.ReLU(inplace=True))
        joined = width * (len(kernels) + 1)
        # the last layer is not rectified: a cosine tells more between vectors of both signs
        self.project = nn.Sequential(nn.Conv2d(joined, width, 1, bias=False), nn.BatchNorm2d(width))

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, h, w) -> (N, D, h, w)."""
        whole = self.pooled(x.mean((2, 3), keepdim=True)).expand(-1, -1, *x.shape[2:])
        return self.project(torch.cat([*(branch(x) for branch in self.branches), whole], dim=1))


def _conv(channels: int, width: int, kernel: int, rate: int) -> nn.Sequential:
    padding = rate if kernel == 3 else 0
    return nn.Sequential(
        nn.Conv2d(channels, width, kernel, padding=padding, dilation=rate, bias=False),
        nn.BatchNorm2d(width),
        nn.ReLU(inplace=True),
    )


def dilate(net: ResNetModel, output_stride: int) -> None:
    """Trade the stride of the last stages for dilation, so that features keep more positions; weights stay as they are.

    Raises:
        UsageError: an output stride other than 8, 16 or 32.
    """
    check_stride(output_stride)
    rate = 1
    for stride, stage in zip((8, 16, 32), net.encoder.stages[1:], strict=True):
        if stride <= output_stride:
            continue
        rate *= 2
        for module in stage.modules():
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)
                if module.kernel_size == (3, 3):
                    module.dilation = module.padding = (rate, rate)


def check_stride(output_stride: int) -> None:
    """Refuse what :func:`dilate` cannot do.

    Raises:
        UsageError: an output stride other than 8, 16 or 32.
    """
    if output_stride not in OUTPUT_STRIDES:
        raise UsageError(f"the output stride must be one of {OUTPUT_STRIDES}, got {output_stride}")


def freeze_batchnorm(model: nn.Module) -> None:
    """Use the running statistics and leave them alone, scale and shift as well (the novel stage of GAPS)."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval().requires_grad_(False)
