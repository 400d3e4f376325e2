"""SSP as its authors trained it (Fan et al. 2022, github.com/fanq15/SSP), from their checkpoints.

Its ResNet differs from torchvision's: a stem of three 3 x 3 convolutions, a third stage that is dilated instead of
strided, whose last block is not rectified, and no fourth stage. The matching is that of ``ssp.py`` but for the second
pass, whose prototypes keep half of the support's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aligndiff_cli.models.segmenters.backbone import Backbone
from aligndiff_cli.models.segmenters.base import Conditioned
from aligndiff_cli.models.segmenters.ssp import SspSegmenter, SspSettings, mixed_prototypes, similarity
from aligndiff_cli.models.segmenters.state_files import load_renamed
from aligndiff_cli.models.segmenters.torchvision_names import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    empty_resnet,
    resnet_config,
    transformers_name,
)

SIZE = 473
"""Side of the crops the published weights were trained on."""
BATCH = 2
"""Images per forward pass: 60 x 60 positions attend to each other."""
STEM_PREFIX = "layer0."
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
    tensors: Mapping[str, Tensor], source: Path, size: int | None, device: torch.device
) -> PublishedSspSegmenter:
    """The segmenter of a published checkpoint; `size` defaults to that of its training crops.

    Raises:
        ModelError: the weights do not fit the network.
    """
    net = empty_resnet(resnet_config(tensors, source))
    stem = tensors.get("layer0.0.0.weight")
    net.embedder = deep_stem(64 if stem is None else len(stem), net.config.embedding_size)
    dilate(net.encoder.stages[-1].layers)
    load_renamed(net, tensors, lambda key: transformers_name(key, STEM), source)
    backbone = Backbone(net, IMAGENET_MEAN, IMAGENET_STD).to(device)
    return PublishedSspSegmenter(backbone, size or SIZE, batch=BATCH)


class PublishedSspSegmenter(SspSegmenter):
    """SSP on its authors' fine-tuned backbone, with their refinement."""

    backbone: Backbone

    def __init__(self, backbone: Backbone, size: int, *, batch: int = BATCH) -> None:
        super().__init__(backbone, size, batch=batch)
        self.fingerprint += "-published"

    def score(self, state: Conditioned, pixels: Tensor) -> Tensor:
        foreground, background = (part.mean(0)[None, :, None, None] for part in state.parts)
        logits = match_published(self._features(pixels), foreground, background, self.settings)
        full = F.interpolate(logits, pixels.shape[-2:], mode="bilinear", align_corners=True)
        return full.softmax(1)[:, 1]

    def _features(self, pixels: Tensor) -> Tensor:
        """The third stage's last block without its ReLU, (N, C, S / 8, S / 8)."""
        return self.backbone.stages(pixels, 3)[2][-1]


def match_published(query: Tensor, foreground: Tensor, background: Tensor, settings: SspSettings) -> Tensor:
    """Two passes of self-support matching, the second with 0.5 support + 0.2 first pass + 0.3 own prototypes.

    Args and returns as :func:`aligndiff_cli.models.segmenters.ssp.match`.
    """
    logits = similarity(query, foreground, background, settings.temperature)
    first_fg, first_bg = mixed_prototypes(query, foreground, logits, settings)
    first = similarity(query, first_fg, first_bg, settings.temperature)
    own_fg, own_bg = mixed_prototypes(query, foreground, first, settings)
    second_fg = 0.5 * foreground + 0.2 * first_fg + 0.3 * own_fg
    second_bg = 0.5 * background + 0.2 * first_bg + 0.3 * own_bg
    second = similarity(query, second_fg, second_bg, settings.temperature)
    return 0.7 * second + 0.3 * first
