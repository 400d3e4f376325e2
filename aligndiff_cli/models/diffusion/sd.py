"""Stable Diffusion 1.x, 2.x and XL, and any pipeline folder built like them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from aligndiff_cli.errors import ModelError
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.device import to_device
from aligndiff_cli.models.diffusion.attention_unet import AttentionSums, capture_unet
from aligndiff_cli.models.diffusion.encoders import TextEncoder, encode_empty, encode_section
from aligndiff_cli.models.diffusion.families import SD, SDXL
from aligndiff_cli.models.diffusion.model import DiffusionModel
from aligndiff_cli.models.diffusion.text import Conditioning, check_width


class StableDiffusion(DiffusionModel):
    """CLIP text encoding, a U-Net with cross-attention, epsilon or v prediction."""

    parts = SD.parts

    def __init__(self, pipeline: Any, **facts: Any) -> None:
        super().__init__(pipeline, **facts)
        self.unet = self.denoiser
        self._prediction = str(self.scheduler.config.get("prediction_type"))
        if self._prediction not in ("epsilon", "v_prediction"):
            raise ModelError(f"the model predicts {self._prediction!r}, expected epsilon or v_prediction", self.source)
        if not hasattr(self.scheduler, "alphas_cumprod"):
            kind = type(self.scheduler).__name__
            what = f"its scheduler is a {kind}, whose parametrisation is not that of Stable Diffusion"
            raise ModelError(what, self.source, "Models of this kind (EDM, flow matching) cannot be used")
        self._check_parts()
        self._alphas_cumprod = self.scheduler.alphas_cumprod.to(self.device, torch.float32)

    def _check_parts(self) -> None:
        """Refuse parts that do not belong together (ModelError)."""
        remedy = "Its parts are of different models, or it is one for inpainting, say: take one of text-to-image"
        given, taken = int(self.vae.config.latent_channels), self.latent_channels
        if given != taken:
            raise ModelError(f"the VAE makes {given} channels, and the U-Net takes {taken}", self.source, remedy)
        width, context = self.embedding_dim, self.unet.config.cross_attention_dim
        if width != (context if isinstance(context, int) else max(context)):
            what = f"the text encoders make {width} numbers a token, and the U-Net takes {context}"
            raise ModelError(what, self.source, remedy)

    def _denoiser(self, pipeline: Any) -> Any:
        return pipeline.unet

    @classmethod
    def text_encoders(cls, pipeline: Any) -> list[TextEncoder]:
        return [clip(pipeline.tokenizer, pipeline.text_encoder, "clip_l")]

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels the model was trained at."""
        h, w = _two_sides(self.unet.config.sample_size)
        return h * self.latent_factor, w * self.latent_factor

    @property
    def latent_channels(self) -> int:
        """Channels of the latents the U-Net works on."""
        return int(self.unet.config.in_channels)

    @property
    def train_steps(self) -> int:
        """Number of noise levels the model was trained with."""
        return int(self.scheduler.config.num_train_timesteps)

    def encode_prompts(self, prompts: Sequence[Prompt]) -> Conditioning:
        """Encode prompts; differentiable with respect to each prompt's embedding."""
        check_width(prompts, self.embedding_dim)
        self.placement.bring(*(encoder.network for encoder in self.encoders))
        hidden, layouts, summaries = encode_section(self.encoders, prompts, self._encode)
        return Conditioning(
            hidden=hidden,
            # All text encoders of a model cut text into the same tokens.
            class_tokens=tuple(layout.class_tokens for layout in layouts),
            v_tokens=tuple(layout.v_tokens for layout in layouts),
            pooled=summaries[-1],
        )

    @torch.no_grad()
    def unconditional(self, count: int) -> Conditioning:
        """The empty prompt, ``count`` times."""
        self.placement.bring(*(encoder.network for encoder in self.encoders))
        hidden, summaries = encode_empty(self.encoders, count, self._encode)
        return Conditioning(hidden, ((),) * count, ((),) * count, summaries[-1])

    def _encode(self, network: Any, ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor | None]:
        """Token ids (B, L) -> hidden states (B, L, D) as the U-Net expects them, and no summary."""
        skip = self.defaults.clip_skip
        output = network(to_device(torch.tensor(ids), self.device), output_hidden_states=skip > 0)
        if skip == 0:
            return output.last_hidden_state, None
        inner = getattr(network, "text_model", network)
        return inner.final_layer_norm(output.hidden_states[-(skip + 1)]), None

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
        self.placement.bring(self.unet)
        return self.unet(
            x_t.to(self.dtype),
            t,
            encoder_hidden_states=conditioning.hidden.to(self.dtype),
            added_cond_kwargs=self._added(x_t, conditioning),
            return_dict=False,
        )[0]

    def features(self, x_t: Tensor, t: Tensor, conditioning: Conditioning) -> list[Tensor]:
        """Outputs of the U-Net's up blocks, coarsest first."""
        found: list[Tensor] = []
        handles = [block.register_forward_hook(lambda *seen: found.append(seen[-1])) for block in self.unet.up_blocks]
        try:
            self.predict(x_t, t, conditioning)
        finally:
            for handle in handles:
                handle.remove()
        return found

    def _added(self, x_t: Tensor, conditioning: Conditioning) -> dict[str, Tensor] | None:
        """What the U-Net is told besides the encoded prompt."""
        return None

    def _capture(
        self, latent_size: tuple[int, int], levels: Sequence[int], sums: AttentionSums
    ) -> AbstractContextManager[AttentionSums]:
        return capture_unet(self.unet, latent_size, levels, sums)


