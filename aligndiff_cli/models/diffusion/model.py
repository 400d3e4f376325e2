"""The one interface to a text-to-image diffusion model, and what every family shares.

A family (``stable.py``, ``stable3.py``, ``flux.py``) says how prompts are encoded, how noise is added and predicted,
and where its attention is; images, latents and the sampling loop are the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from aligndiff_cli.errors import ModelError, UsageError
from aligndiff_cli.method.attention import Tokens
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.diffusion.attention_unet import AttentionSums
from aligndiff_cli.models.diffusion.defaults import ModelDefaults
from aligndiff_cli.models.diffusion.description import in_tiles
from aligndiff_cli.models.diffusion.encoders import TextEncoder
from aligndiff_cli.models.diffusion.offload import DevicePlacement
from aligndiff_cli.models.diffusion.text import Conditioning, word_ids

GuidanceKind = Literal["unconditional", "input", "none"]
_DECODED_AT_ONCE = 1 << 21
"""Pixels decoded in one pass: eight images of 512 x 512; the VAE needs more memory than the denoiser."""


@dataclass(frozen=True, eq=False)
class LatentMoments:
    """Mean and standard deviation of the latents of N images, scaled as the denoiser expects.

    Attributes:
        mean, std: (N, C, h, w), float32.
    """

    mean: Tensor
    std: Tensor


class DiffusionModel(ABC):
    """A frozen text-to-image model. Attributes are read-only.

    Attributes:
        parts: folders of the pipeline the family needs, see ``families.py``.
        guidance_kind: how guidance is done: by a second pass with the empty prompt ("unconditional"), by a number
            the denoiser is told ("input"), or not at all ("none").
        source: what it was loaded from, as the user wrote it.
        fingerprint: digest of the weights and configurations on disk.
        defaults: settings to use where the user gives none.
        device, dtype: where and in what precision the networks run.
        scheduler: the model's own diffusers scheduler (its noise schedule; never stepped).
        denoiser, vae: networks.
        encoders: text encoders, in the order their parts stand in an embedding.
    """

    parts: ClassVar[tuple[str, ...]]
    guidance_kind: GuidanceKind = "unconditional"

    def __init__(
        self,
        pipeline: Any,
        *,
        source: str,
        fingerprint: str,
        defaults: ModelDefaults,
        device: torch.device,
        offload: bool = False,
        vae_tiling: bool | None = None,
    ) -> None:
        self.source = source
        self.fingerprint = fingerprint
        self.defaults = defaults
        self.device = device
        self.vae = pipeline.vae
        self.scheduler = pipeline.scheduler
        self.denoiser = self._denoiser(pipeline)
        self.encoders = self.text_encoders(pipeline)
        self.dtype: torch.dtype = self.denoiser.dtype
        self._vae_tiling = vae_tiling
        networks = [self.denoiser, self.vae, *(encoder.network for encoder in self.encoders)]
        for network in networks:
            network.eval().requires_grad_(False)
        self.placement = DevicePlacement(networks, device, offload=offload)

    @abstractmethod
    def _denoiser(self, pipeline: Any) -> Any:
        """The network that predicts noise."""

    @classmethod
    @abstractmethod
    def text_encoders(cls, pipeline: Any) -> list[TextEncoder]:
        """The text encoders, in the order their parts stand in an embedding."""

    @property
    @abstractmethod
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels the model was trained at."""

    @property
    @abstractmethod
    def latent_channels(self) -> int:
        """Channels of the latents the denoiser works on."""

    @property
    def embedding_parts(self) -> dict[str, int]:
        """What v* is made of: the width of its part for each text encoder, by the encoder's name."""
        return {encoder.name: encoder.width for encoder in self.encoders}

    @property
    def embedding_dim(self) -> int:
        """Numbers in one vector of v*, over all text encoders."""
        return sum(self.embedding_parts.values())

    def word_embedding(self, word: str) -> Tensor:
        """Token embeddings of a word, (tokens, dim), float32, detached.

        Where text encoders cut the word into different numbers of tokens, it is one row, of their means.
        """
        rows = []
        for encoder in self.encoders:
            ids = word_ids(encoder.tokenizer, word)
            if not ids:
                raise ModelError(f"the model's tokenizer has no token for {word!r}", self.source, "Use another word")
            rows.append(encoder.network.get_input_embeddings().weight[ids].detach().float())
        if len({len(row) for row in rows}) > 1:
            rows = [row.mean(0, keepdim=True) for row in rows]
        return torch.cat(rows, dim=-1)

    def encoded_word(self, prompt: Prompt) -> Tensor:
        """The states that the prompt's v* is encoded to, laid out like an embedding, (tokens, dim)."""
        encoded = self.encode_prompts([prompt])
        return encoded.hidden[0, list(encoded.v_tokens[0])]

    @abstractmethod
    def encode_prompts(self, prompts: Sequence[Prompt]) -> Conditioning:
        """Encode prompts of any lengths; differentiable with respect to each prompt's embedding."""

    @abstractmethod
    def unconditional(self, count: int) -> Conditioning:
        """The empty prompt, ``count`` times."""

    @abstractmethod
    def noise_and_target(self, x0: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """Noisy latents x_t and what the denoiser should predict from them.

        Args:
            x0, noise: (B, C, h, w).
            t: (B,) times in [0, ``train_steps``]; whole numbers below it, for families with discrete steps.
        """

    def training_times(self, index: Tensor, latent_size: tuple[int, int]) -> Tensor:
        """Times spread as in training, from ``index`` spread evenly over [0, ``train_steps``)."""
        return index

    @property
    @abstractmethod
    def train_steps(self) -> int:
        """Number of noise levels the model was trained with."""

    def schedule(self, steps: int, latent_size: tuple[int, int]) -> dict[str, Any]:
        """What the family's own pipeline tells a scheduler besides the number of steps."""
        return {}

    @abstractmethod
    def predict(self, x_t: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        """The denoiser's output (B, C, h, w) for x_t at t, a scalar or (B,)."""

    @abstractmethod
    def features(self, x_t: Tensor, t: Tensor, conditioning: Conditioning) -> list[Tensor]:
        """What the denoiser sees in x_t on its way back up to the latent's resolution, from one pass.

        Args:
            x_t, t, conditioning: as for ``predict``.

        Returns:
            One (B, C_i, h_i, w_i) per resolution or block, coarsest first, in the model's precision.
        """

    def capture(
        self,
        latent_size: tuple[int, int],
        class_tokens: Sequence[Sequence[int]],
        levels: Sequence[int] | None = None,
        tokens: Tokens | None = None,
    ) -> AbstractContextManager[AttentionSums]:
        """While open, sum up the attention to the class names of the last ``len(class_tokens)`` rows of each batch.

        Args:
            latent_size: (h, w) of the latents that will be denoised.
            class_tokens: per item, the positions of its class name.
            levels: layers to read, as halvings of the latent's resolution; None for the model's own.
            tokens: see ``token_groups``; None for the model's own.
        """
        own = self.defaults
        sums = AttentionSums(class_tokens, tokens or own.attention_tokens, self.device)
        return self._capture(latent_size, levels or own.attention_levels, sums)

    @abstractmethod
    def _capture(
        self, latent_size: tuple[int, int], levels: Sequence[int], sums: AttentionSums
    ) -> AbstractContextManager[AttentionSums]:
        """While open, add the attention at some levels to the sums: the family's part of ``capture``."""

    @property
    def latent_factor(self) -> int:
        """Pixels per latent position, along each axis."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    @property
    def size_multiple(self) -> int:
        """Pixels that the sides of an image must be multiples of."""
        return self.latent_factor

    def latent_size(self, height: int, width: int) -> tuple[int, int]:
        """(h, w) of the latents of an image (UsageError if the size does not divide)."""
        multiple = self.size_multiple
        if height <= 0 or width <= 0 or height % multiple or width % multiple:
            raise UsageError(
                f"this model cannot make images of {height} x {width} (height x width) pixels",
                remedy=f"Use positive multiples of {multiple}",
            )
        return height // self.latent_factor, width // self.latent_factor

    def tiles(self, height: int, width: int) -> bool:
        """Whether the VAE works on an image of this size (in pixels) tile by tile, which shows a little at seams."""
        return in_tiles(height, width, self._vae_tiling)

    @torch.no_grad()
    def encode_images(self, images: Sequence[np.ndarray]) -> LatentMoments:
        """Latent moments of images of one size, each uint8 (H, W, 3), encoded one by one."""
        self.placement.bring(self.vae)
        means, stds = [], []
        for image in images:
            self.latent_size(*image.shape[:2])
            self.vae.use_tiling = self.tiles(*image.shape[:2])
            pixels = torch.from_numpy(image.copy()).to(self.device, self.vae.dtype)
            x = pixels.permute(2, 0, 1)[None] / 127.5 - 1
            moments = self.vae.encode(x).latent_dist
            means.append((moments.mean.float() - self._shift) * self._scale)
            stds.append(moments.std.float() * self._scale)
        return LatentMoments(torch.cat(means), torch.cat(stds))

    @torch.no_grad()
    def decode(self, latents: Tensor) -> np.ndarray:
        """Latents (B, C, h, w) -> images (B, H, W, 3) uint8."""
        self.placement.bring(self.vae)
        height, width = (side * self.latent_factor for side in latents.shape[-2:])
        self.vae.use_tiling = self.tiles(height, width)
        z = (latents / self._scale + self._shift).to(self.vae.dtype)
        parts = z.split(max(1, _DECODED_AT_ONCE // (height * width)))
        pixels = torch.cat([self.vae.decode(part, return_dict=False)[0].float() for part in parts])
        if not bool(torch.isfinite(pixels).all()):
            raise ModelError("the model produced pixels that are not numbers", self.source, "Try float32 precision")
        scaled = (pixels / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).cpu().numpy()
        return np.asarray((scaled * 255).round().astype(np.uint8))

    @property
    def _scale(self) -> float:
        return float(self.vae.config.scaling_factor)

    @property
    def _shift(self) -> float:
        return float(getattr(self.vae.config, "shift_factor", None) or 0.0)
