"""Stable Diffusion 1.x and 2.x, and any pipeline folder built like them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor

from aligndiff_cli.errors import ModelError
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.diffusion.capture import AttentionSums, capture_unet
from aligndiff_cli.models.diffusion.defaults import ModelDefaults
from aligndiff_cli.models.diffusion.model import DiffusionModel
from aligndiff_cli.models.diffusion.text import Conditioning, insert_encoded, lay_out, spliced, word_ids


class StableDiffusion(DiffusionModel):
    """One CLIP text encoder, one U-Net with cross-attention, epsilon or v prediction."""

    def __init__(self, pipeline: Any, *, source: str, fingerprint: str, defaults: ModelDefaults) -> None:
        super().__init__(
            source=source,
            fingerprint=fingerprint,
            defaults=defaults,
            vae=pipeline.vae,
            scheduler=pipeline.scheduler,
        )
        self.unet = pipeline.unet
        self.text_encoder = pipeline.text_encoder
        self.tokenizer = pipeline.tokenizer
        for network in (self.unet, self.text_encoder, self.vae):
            network.eval().requires_grad_(False)
        self._prediction = str(self.scheduler.config.prediction_type)
        if self._prediction not in ("epsilon", "v_prediction"):
            raise ModelError(f"the model predicts {self._prediction!r}, expected epsilon or v_prediction", source)
        self._alphas_cumprod = self.scheduler.alphas_cumprod.to(self.device, torch.float32)

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels the model was trained at."""
        size = self.unet.config.sample_size
        h, w = (size, size) if isinstance(size, int) else size
        return h * self.latent_factor, w * self.latent_factor

    @property
    def latent_channels(self) -> int:
        """Channels of the latents the U-Net works on."""
        return int(self.unet.config.in_channels)

    @property
    def embedding_dim(self) -> int:
        """Width of CLIP's token embeddings."""
        return int(self.text_encoder.config.hidden_size)

    @property
    def train_steps(self) -> int:
        """Number of noise levels the model was trained with."""
        return int(self.scheduler.config.num_train_timesteps)

    def word_embedding(self, word: str) -> Tensor:
        """Rows of CLIP's embedding matrix for the word's tokens, (tokens, dim), float32."""
        ids = word_ids(self.tokenizer, word)
        if not ids:
            raise ModelError(f"the model's tokenizer has no token for {word!r}", self.source, "Use another word")
        matrix = self.text_encoder.get_input_embeddings().weight
        return matrix[ids].detach().float()

    def encode_prompts(self, prompts: Sequence[Prompt]) -> Conditioning:
        """Encode prompts; differentiable with respect to each prompt's embedding."""
        layouts = [lay_out(self.tokenizer, prompt) for prompt in prompts]
        with spliced(self.text_encoder.get_input_embeddings(), prompts, layouts):
            hidden = self._encode([layout.ids for layout in layouts])
        return Conditioning(
            hidden=insert_encoded(hidden, prompts, layouts),
            class_tokens=tuple(layout.class_tokens for layout in layouts),
            v_tokens=tuple(layout.v_tokens for layout in layouts),
        )

    def unconditional(self, count: int) -> Conditioning:
        """The empty prompt, ``count`` times."""
        padded = self.tokenizer("", padding="max_length", max_length=self.tokenizer.model_max_length).input_ids
        with torch.no_grad():
            hidden = self._encode([tuple(padded)])
        return Conditioning(hidden.expand(count, -1, -1), ((),) * count, ((),) * count)

    def _encode(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """Token ids (B, L) -> hidden states (B, L, D), normalised as the U-Net expects."""
        tokens = torch.tensor(ids, device=self.device)
        skip = self.defaults.clip_skip
        output = self.text_encoder(tokens, output_hidden_states=skip > 0)
        if skip == 0:
            return output.last_hidden_state
        encoder = getattr(self.text_encoder, "text_model", self.text_encoder)
        return encoder.final_layer_norm(output.hidden_states[-(skip + 1)])

    def noise_and_target(self, x0: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """x_t = sqrt(a) x0 + sqrt(1 - a) eps; the target is eps, or v = sqrt(a) eps - sqrt(1 - a) x0.

        a is the cumulative product of (1 - beta) at t (Ho et al. 2020, Eq. 4; Salimans and Ho 2022, App. D).
        """
        a = self._alphas_cumprod[t][:, None, None, None]
        x_t = a.sqrt() * x0 + (1 - a).sqrt() * noise
        if self._prediction == "epsilon":
            return x_t, noise
        return x_t, a.sqrt() * noise - (1 - a).sqrt() * x0

    def predict(self, x_t: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        """The U-Net's output (B, C, h, w)."""
        hidden = conditioning.hidden.to(self.dtype)
        return self.unet(x_t.to(self.dtype), t, encoder_hidden_states=hidden, return_dict=False)[0]

    def capture(
        self, latent_size: tuple[int, int], tokens: Sequence[Sequence[int]], levels: Sequence[int]
    ) -> AbstractContextManager[AttentionSums]:
        """While open, sum up the cross-attention to ``tokens`` of the last ``len(tokens)`` rows."""
        return capture_unet(self.unet, latent_size, tokens, levels)
