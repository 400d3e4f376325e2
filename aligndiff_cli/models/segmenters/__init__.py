"""Few-shot segmenters: a few image-mask pairs of a class in, masks of that class out.

A segmenter is loaded by name and used the same way whatever it is::

    segmenter = load_segmenter("ssp")             # or None, with weights that say what they are of
    state = segmenter.condition(pairs)            # support features, computed once
    maps = segmenter.predict(state, images)       # soft maps at each image's own size
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from aligndiff_cli.errors import ModelError, UsageError

if TYPE_CHECKING:
    from aligndiff_cli.models.segmenters.backbone import Image as Image
    from aligndiff_cli.models.segmenters.base import Conditioned as Conditioned
    from aligndiff_cli.models.segmenters.base import Mask as Mask
    from aligndiff_cli.models.segmenters.base import Pair as Pair
    from aligndiff_cli.models.segmenters.base import Segmenter as Segmenter
    from aligndiff_cli.models.segmenters.base import SoftMap as SoftMap

SEGMENTERS = ("hsnet", "ssp", "prototype")
POCKET = Path(__file__).resolve().parents[2] / "pocket" / "segmenter"
"""Folder of the bundled backbone and of the HSNet weights trained on it."""
HSNET_WEIGHTS = POCKET / "hsnet.safetensors"


def load_segmenter(
    name: str | None = None,
    *,
    weights: str | Path | None = None,
    backbone: str | Path | None = None,
    size: int | None = None,
    refine: bool = True,
    device: str = "auto",
) -> Segmenter:
    """Load a few-shot segmenter.

    Args:
        name: "hsnet", "ssp" or "prototype"; None for what the weights are of, else ssp on a backbone that is named,
            else the bundled hsnet.
        weights: trained weights of hsnet (our .safetensors or the authors' .pt) or ssp (the authors' .pth);
            hsnet's bundled ones when left out. Without weights, ssp and prototype use the backbone as it is.
        backbone: folder or hub id of a network with a backbone class in transformers, or a torchvision ResNet's .pth
            file; the bundled one when left out. HSNet takes a ResNet only; the authors' weights bring their own.
        size: side in pixels that images are resized to; 0 for each image's own size (not hsnet); a fitting one when
            left out, which for the published ssp is the image's own.
        refine: whether ssp makes its second pass.
        device: "auto", "cpu", "cuda" or "mps".

    Raises:
        UsageError: an unknown name, weights for a segmenter that has none, a backbone where the weights bring one, or
            ``refine`` false for another than ssp.
        ModelError: weights or backbone are missing, unreadable, or do not fit each other.
    """
    if name is not None and name not in SEGMENTERS:
        raise UsageError(f"unknown segmenter {name!r}", remedy=f"Choose one of: {', '.join(SEGMENTERS)}.")
    if weights is not None and name == "prototype":
        raise UsageError(f"{name} has no weights of its own", remedy="Leave out the weights.")
    if backbone is None and not (POCKET / "config.json").is_file():
        raise ModelError("the bundled backbone is missing", POCKET, "Install the package again, or name a backbone.")
    default = "hsnet" if backbone is None else "ssp"
    if weights is not None or (name or default) == "hsnet":
        found = _trained(name, weights, backbone, size, refine, device)
    else:
        found = _training_free(name or default, backbone, size, refine, device)
    if found.name != "ssp" and not refine:
        raise UsageError(f"{found.name} has no second pass to leave out", remedy="Leave out --no-ssp-refine.")
    return found


def _training_free(name: str, backbone: str | Path | None, size: int | None, refine: bool, device: str) -> Segmenter:
    from aligndiff_cli.models.device import pick_device
    from aligndiff_cli.models.segmenters.backbone import load_features

    features = load_features(backbone or POCKET, pick_device(device))
    side = default_size(backbone) if size is None else size or None
    if name == "prototype":
        from aligndiff_cli.models.segmenters.prototype import PrototypeSegmenter

        return PrototypeSegmenter(features, side)
    from aligndiff_cli.models.segmenters.ssp import SspSegmenter, SspSettings

    # chosen on validation classes (bundled backbone) and on folds 0 to 2 of photographs (ImageNet's)
    settings = SspSettings(stages=(3,) if backbone is None else features.matched, refine=refine)
    return SspSegmenter(features, side, settings)


def _trained(
    name: str | None,
    weights: str | Path | None,
    backbone: str | Path | None,
    size: int | None,
    refine: bool,
    device: str,
) -> Segmenter:
    from aligndiff_cli.models.device import pick_device
    from aligndiff_cli.models.segmenters.checkpoint import load_trained

    if weights is None and backbone is not None:
        raise ModelError(
            "HSNet needs weights trained on this backbone",
            backbone,
            "Name a file of weights, or use ssp, which needs none.",
        )
    path = Path(weights or HSNET_WEIGHTS)
    return load_trained(name, path, backbone, size, pick_device(device), refine=refine)


def default_size(backbone: str | Path | None) -> int:
    """Side in pixels at which segmenters without weights of their own look at pictures."""
    return 320 if backbone is not None else 256
