"""Class activation maps: a coarse mask for a photograph, as cross-attention gives one for a picture that is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from transformers import ResNetForImageClassification

from aligndiff_cli.method.attention import soft_maps
from aligndiff_cli.method.consensus import Image, Mask
from aligndiff_cli.models.pretrained import normalisation, pretrained
from aligndiff_cli.models.segmenters.backbone import Backbone

TOP = 3
"""Classes whose maps are joined: ImageNet names the parts and makes of what VOC calls a car."""
THRESHOLD = 0.4

Ask = Literal["picture", "class"]


@dataclass(frozen=True)
class Classifier:
    """A ResNet with its linear classifier: weight (K, C), bias (K,)."""

    backbone: Backbone
    weight: Tensor
    bias: Tensor

    @torch.no_grad()
    def coarse(self, images: Sequence[Image], size: int, ask: Ask) -> list[Mask]:
        """Coarse mask bool (H, W) of each image (H, W, 3), all of one class, seen at size x size.

        Args:
            images: what is to be masked.
            size: side of the network's inputs.
            ask: for which of ImageNet's classes the maps are read. ``"picture"``: the most probable of each picture.
                ``"class"``: the most probable over all pictures, as attention is read for a name that all share.
        """
        seen = [self.backbone.maps(self.backbone.pixels([image], size), (4,))[0][0] for image in images]
        shared = most_probable(seen, self.weight, self.bias)
        masks = []
        for image, features in zip(images, seen, strict=True):
            chosen = shared if ask == "class" else most_probable([features], self.weight, self.bias)
            raw = activation(features, self.weight[chosen])[None, None]
            height, width = image.shape[:2]
            soft = soft_maps([raw], torch.ones(1, 1, dtype=torch.bool), (height, width), "range")[0]
            masks.append(soft.numpy() >= THRESHOLD)
        return masks


def load_classifier(folder: Path) -> Classifier:
    """Read a ResNet of transformers' ResNetForImageClassification.

    Raises:
        ModelError: it cannot be read, or has no classifier.
    """
    net = pretrained(ResNetForImageClassification, folder)
    linear = net.classifier[-1]
    return Classifier(Backbone(net.resnet, *normalisation(folder)), linear.weight.detach(), linear.bias.detach())


def most_probable(seen: Sequence[Tensor], weight: Tensor, bias: Tensor, top: int = TOP) -> Tensor:
    """The classes of highest mean probability.

    Args:
        seen: the last stage's features (C, h, w) of each picture, of which the classifier sees the mean.
        weight, bias: the classifier's (K, C), (K,).
        top: how many classes.

    Returns:
        Their indices (top,).
    """
    pooled = torch.stack([features.mean((1, 2)) for features in seen])
    return (pooled @ weight.T + bias).softmax(1).mean(0).topk(top).indices


def activation(features: Tensor, weight: Tensor) -> Tensor:
    """What speaks for some classes, position by position (Zhou et al. 2016).

    Args:
        features: (C, h, w).
        weight: the classifier's rows of these classes (K, C).

    Returns:
        (h, w): the largest of the classes' maps, each ``weight @ features``.
    """
    return torch.einsum("kc,chw->khw", weight, features).amax(0)
