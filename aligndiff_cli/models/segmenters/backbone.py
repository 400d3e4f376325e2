"""Frozen feature extractors: a ResNet, read block by block, or any of transformers' AutoBackbone classes, by stage."""

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
from transformers import AutoConfig, PreTrainedModel, ResNetModel
from transformers.models.auto.modeling_auto import MODEL_FOR_BACKBONE_MAPPING
from transformers.utils import logging as hf_logging

from aligndiff_cli.errors import ModelError
from aligndiff_cli.models.hub import fetch
from aligndiff_cli.models.segmenters.state_files import read_state
from aligndiff_cli.models.segmenters.torchvision_names import IMAGENET_MEAN, IMAGENET_STD, build_resnet

Image = npt.NDArray[np.uint8]
FILES = ("config.json", "preprocessor_config.json", "model*.safetensors", "model.safetensors.index.json")
REMEDY = "Give a folder in transformers' layout, or a hub name that can be reached."


class Features(nn.Module):
    """What all feature extractors share: normalised pixels in, one map per stage out, nothing learnt.

    Args:
        net: the network; set to eval mode, its weights frozen and kept in float32.
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

    def pixels(self, images: Sequence[Image], size: int) -> Tensor:
        """RGB uint8 images (H, W, 3) of any sizes -> normalised (N, 3, size, size)."""
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
            outputs = self.net(pixels).feature_maps
        except ValueError as error:  # some are tied to the size they were trained at
            size = f"{pixels.shape[2]} x {pixels.shape[3]}"
            raise ModelError(
                f"the backbone takes no images of {size} pixels ({_first_line(error)})",
                remedy="Pass the size in its config.json as --segmenter-size",
            ) from error
        return [outputs[number - 1] for number in stages]


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


def load_features(source: str | Path, device: torch.device | str = "cpu") -> Features:
    """Read a feature extractor: a folder or hub id in transformers' layout, or a torchvision ResNet's .pth file.

    Raises:
        ModelError: it is missing or unreadable, has no backbone class, or lacks its preprocessing.
    """
    if Path(source).is_file():
        return load_backbone(source, device)
    folder = fetch(str(source), allow=FILES)
    kind = _read_json(folder, "config.json").get("model_type")
    if kind == "resnet":
        return load_backbone(source, device)
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
    mean, std = _normalisation(_read_json(folder, "preprocessor_config.json"), source)
    return AutoFeatures(_pretrained(network, folder, config=config), mean, std).to(device)


def load_backbone(source: str | Path, device: torch.device | str = "cpu") -> Backbone:
    """Read a ResNet: a folder or hub id in transformers' layout, or a torchvision ResNet's .pth file.

    Any storage type is widened to float32; a classifier head in the file is left out.

    Raises:
        ModelError: it is missing or unreadable, is no ResNet, or lacks its preprocessing.
    """
    if Path(source).is_file():
        net = build_resnet(read_state(Path(source)).tensors, source)
        return Backbone(net, IMAGENET_MEAN, IMAGENET_STD).to(device)
    folder = fetch(str(source), allow=FILES)
    config = _read_json(folder, "config.json")
    if config.get("model_type") != "resnet":
        raise ModelError(
            f"the backbone is a {config.get('model_type', 'model without a type')}, not a resnet",
            source,
            "Give a ResNet in transformers' layout, e.g. microsoft/resnet-50.",
        )
    mean, std = _normalisation(_read_json(folder, "preprocessor_config.json"), source)
    return Backbone(_pretrained(ResNetModel, folder), mean, std).to(device)


def _pretrained(network: type[PreTrainedModel], folder: Path, **settings: object) -> PreTrainedModel:
    """The network with the folder's weights, none of them made up.

    Raises:
        ModelError: they cannot be read, or some are missing.
    """
    try:
        with _quiet():
            net, about = network.from_pretrained(folder, dtype=torch.float32, output_loading_info=True, **settings)
    except (OSError, ValueError, RuntimeError) as error:
        raise ModelError(
            f"the backbone's weights cannot be read ({_first_line(error)})",
            folder,
            "Give a folder with config.json and model.safetensors, or a hub name that can be reached.",
        ) from error
    # norms over the stages are the backbone classes' own; in no checkpoint of a classifier, they start as identities
    missing = sorted(key for key in about["missing_keys"] if "hidden_states_norms" not in key)
    if missing:
        raise ModelError(f"the backbone's file lacks {len(missing)} weights, e.g. {missing[0]}", folder, REMEDY)
    return net


def _normalisation(settings: dict, source: str | Path) -> tuple[list[float], list[float]]:
    """Mean and deviation on the [0, 1] scale, whatever scale the file is written for."""
    mean, std = settings.get("image_mean"), settings.get("image_std")
    if not (isinstance(mean, list) and isinstance(std, list) and len(mean) == len(std) == 3 and all(std)):
        raise ModelError("preprocessor_config.json holds no image_mean and image_std of three channels", source)
    scale = settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 1.0
    # (255 x scale - mean) / std for x in [0, 1], brought to the form (x - m) / s
    factor = 255.0 * scale
    return [float(m) / factor for m in mean], [float(s) / factor for s in std]


def _read_json(folder: Path, name: str) -> dict:
    try:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"the backbone's {name} cannot be read", folder, REMEDY) from error
    if not isinstance(content, dict):
        raise ModelError(f"the backbone's {name} is not a JSON object", folder)
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
