"""A segmenter's weights on disk: our own HSNet file, which says its backbone, or an authors' checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from aligndiff_cli.errors import ModelError, UsageError
from aligndiff_cli.models.segmenters import POCKET
from aligndiff_cli.models.segmenters.backbone import Backbone, load_backbone
from aligndiff_cli.models.segmenters.base import FeatureSegmenter
from aligndiff_cli.models.segmenters.description import STEM_PREFIX
from aligndiff_cli.models.segmenters.hsnet import HSNet, HsnetSegmenter
from aligndiff_cli.models.segmenters.hsnet_published import LEARNER, load_published_hsnet
from aligndiff_cli.models.segmenters.ssp_published import load_published_ssp
from aligndiff_cli.models.segmenters.state_files import read_state

BATCH, TRIED_AT = 8, 128
"""Pairs per forward pass at an input size; correlations grow with its fourth power, so larger inputs get fewer."""


def save_hsnet(net: HSNet, path: Path, *, size: int, backbone: str, dtype: torch.dtype = torch.float16) -> None:
    """Write the weights with what must be known to use them.

    Args:
        size: side in pixels of the square inputs it was trained at.
        backbone: fingerprint of the backbone it was trained on.
        dtype: storage type; float16 halves the file, and is widened again on loading.
    """
    tensors = {key: value.detach().cpu().to(dtype).contiguous() for key, value in net.state_dict().items()}
    about = {"depths": json.dumps(net.depths), "size": str(size), "backbone": backbone}
    save_file(tensors, path, metadata=about)


def load_trained(
    name: str | None,
    path: Path,
    backbone: str | Path | None,
    size: int | None,
    device: torch.device,
    *,
    refine: bool = True,
) -> FeatureSegmenter:
    """The segmenter whose weights a file holds; the format is told by its keys.

    Args:
        name: "hsnet" or "ssp"; None for whichever it is.
        backbone: for weights that bring none; None for the bundled one.
        size: side in pixels, 0 for that of each picture; what suits the weights when left out.
        refine: see `SspSettings`.

    Raises:
        ModelError: no such file, of no known format, or not whole.
        UsageError: weights of another segmenter than asked for, or a backbone where there is one inside.
    """
    file = read_state(path)
    learned = any(key.startswith(LEARNER) for key in file.tensors)
    if not learned and not any(key.startswith(STEM_PREFIX) for key in file.tensors) and "depths" not in file.metadata:
        raise ModelError(
            "these are no weights of HSNet or SSP",
            path,
            "Name our own .safetensors, or a checkpoint of the authors'; a ResNet's weights go to --backbone.",
        )
    kind = "hsnet" if learned or "depths" in file.metadata else "ssp"
    if name not in (None, kind):
        raise UsageError(f"{path} holds weights of {kind}, not of {name}", remedy=f"Pass --segmenter {kind}.")
    if kind == "ssp" and backbone is not None:
        raise UsageError(f"{path} brings its own backbone", remedy="Leave out --backbone.")
    if kind == "ssp":
        return load_published_ssp(file.tensors, path, size or None, device, refine=refine)
    if size == 0:
        raise UsageError("HSNet looks at squares", remedy="Give a side in pixels, or none.")
    if learned:
        return load_published_hsnet(file.tensors, path, backbone, size, device)
    return load_hsnet(load_backbone(backbone or POCKET, device), path, size)


def load_hsnet(backbone: Backbone, path: Path, size: int | None = None) -> HsnetSegmenter:
    """Read HSNet weights for a backbone; `size` defaults to the one they were trained at.

    Raises:
        ModelError: no such file, not such a file, or weights for another backbone.
    """
    if not path.is_file():
        raise ModelError("the HSNet weights are missing", path, "Name a safetensors file of HSNet weights.")
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            tensors = {key: file.get_tensor(key).float() for key in file.keys()}  # noqa: SIM118
        net = HSNet(json.loads(about["depths"]))
        net.load_state_dict(tensors)
        trained_size = int(about["size"])
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise ModelError(
            "this is no file of HSNet weights", path, "Name a safetensors file written by its training."
        ) from error
    if about.get("backbone") != backbone.fingerprint():
        raise ModelError(
            "these HSNet weights were trained on another backbone",
            path,
            "Name the backbone they were trained on, or use ssp, which fits any.",
        )
    side = size or trained_size
    return HsnetSegmenter(backbone, net, side, batch=max(1, round(BATCH * (TRIED_AT / side) ** 2)))
