"""CLIP and SigLIP: pictures and texts as points of one sphere, near where they mean the same.

Radford et al. 2021 and Zhai et al. 2023. The two give cosines of different sizes: for a picture and its text about 0.3
with CLIP and 0.1 with SigLIP.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.nn import functional as F
from transformers import AutoTokenizer, CLIPModel, PreTrainedModel, PreTrainedTokenizerFast, SiglipModel

from aligndiff_cli.errors import ModelError, first_line
from aligndiff_cli.models.hub import network_folder
from aligndiff_cli.models.pretrained import normalisation, preprocessing, pretrained, quiet, read_json

NETWORKS: dict[str, type[PreTrainedModel]] = {"clip": CLIPModel, "siglip": SiglipModel}
"""By model_type."""
BATCH = 16
"""Pictures in a pass; a pass is always of as many, so that no score depends on what else is to be done."""
VOCABULARIES = ("tokenizer.json", "vocab.json", "spiece.model")
EXAMPLES = "e.g. openai/clip-vit-large-patch14 or google/siglip-base-patch16-224"


class Clip:
    """A frozen CLIP or SigLIP in float32.

    Args:
        net: the network.
        tokenizer: its tokenizer.
        mean, std: per-channel statistics on the [0, 1] scale of RGB images.
        crop: whether a picture keeps its shape, and its middle is seen (CLIP); else it is squeezed into a square.
        resample: of PIL.
    """

    def __init__(
        self,
        net: PreTrainedModel,
        tokenizer: Any,
        mean: Sequence[float],
        std: Sequence[float],
        *,
        crop: bool,
        resample: int = Image.Resampling.BICUBIC,
    ) -> None:
        self.net: Any = net.float().eval().requires_grad_(False)
        self._tokenizer = tokenizer
        self._mean, self._std = (np.asarray(own, np.float32) for own in (mean, std))
        self._crop, self._resample = crop, Image.Resampling(resample)
        self.side = int(self.net.config.vision_config.image_size)
        self._length = int(self.net.config.text_config.max_position_embeddings)

    @torch.inference_mode()
    def images(self, images: Sequence[NDArray[np.uint8] | None]) -> Tensor:
        """Points of up to BATCH pictures.

        Args:
            images: (H, W, 3) each, of any sizes; None for a place that stays empty.

        Returns:
            (N, D) float32 of length 1 on the CPU; of empty places, something.
        """
        pixels = torch.zeros(BATCH, 3, self.side, self.side)
        for place, image in enumerate(images):
            if image is not None:
                pixels[place] = self._pixels(image)
        return self._points(self.net.get_image_features(pixel_values=pixels.to(self.net.device)))[: len(images)]

    @torch.inference_mode()
    def text(self, text: str) -> Tensor:
        """The point of a text, (D,) float32 of length 1 on the CPU; what is too long for the network is cut off."""
        ids = self._tokenizer(
            text, padding="max_length", truncation=True, max_length=self._length, return_tensors="pt", verbose=False
        ).input_ids
        return self._points(self.net.get_text_features(input_ids=ids.to(self.net.device)))[0]

    def _points(self, found: Any) -> Tensor:
        # a tensor in older versions of transformers, an output with one in newer
        points: Tensor = getattr(found, "pooler_output", found)
        return F.normalize(points.float(), dim=-1).cpu()

    def _pixels(self, image: NDArray[np.uint8]) -> Tensor:
        picture = Image.fromarray(image)
        width, height = picture.size
        if self._crop:
            scale = self.side / min(width, height)
            width, height = (max(self.side, int(side * scale)) for side in (width, height))
            left, top = (width - self.side) // 2, (height - self.side) // 2
            box = (left, top, left + self.side, top + self.side)
            picture = picture.resize((width, height), self._resample).crop(box)
        else:
            picture = picture.resize((self.side, self.side), self._resample)
        planes = (np.asarray(picture, np.float32) / 255.0 - self._mean) / self._std
        return torch.from_numpy(planes.transpose(2, 0, 1).copy())


def check_clip(source: str | Path) -> Path:
    """The folder of a CLIP or SigLIP, of which no weights are read.

    Raises:
        ModelError: it is missing or neither of the two.
    """
    folder = network_folder(source)
    kind: Any = read_json(folder, "config.json").get("model_type")
    if kind not in NETWORKS:
        raise ModelError(
            f"this is a {kind or 'model without a type'}, neither a CLIP nor a SigLIP",
            source,
            f"Pass a folder or hub id in transformers' layout, {EXAMPLES}",
        )
    return folder


def load_clip(source: str | Path, device: torch.device | str = "cpu") -> Clip:
    """Read a CLIP or SigLIP from a folder or hub id in transformers' layout.

    Raises:
        ModelError: it is missing, neither of the two, or not whole.
    """
    folder = check_clip(source)
    kind = str(read_json(folder, "config.json")["model_type"])
    settings = preprocessing(folder)
    crop = bool(settings.get("do_center_crop", kind == "clip"))
    resample = settings.get("resample", Image.Resampling.BICUBIC)
    net = pretrained(NETWORKS[kind], folder).to(device)  # type: ignore[arg-type]
    return Clip(net, _tokenizer(folder), *normalisation(folder), crop=crop, resample=int(resample))


def _tokenizer(folder: Path) -> Any:
    if not any((folder / name).is_file() for name in VOCABULARIES):  # transformers would make an empty one up
        what = f"the tokenizer cannot be read (there is none of {', '.join(VOCABULARIES)})"
        raise ModelError(what, folder, "Download or copy the model again")
    try:
        with quiet():
            return AutoTokenizer.from_pretrained(folder)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
        # SigLIP's own class wants a package more, and need not: its file has all of it
        if isinstance(error, ImportError) and (folder / "tokenizer.json").is_file():
            pad = read_json(folder, "tokenizer_config.json").get("pad_token", "</s>")
            return PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), pad_token=str(pad))
        raise ModelError(
            f"the tokenizer cannot be read ({first_line(error)})", folder, "Download or copy the model again"
        ) from error
