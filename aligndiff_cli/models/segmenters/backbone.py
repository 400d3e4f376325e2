"""Frozen feature extractors: a ResNet, read block by block, or any of transformers' AutoBackbone classes, by stage."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, PreTrainedModel, ResNetModel
from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING

from aligndiff_cli.errors import ModelError, first_line
from aligndiff_cli.models import precision
from aligndiff_cli.models.hub import network_folder
from aligndiff_cli.models.pretrained import normalisation, pretrained, read_json
from aligndiff_cli.models.segmenters.state_files import read_state
from aligndiff_cli.models.segmenters.torchvision_names import IMAGENET_MEAN, IMAGENET_STD, build_resnet

Image = npt.NDArray[np.uint8]


class Features(nn.Module):
    """What all feature extractors share: normalised pixels in, one map per stage out, nothing learnt.

    Args:
        net: the network; set to eval mode, its weights frozen and kept in float32. On CUDA it computes in half
            precision (``models/precision.py``); its maps are float32 everywhere.
        mean, std: per-channel statistics on the [0, 1] scale of RGB images.
    """

    mean: Tensor
    std: Tensor
    matched: tuple[int, ...] = (3, 4)
    """Stages (1-based) that training-free matching reads unless told otherwise."""
    multiple = 1
    """What the sides of its inputs must be a multiple of."""

    def __init__(self, net: PreTrainedModel, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.net = net.float().eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(mean, dtype=torch.float32).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(std, dtype=torch.float32).view(1, 3, 1, 1))

    @property
    def device(self) -> torch.device:
        return self.mean.device

    def train(self, mode: bool = True) -> Features:
        """Stay in eval mode: the network is frozen, its batch statistics too."""
        return super().train(False)

    def fit(self, size: int) -> int:
        """The smallest side of at least `size` that the network takes."""
        return -(-size // self.multiple) * self.multiple

    def pixels(self, images: Sequence[Image], size: int | tuple[int, int]) -> Tensor:
        """RGB uint8 images (H, W, 3) of any sizes -> normalised (N, 3, *size), square where one side is given."""
        resized = [resize_image(image, size) for image in images]
        batch = torch.stack(resized).to(self.device)
        return (batch - self.mean) / self.std

    def maps(self, pixels: Tensor, stages: Sequence[int]) -> list[Tensor]:
        """Output of each named stage (1-based), (N, C_stage, h_stage, w_stage)."""
        raise NotImplementedError

    def fingerprint(self) -> str:
        """16 hex digits over the weights, their names and the normalisation."""
        return state_fingerprint(self)


class Backbone(Features):
    """A ResNet whose blocks can be read before their last ReLU."""

    net: ResNetModel

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.net.config.hidden_sizes)

    @property
    def depths(self) -> tuple[int, ...]:
        """Blocks of each stage."""
        return tuple(self.net.config.depths)

    def maps(self, pixels: Tensor, stages: Sequence[int]) -> list[Tensor]:
        outputs = self.stages(pixels, max(stages))
        return [outputs[number - 1][-1].relu() for number in stages]

    def stages(self, pixels: Tensor, last: int = 4) -> list[list[Tensor]]:
        """Outputs of every block before its last ReLU, per stage, through stage `last` (1-based).

        Returns:
            One list per stage of tensors (N, C_stage, h, w).
        """
        outputs: list[list[Tensor]] = []
        with precision.half(pixels.device, precision.FROZEN):
            x = self.net.embedder(pixels)
            for stage in self.net.encoder.stages[:last]:
                blocks: list[Tensor] = []
                for block in stage.layers:
                    before = block.layer(x) + block.shortcut(x)
                    blocks.append(precision.single(before))
                    x = block.activation(before)
                outputs.append(blocks)
        return outputs


class AutoFeatures(Features):
    """Any network of transformers' AutoBackbone: Swin, ConvNeXt, DINOv2 and the like, with all its stages on.

    Args:
        net: the network.
    """

    def __init__(self, net: PreTrainedModel, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__(net, mean, std)
        stages = len(net.out_features)
        if hasattr(net.config, "depths"):
            self.matched = (stages - 1, stages) if stages > 1 else (1,)
        else:
            # a plain transformer: every layer is a stage of one resolution, and only whole patches are seen
            self.matched = (stages,)
            self.multiple = int(getattr(net.config, "patch_size", 1))

    def maps(self, pixels: Tensor, stages: Sequence[int]) -> list[Tensor]:
        try:
            with precision.half(pixels.device, precision.FROZEN):
                outputs = self.net(pixels).feature_maps
        except ValueError as error:  # some are tied to the size they were trained at
            size = f"{pixels.shape[2]} x {pixels.shape[3]}"
            raise ModelError(
                f"the backbone takes no images of {size} pixels ({first_line(error)})",
                remedy="Pass the size in its config.json as --segmenter-size",
            ) from error
        return [precision.single(outputs[number - 1]) for number in stages]


def resize_image(image: Image, size: int | tuple[int, int]) -> Tensor:
    """RGB uint8 (H, W, 3) -> float32 (3, *size) in [0, 1], bilinear with antialiasing."""
    planes = torch.tensor(image).permute(2, 0, 1)[None].float() / 255.0
    sides = two_sides(size)
    if planes.shape[-2:] != sides:
        planes = F.interpolate(planes, sides, mode="bilinear", antialias=True, align_corners=False)
    return planes[0].clamp(0.0, 1.0)


def two_sides(size: int | tuple[int, int]) -> tuple[int, int]:
    """(height, width), of a square where one side is given."""
    return (size, size) if isinstance(size, int) else size


def state_fingerprint(module: nn.Module) -> str:
    """16 hex digits over a module's tensors and their names; equal weights give equal digits."""
    digest = hashlib.sha256()
    for key, tensor in sorted(module.state_dict().items()):
        values = tensor.detach().cpu().contiguous().numpy()
        digest.update(f"{key}{values.dtype}{values.shape}".encode())
        digest.update(values.tobytes())
    return digest.hexdigest()[:16]


