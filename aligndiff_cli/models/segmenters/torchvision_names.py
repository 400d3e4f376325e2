"""torchvision's names of a ResNet's weights and transformers' names of the same."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor
from transformers import ResNetConfig, ResNetModel

from aligndiff_cli.errors import ModelError
from aligndiff_cli.models.segmenters.state_files import load_renamed

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
STEM = {"conv1": "embedder.embedder.convolution", "bn1": "embedder.embedder.normalization"}
IN_BLOCK = {
    "conv1": "layer.0.convolution",
    "bn1": "layer.0.normalization",
    "conv2": "layer.1.convolution",
    "bn2": "layer.1.normalization",
    "conv3": "layer.2.convolution",
    "bn3": "layer.2.normalization",
    "downsample.0": "shortcut.convolution",
    "downsample.1": "shortcut.normalization",
}
BLOCK = re.compile(r"layer([1-9])\.(\d+)\.(.+)$")


def transformers_name(key: str, stem: Mapping[str, str] = STEM) -> str:
    """torchvision's name of a weight -> transformers'; an unknown one stays as it is.

    Args:
        stem: the names before the first stage, which some networks have otherwise.
    """
    layer, _, kind = key.rpartition(".")
    if match := BLOCK.match(layer):
        stage, block, part = match.groups()
        return f"encoder.stages.{int(stage) - 1}.layers.{block}.{IN_BLOCK[part]}.{kind}" if part in IN_BLOCK else key
    return f"{stem[layer]}.{kind}" if layer in stem else key


def resnet_config(tensors: Mapping[str, Tensor], source: str | Path) -> ResNetConfig:
    """The ResNet that torchvision's names and shapes tell of, with the stride where torchvision has it (3 x 3).

    Raises:
        ModelError: they are not those of a ResNet.
    """
    blocks = {(int(m[1]), int(m[2])) for key in tensors if (m := re.match(r"layer(\d)\.(\d+)\.conv1\.weight$", key))}
    depths = [sum(stage == number for stage, _ in blocks) for number in sorted({stage for stage, _ in blocks})]
    bottleneck = "layer1.0.conv3.weight" in tensors
    last = f"conv{3 if bottleneck else 2}.weight"
    try:
        widths = [tensors[f"layer{number}.0.{last}"].shape[0] for number in range(1, len(depths) + 1)]
        stem = tensors["layer1.0.conv1.weight"].shape[1]
    except KeyError as error:
        raise ModelError(
            f"this is no ResNet with torchvision's names: {error.args[0]} is missing",
            source,
            "Name a file of torchvision's resnet weights, or a folder in transformers' layout.",
        ) from error
    return ResNetConfig(
        embedding_size=stem,
        hidden_sizes=widths,
        depths=depths,
        layer_type="bottleneck" if bottleneck else "basic",
        downsample_in_bottleneck=False,
    )


def build_resnet(tensors: Mapping[str, Tensor], source: str | Path) -> ResNetModel:
    """A transformers ResNet with torchvision's weights; the classifier is left out.

    Raises:
        ModelError: they are not those of a ResNet, or of a kind transformers has not (ResNeXt, wide).
    """
    kept = {key: tensor for key, tensor in tensors.items() if not key.startswith("fc.")}
    net = empty_resnet(resnet_config(kept, source))
    load_renamed(net, kept, transformers_name, source)
    return net


def empty_resnet(config: ResNetConfig) -> ResNetModel:
    """A ResNet to be filled, made without touching the global random state."""
    with torch.random.fork_rng(devices=[]):
        return ResNetModel(config)
