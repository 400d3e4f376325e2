"""SAM and SAM 2: an image and a rough mask, or boxes, in; the network's own masks of the same things out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel, Sam2Model, SamModel

from aligndiff_cli.errors import ModelError
from aligndiff_cli.method.consensus import Image, Mask
from aligndiff_cli.method.sharpening import prompt_of
from aligndiff_cli.models.hub import network_folder
from aligndiff_cli.models.pretrained import normalisation, pretrained, read_json

Box = tuple[float, float, float, float]
"""Left, top, right and bottom, pixels from the image's corner."""
NETWORKS: dict[str, type[PreTrainedModel]] = {"sam": SamModel, "sam2": Sam2Model, "sam2_video": Sam2Model}
"""By model_type; SAM 2's checkpoints are of its video model, which holds the image model whole."""
LOGIT = 10.0
"""Of the mask given as a prompt: +10 inside, -10 outside, between where a position covers both."""


class Sam:
    """A promptable segmenter, prompted with a mask's box, its deepest point, and the mask itself at low resolution.

    Args:
        net: the network; frozen, in float32.
        mean, std: per-channel statistics on the [0, 1] scale of RGB images.
    """

    def __init__(self, net: PreTrainedModel, mean: Sequence[float], std: Sequence[float]) -> None:
        self.net = net.float().eval().requires_grad_(False)
        self._mean = torch.tensor(mean, device=net.device).view(3, 1, 1)
        self._std = torch.tensor(std, device=net.device).view(3, 1, 1)
        prompts = net.config.prompt_encoder_config
        self.side = int(prompts.image_size)
        self._mask_side = 4 * self.side // int(prompts.patch_size)
        self._keeps_shape = net.config.model_type == "sam"

    @torch.no_grad()
    def masks(self, images: Sequence[Image], masks: Sequence[Mask]) -> list[list[Mask]]:
        """The network's answers to one mask in each image.

        Args:
            images: uint8 (H, W, 3) each, of any sizes.
            masks: bool (H, W) each, none of them empty.

        Returns:
            For each image its candidates, usually three, bool (H, W).
        """
        sizes = [self.shown(image.shape[:2]) for image in images]
        inputs = {
            "pixel_values": torch.stack([self._pixels(image, size) for image, size in zip(images, sizes, strict=True)]),
            "input_masks": torch.stack([self._logits(mask, size) for mask, size in zip(masks, sizes, strict=True)]),
            **self._points(masks, sizes),
        }
        answers = self.net(**inputs, multimask_output=True).pred_masks[:, 0]
        return [
            self._at_size(answer, size, image.shape[:2])
            for answer, size, image in zip(answers, sizes, images, strict=True)
        ]

    @torch.no_grad()
    def boxed(self, image: Image, boxes: Sequence[Box]) -> list[Mask]:
        """The network's one answer to each box, cut at the box.

        Args:
            image: uint8 (H, W, 3).
            boxes: one or more.

        Returns:
            bool (H, W) each; may be empty.
        """
        height, width = self.shown(image.shape[:2])
        x, y = width / image.shape[1], height / image.shape[0]
        prompts = [[left * x, top * y, right * x, bottom * y] for left, top, right, bottom in boxes]
        answers = self.net(
            pixel_values=self._pixels(image, (height, width))[None],
            input_boxes=torch.tensor([prompts], dtype=torch.float32, device=self.net.device),
            multimask_output=False,
        ).pred_masks[0, :, 0]
        masks = self._at_size(answers, (height, width), image.shape[:2])
        return [mask & inside(box, mask.shape) for mask, box in zip(masks, boxes, strict=True)]

    def shown(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """Height and width at which the network sees an image (H, W).

        SAM keeps the shape, the rest of its square is padding; SAM 2 fills the square.
        """
        if not self._keeps_shape:
            return self.side, self.side
        scale = self.side / max(shape)
        return max(1, int(shape[0] * scale + 0.5)), max(1, int(shape[1] * scale + 0.5))

    def _pixels(self, image: Image, size: tuple[int, int]) -> Tensor:
        planes = (
            torch.tensor(np.ascontiguousarray(image), device=self.net.device).permute(2, 0, 1)[None].float() / 255.0
        )
        planes = F.interpolate(planes, size, mode="bilinear", antialias=True, align_corners=False)[0].clamp(0.0, 1.0)
        return self._padded((planes - self._mean) / self._std)

    def _logits(self, mask: Mask, size: tuple[int, int]) -> Tensor:
        plane = torch.tensor(np.ascontiguousarray(mask), device=self.net.device)[None, None].float()
        plane = F.interpolate(plane, size, mode="bilinear", antialias=True, align_corners=False)[0]
        share = F.interpolate(self._padded(plane)[None], (self._mask_side,) * 2, mode="area")[0]
        return (2.0 * share - 1.0) * LOGIT

    def _points(self, masks: Sequence[Mask], sizes: Sequence[tuple[int, int]]) -> dict[str, Tensor]:
        boxes, points = [], []
        for mask, (height, width) in zip(masks, sizes, strict=True):
            prompt = prompt_of(mask)
            x, y = width / mask.shape[1], height / mask.shape[0]
            left, top, right, bottom = prompt.box
            boxes.append([[left * x, top * y, right * x, bottom * y]])
            points.append([[[prompt.point[0] * x, prompt.point[1] * y]]])
        device = self.net.device
        return {
            "input_boxes": torch.tensor(boxes, dtype=torch.float32, device=device),
            "input_points": torch.tensor(points, dtype=torch.float32, device=device),
            "input_labels": torch.ones(len(masks), 1, 1, dtype=torch.int32, device=device),
        }

    def _padded(self, planes: Tensor) -> Tensor:
        height, width = planes.shape[-2:]
        return F.pad(planes, (0, self.side - width, 0, self.side - height))

    def _at_size(self, logits: Tensor, size: tuple[int, int], shape: tuple[int, ...]) -> list[Mask]:
        """Candidates (K, h, w) of the network's square -> masks of the image's own size."""
        square = F.interpolate(logits[None].float(), (self.side, self.side), mode="bilinear", align_corners=False)
        inside = square[..., : size[0], : size[1]]
        full = F.interpolate(inside, tuple(shape), mode="bilinear", align_corners=False)[0]
        return [np.asarray(candidate) for candidate in (full > 0).cpu().numpy()]


def inside(box: Box, shape: tuple[int, ...]) -> Mask:
    """The pixels (H, W) that a box covers at least half of, in each direction."""
    left, top, right, bottom = (round(side) for side in box)
    mask = np.zeros(shape, np.bool_)
    mask[max(0, top) : max(0, bottom), max(0, left) : max(0, right)] = True
    return mask


def load_sam(source: str | Path, device: torch.device | str = "cpu") -> Sam:
    """Read a SAM or SAM 2 from a folder or hub id in transformers' layout.

    Raises:
        ModelError: it is missing, neither of the two, or not whole.
    """
    folder = network_folder(source)
    kind: Any = read_json(folder, "config.json").get("model_type")
    if kind not in NETWORKS:
        raise ModelError(
            f"this is a {kind or 'model without a type'}, neither a SAM nor a SAM 2",
            source,
            "Pass a folder or hub id in transformers' layout, e.g. facebook/sam-vit-base or facebook/sam2.1-hiera-tiny",
        )
    mean, std = normalisation(folder)
    return Sam(pretrained(NETWORKS[kind], folder).to(device), mean, std)
