"""What is known of a model from its folder's JSON and its files, without loading it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from aligndiff_cli.errors import ModelError, first_line
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.diffusion.defaults import ModelDefaults
from aligndiff_cli.models.diffusion.families import Family, Precision
from aligndiff_cli.models.diffusion.model_files import read_config

if TYPE_CHECKING:
    from aligndiff_cli.models.diffusion.encoders import TextEncoder

INDEX = "model_index.json"
TILED_ABOVE = 1536 * 1536
"""Pixels of an image above which the VAE works in tiles, unless it is told."""
T5_TOKENS = 256
"""The fewest that a family gives T5, whatever its tokenizer says."""


def in_tiles(height: int, width: int, asked: bool | None) -> bool:
    """Whether a VAE works on an image of this size (in pixels) tile by tile; None leaves it to the size."""
    return height * width > TILED_ABOVE if asked is None else asked


@dataclass(frozen=True)
class Description:
    """A model that is not loaded.

    Attributes:
        source: as the user wrote it.
        folder: where its files are.
        family: what kind of model it is.
        fingerprint: digest of the weights and configurations on disk.
        defaults: settings to use where the user gives none.
        precision: in which it will run.
        vae_tiling: whether the VAE works in tiles; None for large images only.
    """

    source: str
    folder: Path
    family: Family
    fingerprint: str
    defaults: ModelDefaults
    precision: Precision
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
        return self.family.model_class.text_encoders(SimpleNamespace(**parts))

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
        return self.family.embedding_dim(self.folder)

    def check_prompt(self, prompt: Prompt) -> None:
        """Refuse a prompt that is too long (InputError)."""
        if self._surely_fits(prompt):
            return
        for encoder in self.encoders:
            encoder.lay_out(prompt)

    def _surely_fits(self, prompt: Prompt) -> bool:
        """Whether a prompt is so short that transformers' tokenizers, which take seconds to load, need not be asked."""
        texts = [segment.text for segment in prompt.segments if segment.text]
        room = len(texts) + prompt.vectors + 2  # a token for each seam, and those at both ends
        if not all(text.isascii() and text.isprintable() for text in texts):
            return False
        # a token stands for one character of ASCII at least
        return all(
            sum(map(len, texts)) + room <= limit or (count is not None and sum(map(count, texts)) + room <= limit)
            for limit, count in self._counters
        )

    @cached_property
    def _counters(self) -> list[tuple[int, Callable[[str], int] | None]]:
        """Of each tokenizer, how many tokens may be, and what counts those of a text; 0, None where it does not say."""
        parts = (*self.family.parts, *self.family.optional_parts)
        there = [self.folder / part for part in parts if part.startswith("tokenizer")]
        return [_counter(folder) for folder in there if folder.is_dir()]

    @cached_property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels it was trained at."""
        factor = 2 ** (len(read_config(self.folder, "vae")["block_out_channels"]) - 1)
        height, width = self.family.latent_size(self.folder)
        return height * factor, width * factor

    def tiles(self, height: int, width: int) -> bool:
        """Whether its VAE works on an image of this size (in pixels) tile by tile."""
        return in_tiles(height, width, self.vae_tiling)


def _counter(folder: Path) -> tuple[int, Callable[[str], int] | None]:
    try:
        about = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        limit = min(int(about["model_max_length"]), T5_TOKENS)
    except (OSError, ValueError, KeyError, TypeError):
        return 0, None
    try:
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.no_padding()  # a file may have been saved with either, by whoever used it last
        tokenizer.no_truncation()
    except Exception:  # it is not there, or cannot be read, of which transformers says more
        return limit, None
    return limit, lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)
