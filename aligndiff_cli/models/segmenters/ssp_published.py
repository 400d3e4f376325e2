"""SSP as its authors trained it (Fan et al. 2022, github.com/fanq15/SSP), from their checkpoints.

Its ResNet differs from torchvision's: a stem of three 3 x 3 convolutions, a third stage that is dilated instead of
strided, whose last block is not rectified, and no fourth stage. Pictures are looked at in their own size, masks are
brought to the features' resolution by bilinear sampling, and logits are enlarged before the softmax; the matching is
that of ``ssp.py``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aligndiff_cli.models import precision
from aligndiff_cli.models.segmenters.backbone import Backbone
from aligndiff_cli.models.segmenters.base import Conditioned, pool_mask
from aligndiff_cli.models.segmenters.ssp import SspSegmenter, SspSettings
from aligndiff_cli.models.segmenters.state_files import load_renamed
from aligndiff_cli.models.segmenters.torchvision_names import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    empty_resnet,
    resnet_config,
    transformers_name,
)

BATCH = 2
"""Images per forward pass: of a picture of 473 pixels, 60 x 60 positions attend to each other."""
STEM = {
    "layer0.0.0": "embedder.0",
    "layer0.0.1": "embedder.1",
    "layer0.0.3": "embedder.3",
    "layer0.0.4": "embedder.4",
    "layer0.0.6": "embedder.6",
    "layer0.1": "embedder.7",
}
"""The checkpoint's names of the stem's convolutions and norms -> those of :func:`deep_stem`."""


def deep_stem(middle: int, out: int) -> nn.Sequential:
    """Three 3 x 3 convolutions, the first of stride 2, and a max pooling: (N, 3, H, W) -> (N, out, H / 4, W / 4)."""
    layers: list[nn.Module] = []
    for channels_in, channels_out, stride in ((3, middle, 2), (middle, middle, 1), (middle, out, 1)):
        layers.append(nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False))
        layers += [nn.BatchNorm2d(channels_out), nn.ReLU()]
    return nn.Sequential(*layers, nn.MaxPool2d(3, 2, padding=1))


def dilate(blocks: Iterable[nn.Module]) -> None:
    """Stride 1 in a stage's blocks; 3 x 3 convolutions after the first block see every second position instead."""
    for index, block in enumerate(blocks):
        for module in block.modules():
            if isinstance(module, nn.Conv2d):
                module.stride = (1, 1)
                if index > 0 and module.kernel_size == (3, 3):
                    module.dilation = module.padding = (2, 2)


def load_published_ssp(
    tensors: Mapping[str, Tensor], source: Path, size: int | None, device: torch.device, *, refine: bool = True
) -> PublishedSspSegmenter:
    """The segmenter of a published checkpoint, with or without the second pass; without a size, at that of each
    picture.

    Raises:
        ModelError: the weights do not fit the network.
    """
    net = empty_resnet(resnet_config(tensors, source))
    stem = tensors.get("layer0.0.0.weight")
    net.embedder = deep_stem(64 if stem is None else len(stem), net.config.embedding_size)
    dilate(net.encoder.stages[-1].layers)
    load_renamed(net, tensors, lambda key: transformers_name(key, STEM), source)
    backbone = precision.placed(Backbone(net, IMAGENET_MEAN, IMAGENET_STD), device)
    return PublishedSspSegmenter(backbone, size, SspSettings(refine=refine), batch=BATCH)


class PublishedSspSegmenter(SspSegmenter):
    """SSP on its authors' fine-tuned backbone."""

    backbone: Backbone

    def __init__(
        self, backbone: Backbone, size: int | None, settings: SspSettings | None = None, *, batch: int = BATCH
    ) -> None:
        super().__init__(backbone, size, settings, batch=batch)
        self.fingerprint += "-published"

    def look(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """The third stage's last block without its ReLU, (N, C, H / 8, W / 8)."""
        return (self.backbone.stages(pixels, 3)[2][-1],)

    def features(self, parts: Sequence[Tensor]) -> Tensor:
        return parts[0]

    def inside(self, masks: Tensor, shape: tuple[int, int]) -> Tensor:
        """Bilinear samples, as the authors'; shares of area where an object, or all around it, lies between them."""
        sampled = F.interpolate(masks, shape, mode="bilinear", align_corners=True)
        sides = (1, 2, 3)
        lost = (sampled.amax(sides, keepdim=True) == 0) | (sampled.amin(sides, keepdim=True) == 1)
        return torch.where(lost, pool_mask(masks, shape), sampled)

    def score(self, state: Conditioned, parts: Sequence[Tensor], sides: tuple[int, int]) -> Tensor:
        full = F.interpolate(self.logits(state, parts), sides, mode="bilinear", align_corners=True)
        return full.softmax(1)[:, 1]
