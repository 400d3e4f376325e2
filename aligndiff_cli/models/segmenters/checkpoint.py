"""HSNet's learned weights on disk: one safetensors file that says which backbone it was trained on."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from aligndiff_cli.errors import ModelError
from aligndiff_cli.models.segmenters.backbone import Backbone
from aligndiff_cli.models.segmenters.hsnet import HSNet, HsnetSegmenter

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
