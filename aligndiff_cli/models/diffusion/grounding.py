"""A grounding module: masks of a named class from what a frozen diffusion model sees in an image.

After Li et al. 2023, "Guiding text-to-image diffusion model towards grounded generation": the features of several
resolutions are fused, the class name asks them for its object, and the answer is compared with every position. Trained
on base classes, it is used on any class the text encoder has words for; the paper compares its masks with such a module
("GD").

It is not theirs. Theirs is larger (512 channels, three decoder layers; ``width`` and ``layers``), learns long from
pictures that the diffusion model draws, which a detector has labelled, while it draws them, by cross-entropy alone and
with Adam at 1e-5. This one learns from real base images with their own labels, slightly noised, in minutes, with dice
as well. Nobody has compared the two.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from aligndiff_cli.method.prompts import Prompt, class_words
from aligndiff_cli.models.diffusion.model import DiffusionModel
from aligndiff_cli.models.diffusion.text import Conditioning

TEMPLATE = "a photo of a {class}"
NOISE_LEVEL = 0.2
"""Step at which the U-Net is read, as a share of the model's noise levels.

Chosen on Emoji-5i, fold 2: up to here the masks of new classes gain and those of base classes lose little.
"""
WIDTH, LAYERS, HEADS = 128, 2, 4
"""Li et al.: 512 channels, 3 layers."""
NORM_GROUPS = 8


class Grounding(nn.Module):
    """Features of several resolutions and a class name to mask logits.

    Args:
        channels: C_i of the features, in their order.
        text_width: D, numbers per token state of the text encoder.
        width: channels inside, a multiple of 8.
        layers: of the decoder by which the class name looks at the features.
    """

    def __init__(self, channels: Sequence[int], text_width: int, width: int = WIDTH, layers: int = LAYERS) -> None:
        super().__init__()
        # the maps of a U-Net differ in scale, hence a norm before they are added
        self.project = nn.ModuleList(nn.Sequential(nn.GroupNorm(1, own), nn.Conv2d(own, width, 1)) for own in channels)
        self.fuse = nn.Sequential(*_block(width), *_block(width))
        self.query = nn.Linear(text_width, width)
        layer = nn.TransformerDecoderLayer(width, HEADS, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.decoder = nn.TransformerDecoder(layer, layers, nn.LayerNorm(width))
        self.embed = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.bias = nn.Parameter(torch.zeros(()))

    def forward(self, features: Sequence[Tensor], words: Tensor) -> Tensor:
        """Mask logits at the resolution of the last (finest) features.

        Args:
            features: (N, C_i, h_i, w_i) each, coarsest first.
            words: (N, D), one vector per class name.

        Returns:
            (N, h, w).
        """
        size = features[-1].shape[-2:]
        maps = [
            F.interpolate(project(own), size, mode="bilinear", align_corners=False)
            for project, own in zip(self.project, features, strict=True)
        ]
        fused = self.fuse(torch.stack(maps).sum(0))
        positions = fused.flatten(2).transpose(1, 2)
        asked = self.decoder(self.query(words)[:, None], positions)
        mask = self.embed(asked[:, 0])
        return torch.einsum("nchw,nc->nhw", fused, mask) / fused.shape[1] ** 0.5 + self.bias


def _block(width: int) -> list[nn.Module]:
    return [nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(NORM_GROUPS, width)]


def build_grounding(model: DiffusionModel, seed: int, width: int = WIDTH, layers: int = LAYERS) -> Grounding:
    """An untrained module for the model's features, its weights drawn from the seed."""
    named = name_classes(model, ["object"])
    blank = np.zeros((*model.image_size, 3), np.uint8)
    features = read_features(model, [blank], named, torch.Generator().manual_seed(0))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Grounding([own.shape[1] for own in features], named.hidden.shape[-1], width, layers)
    return net.to(model.device)


@torch.no_grad()
def name_classes(model: DiffusionModel, names: Sequence[str]) -> Conditioning:
    """The prompt ``TEMPLATE`` of each class, encoded."""
    return model.encode_prompts([Prompt(TEMPLATE, class_words(name)) for name in names])


def word_states(named: Conditioning) -> Tensor:
    """(N, D): the mean of the text encoder's states over each class name's tokens, float32."""
    states = [hidden[list(own)].mean(0) for hidden, own in zip(named.hidden, named.class_tokens, strict=True)]
    return torch.stack(states).float()


@torch.no_grad()
def read_features(
    model: DiffusionModel, images: Sequence[np.ndarray], named: Conditioning, generator: torch.Generator
) -> list[Tensor]:
    """The model's features of images, slightly noised and read once.

    Args:
        images: uint8 (H, W, 3) each, all of one size.
        named: one row per image, from ``name_classes``.
        generator: of the noise; on the CPU.

    Returns:
        (N, C_i, h_i, w_i) each, coarsest first, float32.
    """
    x0 = model.encode_images(images).mean
    noise = torch.randn(x0.shape, generator=generator).to(x0)
    t = torch.full((len(x0),), round(NOISE_LEVEL * model.train_steps), device=x0.device)
    x_t, _ = model.noise_and_target(x0, noise, t)
    return [own.float() for own in model.features(x_t, t, named)]


class GroundingSegmenter:
    """A trained module in use.

    Args:
        model: the diffusion model whose features it was trained on.
        net: the module; put into evaluation mode.
    """

    def __init__(self, model: DiffusionModel, net: Grounding) -> None:
        self.model = model
        self.net = net.eval()

    @torch.no_grad()
    def predict(self, cls: str, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        """Foreground probability of a class in each image, one by one.

        An image is looked at with its shorter side at the model's size, and its noise is always the same: the answer
        depends on the image alone.

        Args:
            cls: class name; underscores count as spaces.
            images: uint8 (H, W, 3) each, of any sizes.

        Returns:
            float32 (H, W) in [0, 1] each.
        """
        named = name_classes(self.model, [cls])
        return [self._probability(named, image) for image in images]

    def _probability(self, named: Conditioning, image: np.ndarray) -> np.ndarray:
        features = read_features(self.model, [self._fitted(image)], named, torch.Generator().manual_seed(0))
        logits = self.net(features, word_states(named))
        return upsample(logits, image.shape[:2])[0].sigmoid().cpu().numpy()

    def _fitted(self, image: np.ndarray) -> np.ndarray:
        """The image with its shorter side at the model's, and both sides multiples it can do."""
        sides = np.array(image.shape[:2])
        factor = self.model.size_multiple
        wanted = sides * (min(self.model.image_size) / sides.min())
        height, width = (max(1, round(side / factor)) * factor for side in wanted)
        if (height, width) == image.shape[:2]:
            return image
        return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BILINEAR))


def upsample(logits: Tensor, size: Sequence[int]) -> Tensor:
    """(N, h, w) -> (N, H, W), bilinear."""
    return F.interpolate(logits[:, None], tuple(size), mode="bilinear", align_corners=False)[:, 0]