class StableDiffusionXL(StableDiffusion):
    """Two text encoders (two vectors per token, side by side), a pooled prompt, and the image's size."""

    parts = SDXL.parts

    def __init__(self, pipeline: Any, **facts: Any) -> None:
        super().__init__(pipeline, **facts)
        self._empty_is_zero = bool(pipeline.config.force_zeros_for_empty_prompt)
        if self.dtype is torch.float16 and self.vae.config.force_upcast:
            self.vae.to(torch.float32)  # its activations overflow in half precision

    @classmethod
    def text_encoders(cls, pipeline: Any) -> list[TextEncoder]:
        return [
            clip(pipeline.tokenizer, pipeline.text_encoder, "clip_l"),
            clip(pipeline.tokenizer_2, pipeline.text_encoder_2, "clip_g"),
        ]

    def _encode(self, network: Any, ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor | None]:
        """Hidden states before the last layer, and the projected summary where the encoder has one."""
        output = network(to_device(torch.tensor(ids), self.device), output_hidden_states=True)
        return output.hidden_states[-(self.defaults.clip_skip + 2)], getattr(output, "text_embeds", None)

    def unconditional(self, count: int) -> Conditioning:
        """The empty prompt, or zeros where the model was trained so."""
        empty = super().unconditional(count)
        if not self._empty_is_zero or empty.pooled is None:
            return empty
        zeros = torch.zeros_like
        return replace(empty, hidden=zeros(empty.hidden), pooled=zeros(empty.pooled))

    def _added(self, x_t: Tensor, conditioning: Conditioning) -> dict[str, Tensor] | None:
        """The pooled prompt, and (original size, crop corner, target size) of an uncropped image."""
        assert conditioning.pooled is not None  # the second text encoder always gives one
        height, width = (side * self.latent_factor for side in x_t.shape[-2:])
        sizes = torch.tensor([height, width, 0, 0, height, width], device=x_t.device, dtype=self.dtype)
        return {"text_embeds": conditioning.pooled.to(self.dtype), "time_ids": sizes.expand(len(x_t), -1)}


def _two_sides(size: int | Sequence[int]) -> tuple[int, int]:
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


def clip(tokenizer: Any, network: Any, name: str) -> TextEncoder:
    """A CLIP text encoder, whose prompts are as long as its tokenizer says."""
    return TextEncoder(tokenizer, network, name, int(tokenizer.model_max_length))
