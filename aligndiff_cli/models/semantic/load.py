"""Building a DeepLab on a backbone's folder or hub id, and keeping its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from aligndiff_cli.models import precision
from aligndiff_cli.models.segmenters import POCKET
from aligndiff_cli.models.segmenters.backbone import load_backbone
from aligndiff_cli.models.semantic.base_training import BaseSettings
from aligndiff_cli.models.semantic.deeplab import Architecture, DeepLab

POCKET_ARCHITECTURE = Architecture(output_stride=16, rates=(2, 4, 6), width=64)
"""For the bundled backbone and scenes of 128 x 160: larger rates would see only padding around 8 x 10 positions."""
POCKET_BASE = BaseSettings(epochs=32, batch=16, learning_rate=0.1, crop=(128, 128))
POCKET_NOVEL: dict[str, Any] = {"iterations": 100, "batch": 8, "crop": (128, 128), "scale_high": 1.0}
"""What is smaller than the paper's in the novel stage; chosen on fold 2."""


def build_deeplab(
    backbone: str | Path | None, architecture: Architecture, classes: int, device: torch.device, seed: int = 0
) -> DeepLab:
    """A DeepLab whose ResNet has its pretrained weights and whose other layers are drawn from the seed.

    Args:
        backbone: folder or hub id of a ResNet in transformers' layout; None for the bundled one.
        classes: background and the base classes.

    Raises:
        ModelError: the backbone cannot be read.
    """
    source = load_backbone(backbone or POCKET)
    mean, std = source.mean.flatten().tolist(), source.std.flatten().tolist()
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = DeepLab(source.net.config, architecture, classes, mean, std)
    model.backbone.load_state_dict(source.net.state_dict())
    return precision.placed(model, device)
