"""HSNet's published checkpoints (Min et al. 2021, github.com/juhongm999/hsnet): the learned part and its ResNet."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from aligndiff_cli.errors import ModelError, UsageError
from aligndiff_cli.models import precision
from aligndiff_cli.models.segmenters.backbone import Backbone, load_backbone
from aligndiff_cli.models.segmenters.description import PUBLISHED_SIZE
from aligndiff_cli.models.segmenters.hsnet import HSNet, HsnetSegmenter
from aligndiff_cli.models.segmenters.state_files import load_renamed
from aligndiff_cli.models.segmenters.torchvision_names import IMAGENET_MEAN, IMAGENET_STD, build_resnet

LEARNER, BACKBONE = "hpn_learner.", "backbone."
PARTS = {
    "encoder_layer2": "squeeze.0",
    "encoder_layer3": "squeeze.1",
    "encoder_layer4": "squeeze.2",
    "encoder_layer4to3": "mix.0",
    "encoder_layer3to2": "mix.1",
    "decoder1": "coarse_decoder",
    "decoder2": "fine_decoder",
}
PAIRS = 8
"""Of a query and a support, that a GPU compares at once; a CPU gains nothing by more than one."""
CONVOLUTIONS = {"conv1": "query", "conv2": "support"}
"""The checkpoint's names of the parts, and of a center-pivot convolution's halves -> those of :class:`HSNet`."""
KEY = re.compile(r"hpn_learner\.(\w+)\.(\d+)\.(?:(conv\d)\.)?(\w+)$")


def own_name(key: str) -> str:
    """The checkpoint's name of a learned weight -> that of :class:`HSNet`; an unknown one stays as it is."""
    match = KEY.match(key)
    if match is None or match[1] not in PARTS:
        return key
    half = f".{CONVOLUTIONS.get(match[3], match[3])}" if match[3] else ""
    return f"{PARTS[match[1]]}.{match[2]}{half}.{match[4]}"


def load_published_hsnet(
    tensors: Mapping[str, Tensor],
    source: Path,
    backbone: str | Path | None,
    size: int | None,
    device: torch.device,
) -> HsnetSegmenter:
    """The segmenter of a published checkpoint; `size` defaults to that of its training.

    Args:
        backbone: needed where the file holds the learned part alone, otherwise None.

    Raises:
        UsageError: a backbone is missing or one too many.
        ModelError: the weights do not fit the network, or are of its VGG-16 variant.
    """
    learned = {key: tensor for key, tensor in tensors.items() if not key.startswith(BACKBONE)}
    features = _backbone(tensors, source, backbone, device)
    net = HSNet(_depths(learned, source))
    load_renamed(net, learned, own_name, source)
    return HsnetSegmenter(features, net.float(), size or PUBLISHED_SIZE, batch=PAIRS if device.type == "cuda" else 1)


def _backbone(
    tensors: Mapping[str, Tensor], source: Path, backbone: str | Path | None, device: torch.device
) -> Backbone:
    inside = {key.removeprefix(BACKBONE): value for key, value in tensors.items() if key.startswith(BACKBONE)}
    if any(key.startswith("features.") for key in inside):
        raise ModelError("these weights are of HSNet on VGG-16", source, "Name one on ResNet-50 or ResNet-101.")
    if not inside and backbone is None:
        raise UsageError(f"{source} holds no backbone", remedy="Name the ResNet it was trained on with --backbone.")
    if inside and backbone is not None:
        raise UsageError(f"{source} brings its own backbone", remedy="Leave out --backbone.")
    if backbone is not None:
        return load_backbone(backbone, device)
    return precision.placed(Backbone(build_resnet(inside, source), IMAGENET_MEAN, IMAGENET_STD), device)


def _depths(learned: Mapping[str, Tensor], source: Path) -> list[int]:
    """Correlations per level, fine to coarse."""
    names = [f"{LEARNER}encoder_layer{stage}.0.conv1.weight" for stage in (2, 3, 4)]
    missing = [name for name in names if name not in learned]
    if missing:
        raise ModelError(f"these HSNet weights lack {', '.join(missing)}", source, "Copy or download them again.")
    return [learned[name].shape[1] for name in names]
