"""The one interface to a text-to-image diffusion model, and what every family shares.

A family (``stable.py``) says how prompts are encoded, how noise is added and predicted, and where its
attention is; images, latents and the sampling loop are the same for all.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aligndiff_cli.errors import ModelError, UsageError
from aligndiff_cli.method.attention import Tokens
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.diffusion.capture import AttentionSums
from aligndiff_cli.models.diffusion.defaults import ModelDefaults
from aligndiff_cli.models.diffusion.text import Conditioning


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
        source: what it was loaded from, as the user wrote it.
        fingerprint: digest of the weights and configurations on disk.
        defaults: settings to use where the user gives none.
        device, dtype: where and in what precision the networks run.
        scheduler: the model's own diffusers scheduler (its noise schedule; never stepped).
    """

    def __init__(self, pipeline: Any, *, source: str, fingerprint: str, defaults: ModelDefaults) -> None:
        self.source = source
        self.fingerprint = fingerprint
        self.defaults = defaults
        self.vae = pipeline.vae
        self.scheduler = pipeline.scheduler
        self.device: torch.device = pipeline.device
        self.dtype: torch.dtype = pipeline.dtype

    @property
    @abstractmethod
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels the model was trained at."""

    @property
    @abstractmethod
    def latent_channels(self) -> int:
        """Channels of the latents the denoiser works on."""

    @property
    @abstractmethod
    def embedding_dim(self) -> int:
        """Numbers in one token embedding."""

    @abstractmethod
    def word_embedding(self, word: str) -> Tensor:
        """Token embeddings of a word, (tokens, dim), float32, detached."""

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
            t: (B,) integer steps in [0, ``train_steps``).
        """

    @property
    @abstractmethod
    def train_steps(self) -> int:
        """Number of noise levels the model was trained with."""

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

    @abstractmethod
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

    @property
    def latent_factor(self) -> int:
        """Pixels per latent position, along each axis."""
        return int(2 ** (len(self.vae.config.block_out_channels) - 1))

    def latent_size(self, height: int, width: int) -> tuple[int, int]:
        """(h, w) of the latents of an image (UsageError if the size does not divide)."""
        factor = self.latent_factor
        if height <= 0 or width <= 0 or height % factor or width % factor:
            raise UsageError(
                f"this model cannot make images of {height} x {width} (height x width) pixels",
                remedy=f"Use positive multiples of {factor}",
            )
        return height // factor, width // factor

    @torch.no_grad()
    def encode_images(self, images: Sequence[np.ndarray]) -> LatentMoments:
        """Latent moments of images of one size, each uint8 (H, W, 3), encoded one by one."""
        means, stds = [], []
        for image in images:
            self.latent_size(*image.shape[:2])
            pixels = torch.from_numpy(image.copy()).to(self.device, self.vae.dtype)
            x = pixels.permute(2, 0, 1)[None] / 127.5 - 1
            moments = self.vae.encode(x).latent_dist
            means.append((moments.mean.float() - self._shift) * self._scale)
            stds.append(moments.std.float() * self._scale)
        return LatentMoments(torch.cat(means), torch.cat(stds))

    @torch.no_grad()
    def decode(self, latents: Tensor) -> np.ndarray:
        """Latents (B, C, h, w) -> images (B, H, W, 3) uint8."""
        z = (latents / self._scale + self._shift).to(self.vae.dtype)
        pixels = self.vae.decode(z, return_dict=False)[0].float()
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
