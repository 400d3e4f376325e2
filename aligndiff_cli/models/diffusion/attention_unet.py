"""Cross-attention of the wanted tokens, summed while the U-Net runs; everything else stays on the fused path."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from aligndiff_cli.errors import UsageError
from aligndiff_cli.method.attention import Tokens, token_groups

_BLOCK = re.compile(r"^(?:(down|up)_blocks\.(\d+)|mid_block)\..*\battn2$")


class AttentionSums:
    """Running sums over layers and steps of the attention to each item's class, heads averaged.

    Args:
        class_tokens: per item, the positions of its class name.
        tokens: how they make groups of tokens, see ``token_groups``.

    Attributes:
        valid: (B, K) bool, False where an item has fewer than K groups.
    """

    def __init__(self, class_tokens: Sequence[Sequence[int]], tokens: Tokens, device: torch.device) -> None:
        self.items = len(class_tokens)
        self._class_tokens = class_tokens
        self._tokens = tokens
        counts = [len(token_groups(own, own[-1] + 1, tokens)) for own in class_tokens]
        self.valid = torch.tensor([[i < n for i in range(max(counts))] for n in counts], device=device)
        self._weights: Tensor | None = None
        self._sums: dict[tuple[int, int], Tensor] = {}
        self._counts: dict[tuple[int, int], int] = {}

    def add(self, size: tuple[int, int], probabilities: Tensor) -> None:
        """Add one layer's probabilities (B, heads, h * w, L), float32, at resolution ``size`` = (h, w)."""
        if self._weights is None:
            self._weights = self._membership(probabilities.shape[-1]).to(probabilities)
        wanted = (probabilities @ self._weights[:, None]).mean(1)
        held = self._sums.get(size)
        self._sums[size] = wanted if held is None else held.add_(wanted)
        self._counts[size] = self._counts.get(size, 0) + 1

    def _membership(self, length: int) -> Tensor:
        """(B, L, K), 1 where a token belongs to a group of the item."""
        weights = torch.zeros(self.items, length, self.valid.shape[1])
        for item, own in enumerate(self._class_tokens):
            for group, positions in enumerate(token_groups(own, length, self._tokens)):
                weights[item, positions, group] = 1
        return weights

    def means(self) -> list[Tensor]:
        """Per resolution, finest first, (B, K, h, w) in [0, 1]."""
        sizes = sorted(self._sums, reverse=True)
        return [(self._sums[s] / self._counts[s]).transpose(1, 2).unflatten(-1, s) for s in sizes]


class _Recorder:
    """Attention processor of a captured layer: the ordinary arithmetic, its probabilities seen on the way."""

    def __init__(self, sums: AttentionSums, size: tuple[int, int]) -> None:
        self.sums = sums
        self.size = size

    def __call__(self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, **_unused: Any) -> Tensor:
        q = attn.to_q(hidden_states).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
        k = attn.to_k(encoder_hidden_states).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
        v = attn.to_v(encoder_hidden_states).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
        # Rows before the items' are the unconditional half, which nobody asks about.
        free = len(q) - self.sums.items
        # float32, as inside the fused path: Stable Diffusion 2's products overflow float16, and bfloat16 is coarse
        logits = q[free:].float() @ k[free:].float().transpose(-1, -2) * q.shape[-1] ** -0.5
        probabilities = logits.softmax(-1)
        self.sums.add(self.size, probabilities)
        out = probabilities.to(v.dtype) @ v[free:]
        if free:
            out = torch.cat([F.scaled_dot_product_attention(q[:free], k[:free], v[:free]), out])
        out = out.transpose(1, 2).flatten(2)
        for layer in attn.to_out:  # projection, dropout
            out = layer(out)
        return out


@contextmanager
def capture_unet(
    unet: Any, latent_size: tuple[int, int], levels: Sequence[int], sums: AttentionSums
) -> Iterator[AttentionSums]:
    """While open, record the cross-attention layers of a UNet2DConditionModel at the wanted levels.

    Args:
        latent_size: (h, w) of the latents that will be denoised.
        levels: how often the latent's resolution was halved at the wanted layers; those the network has
            no cross-attention at are passed over.
        sums: what is added to; a batch's last ``sums.items`` rows are its items.

    Raises:
        UsageError: the network has cross-attention at none of the levels.
    """
    places = cross_attention_levels(unet)
    wanted = {name: level for name, level in places.items() if level in levels}
    if not wanted:
        raise no_attention(levels, places.values())
    recorders = {name: _Recorder(sums, halved(latent_size, level)) for name, level in wanted.items()}
    with processors(unet, recorders):
        yield sums


def no_attention(levels: Sequence[int], there: Iterable[int]) -> UsageError:
    """The error of levels at which a model has no attention to text."""
    return UsageError(
        f"no cross-attention at levels {', '.join(map(str, levels))}",
        remedy=f"This model has: {', '.join(map(str, sorted(set(there))))}",
    )


@contextmanager
def processors(network: Any, own: Mapping[str, Any]) -> Iterator[None]:
    """While open, the attention layers of these names work with these processors."""
    before = {name: network.get_submodule(name).processor for name in own}
    try:
        for name, processor in own.items():
            network.get_submodule(name).set_processor(processor)
        yield
    finally:
        for name, processor in before.items():
            network.get_submodule(name).set_processor(processor)


def cross_attention_levels(unet: Any) -> dict[str, int]:
    """Name -> level of each text cross-attention layer (``attn2``), level 0 being the latent's resolution."""
    lowest = len(unet.down_blocks) - 1
    found: dict[str, int] = {}
    for name, _ in unet.named_modules():
        match = _BLOCK.match(name)
        if match:
            side, number = match.groups()
            found[name] = lowest if side is None else int(number) if side == "down" else lowest - int(number)
    return found


def halved(size: tuple[int, int], times: int) -> tuple[int, int]:
    """(h, w) after ``times`` convolutions of stride 2, which round up."""
    h, w = size
    for _ in range(times):
        h, w = (h + 1) // 2, (w + 1) // 2
    return h, w
