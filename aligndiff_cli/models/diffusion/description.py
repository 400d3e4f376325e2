"""What is known of a model from its folder's JSON and its files, without loading it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from aligndiff_cli.errors import ModelError, first_line
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.diffusion.defaults import ModelDefaults
from aligndiff_cli.models.diffusion.encoders import TextEncoder
from aligndiff_cli.models.diffusion.model import DiffusionModel, in_tiles
from aligndiff_cli.models.diffusion.model_files import read_config

INDEX = "model_index.json"


@dataclass(frozen=True)
class Description:
    """A model that is not loaded.

    Attributes:
        source: as the user wrote it.
        folder: where its files are.
        family: its class.
        fingerprint: digest of the weights and configurations on disk.
        defaults: settings to use where the user gives none.
        device, dtype: where and in what precision it will run.
        vae_tiling: whether the VAE works in tiles; None for large images only.
    """

    source: str
    folder: Path
    family: type[DiffusionModel]
    fingerprint: str
    defaults: ModelDefaults
    device: torch.device
    dtype: torch.dtype
    vae_tiling: bool | None = None

    @cached_property
    def encoders(self) -> list[TextEncoder]:
        """Its text encoders: tokenizers, and the configurations in place of networks.

        Raises:
            ModelError: a tokenizer cannot be read.
        """
        index = json.loads((self.folder / INDEX).read_text(encoding="utf-8"))
        parts: dict[str, Any] = dict.fromkeys(self.family.optional_parts)
        for part in (*self.family.parts, *self.family.optional_parts):
            if not (self.folder / part).is_dir():
                continue
            if part.startswith("tokenizer"):
                parts[part] = self._tokenizer(part, index)
            elif (self.folder / part / "config.json").is_file():
                parts[part] = SimpleNamespace(config=SimpleNamespace(**read_config(self.folder, part)))
        return self.family.text_encoders(SimpleNamespace(**parts))

    def _tokenizer(self, part: str, index: Any) -> Any:
        import transformers

        try:
            return getattr(transformers, index[part][1]).from_pretrained(self.folder / part)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError) as error:
            what = f"the tokenizer cannot be read ({first_line(error)})"
            raise ModelError(what, self.folder / part, "Download or copy the model again") from error

    @property
    def embedding_dim(self) -> int:
        """Numbers in one vector of v*, over all text encoders."""
        return sum(encoder.width for encoder in self.encoders)

    def check_prompt(self, prompt: Prompt) -> None:
        """Refuse a prompt that is too long (InputError)."""
        for encoder in self.encoders:
            encoder.lay_out(prompt)

    @cached_property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels it was trained at."""
        factor = 2 ** (len(read_config(self.folder, "vae")["block_out_channels"]) - 1)
        height, width = self.family.trained_latent_size(self.folder)
        return height * factor, width * factor

    def tiles(self, height: int, width: int) -> bool:
        """Whether its VAE works on an image of this size (in pixels) tile by tile."""
        return in_tiles(height, width, self.vae_tiling)
