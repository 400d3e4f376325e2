"""Attention of image patches to text in transformers where both attend to both (SD 3's MMDiT, Flux).

There a patch's attention is one softmax over all keys, patches and text together, and what is left for text differs
from place to place and layer to layer. Recorded is the share of each token in what a patch gives to *text*: p_j over
the sum of p over text tokens. The softmax's denominator cancels, so this is the softmax over the text keys alone; it
sums to one over tokens as cross-attention does, and costs patches x tokens instead of patches squared. The layers
themselves run as ever.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from aligndiff_cli.models.diffusion.attention_unet import AttentionSums, halved, no_attention, processors

_LAYER = re.compile(r"^(single_)?transformer_blocks\.\d+\.attn$")

Rotary = tuple[Tensor, Tensor]


class _JointRecorder:
    """Attention processor of a captured layer: its own processor, and the text's share computed beside it."""

    def __init__(self, inner: Any, sums: AttentionSums, size: tuple[int, int]) -> None:
        self.inner = inner
        self.sums = sums
        self.size = size

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        image_rotary_emb: Rotary | None = None,
    ) -> Any:
        rotary = {} if image_rotary_emb is None else {"image_rotary_emb": image_rotary_emb}
        out = self.inner(attn, hidden_states, encoder_hidden_states, attention_mask, **rotary)
        # Rows before the items' are the unconditional half, which nobody asks about.
        free = len(hidden_states) - self.sums.items
        text = None if encoder_hidden_states is None else encoder_hidden_states[free:]
        q, k = self._queries_and_keys(attn, hidden_states[free:], text, image_rotary_emb)
        # float32, as inside the fused path: products can overflow float16, and bfloat16 is coarse
        logits = torch.einsum("bihd,bjhd->bhij", q.float(), k.float()) * q.shape[-1] ** -0.5
        self.sums.add(self.size, logits.softmax(-1))
        return out

    def _queries_and_keys(
        self, attn: Any, hidden: Tensor, text: Tensor | None, rotary: Rotary | None
    ) -> tuple[Tensor, Tensor]:
        """Queries of the patches (B, N, heads, d) and keys of the text (B, L, heads, d)."""
        patches = self.size[0] * self.size[1]
        if text is None:  # a single-stream block: text first, then patches, through the same projections
            length = hidden.shape[1] - patches
            q, k = attn.to_q(hidden[:, length:]), attn.to_k(hidden[:, :length])
            norm_k = attn.norm_k
        else:
            length = text.shape[1]
            q, k = attn.to_q(hidden), attn.add_k_proj(text)
            norm_k = attn.norm_added_k
        q, k = (x.unflatten(-1, (attn.heads, -1)) for x in (q, k))
        q = q if attn.norm_q is None else attn.norm_q(q)
        k = k if norm_k is None else norm_k(k)
        return (q, k) if rotary is None else (_turned(q, rotary, length, None), _turned(k, rotary, 0, length))


def _turned(x: Tensor, rotary: Rotary, first: int, last: int | None) -> Tensor:
    """x (B, L, heads, d) with the rotary embedding of positions [first, last)."""
    from diffusers.models.embeddings import apply_rotary_emb

    cos, sin = rotary
    return apply_rotary_emb(x, (cos[first:last], sin[first:last]), sequence_dim=1)


@contextmanager
def capture_joint(
    transformer: Any, latent_size: tuple[int, int], level: int, levels: Sequence[int], sums: AttentionSums
) -> Iterator[AttentionSums]:
    """While open, record every joint attention layer of an SD3Transformer2DModel or FluxTransformer2DModel.

    Args:
        latent_size: (h, w) of the latents that will be denoised.
        level: the one level these layers are at, as halvings of the latent's resolution.
        levels: the levels wanted.
        sums: what is added to; a batch's last ``sums.items`` rows are its items.

    Raises:
        UsageError: ``level`` is not wanted.
    """
    if level not in levels:
        raise no_attention(levels, [level])
    size = halved(latent_size, level)
    layers = joint_layers(transformer)
    with processors(transformer, {n: _JointRecorder(layer.processor, sums, size) for n, layer in layers.items()}):
        yield sums


def joint_layers(transformer: Any) -> dict[str, Any]:
    """The layers in which patches attend to text, by name."""
    return {name: module for name, module in transformer.named_modules() if _LAYER.match(name)}
