"""Stable Diffusion 3 and 3.5: a joint transformer, two CLIP encoders and, where it is there, T5.

The text sequence is CLIP's tokens (the two encoders side by side, zeros up to T5's width), then T5's. v* has one part
for each encoder and stands, as the class name does, in both halves. Without T5 its half is zeros.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.errors import UsageError
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.device import to_device
from aligndiff_cli.models.diffusion.description import T5_TOKENS
from aligndiff_cli.models.diffusion.encoders import T5, TextEncoder, columns, encode_empty, encode_section, moved
from aligndiff_cli.models.diffusion.families import SD3
from aligndiff_cli.models.diffusion.flow import FlowModel
from aligndiff_cli.models.diffusion.sd import clip
from aligndiff_cli.models.diffusion.text import Conditioning, check_width


class StableDiffusion3(FlowModel):
    """MMDiT, flow matching, classifier-free guidance."""

    parts = SD3.parts
    default_max_shift = 1.16

    @classmethod
    def text_encoders(cls, pipeline: Any) -> list[TextEncoder]:
        found = [
            clip(pipeline.tokenizer, pipeline.text_encoder, "clip_l"),
            clip(pipeline.tokenizer_2, pipeline.text_encoder_2, "clip_g"),
        ]
        if pipeline.text_encoder_3 is not None and pipeline.tokenizer_3 is not None:
            found.append(TextEncoder(pipeline.tokenizer_3, pipeline.text_encoder_3, T5, T5_TOKENS))
        return found

    @property
    def patch_size(self) -> int:
        """Latent positions along the side of a patch."""
        return int(self.transformer.config.patch_size)

    @property
    def latent_channels(self) -> int:
        """Channels of the latents."""
        return int(self.transformer.config.in_channels)

    def latent_size(self, height: int, width: int) -> tuple[int, int]:
        """(h, w) of the latents of an image (UsageError if the size does not divide, or has too many patches)."""
        size = super().latent_size(height, width)
        limit = int(self.transformer.config.pos_embed_max_size) * self.size_multiple
        if max(height, width) > limit:
            raise UsageError(
                f"this model cannot make images of {height} x {width} (height x width) pixels",
                remedy=f"Neither side may be longer than {limit}",
            )
        return size

    @property
    def _clip(self) -> list[TextEncoder]:
        return self.encoders[:2]

    @property
    def _clip_width(self) -> int:
        return sum(encoder.width for encoder in self._clip)

    def encode_prompts(self, prompts: Sequence[Prompt]) -> Conditioning:
        """Encode prompts; differentiable with respect to each prompt's embedding."""
        check_width(prompts, self.embedding_dim)
        self.placement.bring(*(encoder.network for encoder in self.encoders))
        width = self._clip_width
        of_clip = [columns(prompt, 0, width) for prompt in prompts]
        hidden, layouts, summaries = encode_section(self._clip, of_clip, self._encode_clip)
        t5, places = self._no_t5(len(prompts), hidden), [(layout.class_tokens, layout.v_tokens) for layout in layouts]
        if len(self.encoders) > 2:
            of_t5 = [columns(prompt, width, self.embedding_dim) for prompt in prompts]
            t5, own, _ = encode_section(self.encoders[2:], of_t5, encode_t5)
            behind = moved(own, hidden.shape[1])
            places = [(a + b.class_tokens, v + b.v_tokens) for (a, v), b in zip(places, behind, strict=True)]
        return Conditioning(
            hidden=_joined(hidden, t5),
            class_tokens=tuple(class_tokens for class_tokens, _ in places),
            v_tokens=tuple(v_tokens for _, v_tokens in places),
            pooled=_pooled(summaries),
        )

    @torch.no_grad()
    def unconditional(self, count: int) -> Conditioning:
        """The empty prompt, ``count`` times."""
        self.placement.bring(*(encoder.network for encoder in self.encoders))
        hidden, summaries = encode_empty(self._clip, count, self._encode_clip)
        t5 = self._no_t5(count, hidden)
        if len(self.encoders) > 2:
            t5, _ = encode_empty(self.encoders[2:], count, encode_t5)
        return Conditioning(_joined(hidden, t5), ((),) * count, ((),) * count, _pooled(summaries))

    def encoded_word(self, prompt: Prompt) -> Tensor:
        """The states of the prompt's v*, as one row: the mean over CLIP's tokens, then over T5's."""
        encoded = self.encode_prompts([prompt])
        length = self._clip[0].length
        of_clip = [i for i in encoded.v_tokens[0] if i < length]
        of_t5 = [i for i in encoded.v_tokens[0] if i >= length]
        means = [encoded.hidden[0, of_clip, : self._clip_width].mean(0)]
        if of_t5:
            means.append(encoded.hidden[0, of_t5].mean(0))
        return torch.cat(means)[None]

    def _encode_clip(self, network: Any, ids: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """Hidden states before the last layer, and the projected summary."""
        output = network(to_device(torch.tensor(ids), self.device), output_hidden_states=True)
        return output.hidden_states[-(self.defaults.clip_skip + 2)], output.text_embeds

    def _no_t5(self, count: int, like: Tensor) -> Tensor:
        """What stands in T5's place where there is none."""
        return like.new_zeros(count, T5_TOKENS, int(self.transformer.config.joint_attention_dim))

    def predict(self, x_t: Tensor, t: Tensor, conditioning: Conditioning) -> Tensor:
        """The velocity (B, C, h, w)."""
        assert conditioning.pooled is not None  # both CLIP encoders give one
        self.placement.bring(self.transformer)
        return self.transformer(
            hidden_states=x_t.to(self.dtype),
            timestep=t.expand(len(x_t)),
            encoder_hidden_states=conditioning.hidden.to(self.dtype),
            pooled_projections=conditioning.pooled.to(self.dtype),
            return_dict=False,
        )[0]

    def schedule(self, steps: int, latent_size: tuple[int, int]) -> dict[str, Any]:
        """The shift for this size, for schedulers that take one."""
        return {"mu": self._shift_of(latent_size)} if self.scheduler.config.get("use_dynamic_shifting") else {}


def encode_t5(network: Any, ids: Sequence[Sequence[int]]) -> tuple[Tensor, None]:
    """Token ids (B, L) -> states (B, L, D); padding is attended to, as in training."""
    return network(to_device(torch.tensor(ids), network.device))[0], None


def _joined(of_clip: Tensor, of_t5: Tensor) -> Tensor:
    return torch.cat([F.pad(of_clip, (0, of_t5.shape[-1] - of_clip.shape[-1])), of_t5.to(of_clip)], dim=1)


def _pooled(summaries: Sequence[Tensor | None]) -> Tensor:
    return torch.cat([summary for summary in summaries if summary is not None], dim=-1)
