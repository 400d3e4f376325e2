"""Few-shot segmenters: a few image-mask pairs of a class in, masks of that class out.

A segmenter is loaded by name and used the same way whatever it is::

    segmenter = load_segmenter("ssp")
    state = segmenter.condition(pairs)            # support features, computed once
    maps = segmenter.predict(state, images)       # soft maps at each image's own size
"""

from __future__ import annotations

from pathlib import Path

from aligndiff_cli.errors import ModelError, UsageError
from aligndiff_cli.models.device import pick_device
from aligndiff_cli.models.segmenters.backbone import Image, load_backbone
from aligndiff_cli.models.segmenters.base import Conditioned, Mask, Pair, Segmenter, SoftMap

__all__ = ["POCKET", "SEGMENTERS", "Conditioned", "Image", "Mask", "Pair", "Segmenter", "SoftMap", "load_segmenter"]

SEGMENTERS = ("hsnet", "ssp", "prototype")
POCKET = Path(__file__).resolve().parents[2] / "pocket" / "segmenter"
"""Folder of the bundled backbone and of the HSNet weights trained on it."""


def load_segmenter(
    name: str,
    *,
    weights: str | Path | None = None,
    backbone: str | Path | None = None,
    size: int | None = None,
    device: str = "auto",
) -> Segmenter:
    """Load a few-shot segmenter.

    Args:
        name: "hsnet", "ssp" or "prototype".
        weights: safetensors file of a trained HSNet; the bundled one when left out. HSNet only.
        backbone: folder or hub name of a ResNet in transformers' layout; the bundled one when left out.
        size: side in pixels that images are resized to; a fitting one when left out.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        UsageError: an unknown name, or weights for a segmenter that has none.
        ModelError: weights or backbone are missing, unreadable, or do not fit each other.
    """
    if name not in SEGMENTERS:
        raise UsageError(f"unknown segmenter {name!r}", remedy=f"Choose one of: {', '.join(SEGMENTERS)}.")
    if weights is not None and name != "hsnet":
        raise UsageError(f"{name} has no weights of its own", remedy="Leave out the weights.")
    if backbone is None and not (POCKET / "config.json").is_file():
        raise ModelError("the bundled backbone is missing", POCKET, "Install the package again, or name a backbone.")
    features = load_backbone(backbone or POCKET, pick_device(device))
    if name == "prototype":
        from aligndiff_cli.models.segmenters.prototype import PrototypeSegmenter

        return PrototypeSegmenter(features, size or _default_size(backbone))
    if name == "ssp":
        from aligndiff_cli.models.segmenters.ssp import SspSegmenter, SspSettings

        # chosen on validation classes (bundled backbone) and on folds 0 to 2 of photographs (ImageNet's)
        settings = SspSettings(stages=(3,) if backbone is None else (3, 4))
        return SspSegmenter(features, size or _default_size(backbone), settings)
    from aligndiff_cli.models.segmenters.checkpoint import load_hsnet

    if weights is None and backbone is not None:
        raise ModelError(
            "HSNet needs weights trained on this backbone",
            backbone,
            "Name a safetensors file of weights, or use ssp, which needs none.",
        )
    return load_hsnet(features, Path(weights) if weights else POCKET / "hsnet.safetensors", size)


def _default_size(backbone: str | Path | None) -> int:
    return 320 if backbone is not None else 256
