"""Intermediate features of a transformers ResNet (basic or bottleneck blocks), frozen."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ResNetModel
from transformers.utils import cached_file
from transformers.utils import logging as hf_logging

from aligndiff_cli.errors import ModelError

Image = npt.NDArray[np.uint8]


class Backbone(nn.Module):
    """A ResNet whose blocks can be read before their last ReLU.

    Args:
        net: the ResNet; set to eval mode, its weights frozen and kept in float32.
        mean, std: per-channel statistics on the [0, 1] scale of RGB images.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, net: ResNetModel, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.net = net.float().eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1))

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.net.config.hidden_sizes)

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks of each stage."""
        return tuple(self.net.config.depths)

    @property
    def device(self) -> torch.device:
        return self.mean.device

    def train(self, mode: bool = True) -> Backbone:
        """Stay in eval mode: the backbone is frozen, its batch statistics too."""
        return super().train(False)

    def pixels(self, images: Sequence[Image], size: int) -> Tensor:
        """RGB uint8 images (H, W, 3) of any sizes -> normalised (N, 3, size, size)."""
        resized = [resize_image(image, size) for image in images]
        batch = torch.stack(resized).to(self.device)
        return (batch - self.mean) / self.std

    def stages(self, pixels: Tensor, last: int = 4) -> list[list[Tensor]]:
        """Outputs of every block before its last ReLU, per stage, through stage `last` (1-based).

        Returns:
            One list per stage of tensors (N, C_stage, h, w).
        """
        x = self.net.embedder(pixels)
        outputs: list[list[Tensor]] = []
        for stage in self.net.encoder.stages[:last]:
            blocks: list[Tensor] = []
            for block in stage.layers:
                before = block.layer(x) + block.shortcut(x)
                blocks.append(before)
                x = block.activation(before)
            outputs.append(blocks)
        return outputs

    def fingerprint(self) -> str:
        """16 hex digits over the weights, their names and the normalisation."""
        return state_fingerprint(self)


def resize_image(image: Image, size: int) -> Tensor:
    """RGB uint8 (H, W, 3) -> float32 (3, size, size) in [0, 1], bilinear with antialiasing."""
    planes = torch.tensor(image).permute(2, 0, 1)[None].float() / 255.0
    if planes.shape[-2:] != (size, size):
        planes = F.interpolate(planes, (size, size), mode="bilinear", antialias=True, align_corners=False)
    return planes[0].clamp(0.0, 1.0)


def state_fingerprint(module: nn.Module) -> str:
    """16 hex digits over a module's tensors and their names; equal weights give equal digits."""
    digest = hashlib.sha256()
    for key, tensor in sorted(module.state_dict().items()):
        values = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{key}{values.dtype}{values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()[:16]


def load_backbone(source: str | Path, device: torch.device | str = "cpu") -> Backbone:
    """Read a ResNet in transformers' layout: a folder, or the name of a hub repository.

    Any storage type is widened to float32; a classifier head in the file is left out.

    Raises:
        ModelError: the folder or repository is missing, is no ResNet, or lacks its preprocessing.
    """
    config = _read_json(source, "config.json")
    if config.get("model_type") != "resnet":
        raise ModelError(
            f"the backbone is a {config.get('model_type', 'model without a type')}, not a resnet",
            source,
            "Give a ResNet in transformers' layout, e.g. microsoft/resnet-50.",
        )
    mean, std = _normalisation(_read_json(source, "preprocessor_config.json"), source)
    try:
        with _quiet():
            net = ResNetModel.from_pretrained(str(source), dtype=torch.float32)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the backbone's weights cannot be read ({_first_line(error)})",
            source,
            "Give a folder with config.json and model.safetensors, or a hub name that can be reached.",
        ) from error
    return Backbone(net, mean, std).to(device)


def _normalisation(settings: dict, source: str | Path) -> tuple[list[float], list[float]]:
    """Mean and deviation on the [0, 1] scale, whatever scale the file is written for."""
    mean, std = settings.get("image_mean"), settings.get("image_std")
    if not (isinstance(mean, list) and isinstance(std, list) and len(mean) == len(std) == 3 and all(std)):
        raise ModelError("preprocessor_config.json holds no image_mean and image_std of three channels", source)
    scale = settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 1.0
    # (255 x scale - mean) / std for x in [0, 1], brought to the form (x - m) / s
    factor = 255.0 * scale
    return [float(m) / factor for m in mean], [float(s) / factor for s in std]


def _read_json(source: str | Path, name: str) -> dict:
    try:
        found = cached_file(str(source), name)
        if found is None:
            raise OSError(f"no {name}")
        content = json.loads(Path(found).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the backbone's {name} cannot be read",
            source,
            "Give a folder in transformers' layout, or a hub name that can be reached.",
        ) from error
    if not isinstance(content, dict):
        raise ModelError(f"the backbone's {name} is not a JSON object", source)
    return content


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


@contextmanager
def _quiet() -> Iterator[None]:
    """No loading bars and no report on the classifier head that is left out on purpose."""
    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()