def load_features(source: str | Path, device: torch.device | str = "cpu") -> Features:
    """Read a feature extractor: a folder or hub id in transformers' layout, or a torchvision ResNet's .pth file.

    Raises:
        ModelError: it is missing or unreadable, has no backbone class, or lacks its preprocessing.
    """
    if Path(source).is_file():
        return load_backbone(source, device)
    folder = network_folder(source)
    kind = read_json(folder, "config.json").get("model_type")
    if kind == "resnet":
        return load_backbone(folder, device)
    try:
        config = AutoConfig.from_pretrained(folder)
        network = MODEL_FOR_BACKBONE_MAPPING[type(config)]
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"transformers has no backbone class for a {kind or 'model without a type'}",
            source,
            "Give a ResNet, DINOv2, Swin or ConvNeXt, e.g. microsoft/resnet-50 or facebook/dinov2-small.",
        ) from error
    config.out_features = [name for name in config.stage_names if name != "stem"]
    mean, std = normalisation(folder)
    return precision.placed(AutoFeatures(pretrained(network, folder, config=config), mean, std), device)


def load_backbone(source: str | Path, device: torch.device | str = "cpu") -> Backbone:
    """Read a ResNet: a folder or hub id in transformers' layout, or a torchvision ResNet's .pth file.

    Any storage type is widened to float32; a classifier head in the file is left out.

    Raises:
        ModelError: it is missing or unreadable, is no ResNet, or lacks its preprocessing.
    """
    if Path(source).is_file():
        net = build_resnet(read_state(Path(source)).tensors, source)
        return precision.placed(Backbone(net, IMAGENET_MEAN, IMAGENET_STD), device)
    folder = network_folder(source)
    config = read_json(folder, "config.json")
    if config.get("model_type") != "resnet":
        raise ModelError(
            f"the backbone is a {config.get('model_type', 'model without a type')}, not a resnet",
            source,
            "Give a ResNet in transformers' layout, e.g. microsoft/resnet-50.",
        )
    mean, std = normalisation(folder)
    return precision.placed(Backbone(pretrained(ResNetModel, folder), mean, std), device)
