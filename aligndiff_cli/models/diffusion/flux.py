"""Flux.1 dev and schnell: a joint transformer over packed latents; T5 for the text, CLIP for its summary.

v* has one part for each encoder. With ``insertion="encoded"`` only T5's part is used: CLIP gives no sequence to put a
vector into.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.device import to_device
from aligndiff_cli.models.diffusion.encoders import T5, TextEncoder, columns, encode_empty, encode_section
from aligndiff_cli.models.diffusion.families import FLUX
from aligndiff_cli.models.diffusion.flow import FlowModel
from aligndiff_cli.models.diffusion.model import GuidanceKind
from aligndiff_cli.models.diffusion.sd import clip
from aligndiff_cli.models.diffusion.sd3 import encode_t5
from aligndiff_cli.models.diffusion.text import Conditioning, check_width

_DEV_TOKENS, _SCHNELL_TOKENS = 512, 256
"""T5 tokens of a prompt that either was trained with."""


class Flux(FlowModel):
    """Flow matching with guidance distilled in: dev is told its scale, schnell has none to tell."""

    parts = FLUX.parts
    default_max_shift = 1.15
    patch_size = 2

    def __init__(self, pipeline: Any, **facts: Any) -> None:
        super().__init__(pipeline, **facts)
        self.guidance_kind: GuidanceKind = "input" if self.transformer.config.guidance_embeds else "none"

    @classmethod
    def text_encoders(cls, pipeline: Any) -> list[TextEncoder]:
        length = _DEV_TOKENS if pipeline.transformer.config.guidance_embeds else _SCHNELL_TOKENS
        return [
            clip(pipeline.tokenizer, pipeline.text_encoder, "clip_l"),
            TextEncoder(pipeline.tokenizer_2, pipeline.text_encoder_2, T5, length),
        ]

    @property
    def latent_channels(self) -> int:
        """Channels of the latents, before packing."""
        return int(self.transformer.config.in_channels) // self.patch_size**2

    def encode_prompts(self, prompts: Sequence[Prompt]) -> Conditioning:
        """Encode prompts; differentiable with respect to each prompt's embedding."""
        check_width(prompts, self.embedding_dim)
        self.placement.bring(*(encoder.network for encoder in self.encoders))
        width = self.encoders[0].width
        of_clip = [columns(prompt, 0, width) for prompt in prompts]
        of_t5 = [columns(prompt, width, self.embedding_dim) for prompt in prompts]
        _, _, (pooled,) = encode_section(self.encoders[:1], of_clip, self._encode_clip)
        hidden, layouts, _ = encode_section(self.encoders[1:], of_t5, encode_t5)
        return Conditioning(
            hidden=hidden,
            class_tokens=tuple(layout.class_tokens for layout in layouts),
            v_tokens=tuple(layout.v_tokens for layout in layouts),
            pooled=pooled,
        )

    @torch.no_grad()
    def unconditional(self, count: int) -> Conditioning:
        """The empty prompt, ``count`` times."""
        self.placement.bring(*(encoder.network for encoder in self.encoders))
        _, (pooled,) = encode_empty(self.encoders[:1], count, self._encode_clip)
        hidden, _ = encode_empty(self.encoders[1:], count, encode_t5)
        return Conditioning(hidden, ((),) * count, ((),) * count, pooled)

    def encoded_word(self, prompt: Prompt) -> Tensor:
        """The states of the prompt's v*, as one row: CLIP's token embeddings as they are, then T5's mean state."""
        assert prompt.embedding is not None
        encoded = self.encode_prompts([prompt])
        of_clip = prompt.embedding[:, : self.encoders[0].width].mean(0)
        return torch.cat([of_clip.to(encoded.hidden), encoded.hidden[0, list(encoded.v_tokens[0])].mean(0)])[None]

    def _encode_clip(self, network: Any, ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        output = network(to_device(torch.tensor(ids), self.device))
        return output.last_hidden_state, output.pooler_output

    def predict(self, x_t: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        """The velocity (B, C, h, w)."""
        assert conditioning.pooled is not None  # CLIP always gives one
        self.placement.bring(self.transformer)
        count, (h, w) = len(x_t), x_t.shape[-2:]
        guidance = torch.full((count,), conditioning.guidance, device=x_t.device)
        packed = self.transformer(
            hidden_states=pack(x_t.to(self.dtype)),
            timestep=t.expand(count).to(self.dtype) / self.train_steps,
            guidance=guidance if self.guidance_kind == "input" else None,
            pooled_projections=conditioning.pooled.to(self.dtype),
            encoder_hidden_states=conditioning.hidden.to(self.dtype),
            txt_ids=x_t.new_zeros(conditioning.hidden.shape[1], 3, dtype=self.dtype),
            img_ids=patch_places(h // self.patch_size, w // self.patch_size).to(x_t.device, self.dtype),
            return_dict=False,
        )[0]
        return unpack(packed, h, w)

    def schedule(self, steps: int, latent_size: tuple[int, int]) -> dict[str, Any]:
        """Noise levels from 1 in even steps, and the shift for this size."""
        levels = None if self.scheduler.config.get("use_flow_sigmas") else np.linspace(1.0, 1 / steps, steps)
        return {"sigmas": levels, "mu": self._shift_of(latent_size)}


def pack(x: Tensor) -> Tensor:
    """Latents (B, C, h, w) -> (B, h / 2 * w / 2, 4 C): each patch of 2 x 2 positions is one row."""
    return torch.nn.functional.pixel_unshuffle(x, 2).flatten(2).transpose(1, 2)


def unpack(packed: Tensor, h: int, w: int) -> Tensor:
    """The inverse of ``pack``."""
    patches = packed.transpose(1, 2).unflatten(2, (h // 2, w // 2))
    return torch.nn.functional.pixel_shuffle(patches, 2)


def patch_places(rows: int, columns: int) -> Tensor:
    """(rows * columns, 3): 0, row and column of each patch."""
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack([torch.zeros_like(y), y, x], dim=-1).flatten(0, 1)
