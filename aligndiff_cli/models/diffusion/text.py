"""From prompts to token ids, the places of v* and of the class name, and the splice of v*.

Nothing of the model is touched: v* enters through a hook on the token embedding's output, for one call.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from aligndiff_cli.errors import InputError, ModelError
from aligndiff_cli.method.attention import Tokens
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.device import to_device


@dataclass(frozen=True)
class TokenLayout:
    """A prompt as the text encoder gets it.

    Attributes:
        ids: token ids with begin, end and padding; ``length`` of the tokenizer. Places of v* among the
            input tokens hold a stand-in id.
        class_tokens: positions of the class name in the *conditioning* sequence (after any insertion).
        v_tokens: positions of v* in the conditioning sequence.
    """

    ids: tuple[int, ...]
    class_tokens: tuple[int, ...]
    v_tokens: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Conditioning:
    """What the denoiser is conditioned on.

    Attributes:
        hidden: (B, L, D) encoded prompts.
        class_tokens, v_tokens: per prompt, positions along L.
        pooled: (B, P) summary of each prompt, for families that use one.
        guidance: scale told to models that take it as an input; at 1 they predict what they were trained on.
    """

    hidden: Tensor
    class_tokens: tuple[tuple[int, ...], ...]
    v_tokens: tuple[tuple[int, ...], ...]
    pooled: Tensor | None = None
    guidance: float = 1.0

    def object_tokens(self, tokens: Tokens) -> tuple[tuple[int, ...], ...]:
        """Per prompt, the positions that name its object, for ``token_groups``.

        They are the class name's; for "onward" v* counts as well, since it takes over what the name cannot say: on a
        class the model does not know, attention leaves the name for v*.
        """
        if tokens == "class":
            return self.class_tokens
        return tuple(tuple(sorted({*v, *own})) for v, own in zip(self.v_tokens, self.class_tokens, strict=True))

    def select(self, rows: Sequence[int]) -> Conditioning:
        """The conditioning of a batch in which sample i uses prompt ``rows[i]``."""
        index = to_device(torch.as_tensor(rows), self.hidden.device)
        return replace(
            self,
            hidden=self.hidden.index_select(0, index),
            class_tokens=tuple(self.class_tokens[row] for row in rows),
            v_tokens=tuple(self.v_tokens[row] for row in rows),
            pooled=None if self.pooled is None else self.pooled.index_select(0, index),
        )

    def after(self, first: Conditioning) -> Conditioning:
        """The rows of ``first``, then these, as classifier-free guidance needs them in one batch."""
        pooled = None
        if self.pooled is not None and first.pooled is not None:
            pooled = torch.cat([first.pooled, self.pooled])
        return replace(
            self,
            hidden=torch.cat([first.hidden, self.hidden]),
            class_tokens=first.class_tokens + self.class_tokens,
            v_tokens=first.v_tokens + self.v_tokens,
            pooled=pooled,
        )

    def cut(self) -> Conditioning:
        """The same values as leaves of a new graph; ``join`` brings their gradients back."""
        pooled = self.pooled
        return replace(
            self,
            hidden=self.hidden.detach().requires_grad_(),
            pooled=None if pooled is None else pooled.detach().requires_grad_(),
        )

    def join(self, leaves: Conditioning, *, keep: bool = False) -> None:
        """Go on with the backward pass of what was computed from ``leaves = self.cut()``; ``keep`` the graph or not."""
        pairs = [(self.hidden, leaves.hidden.grad)]
        if self.pooled is not None and leaves.pooled is not None:
            pairs.append((self.pooled, leaves.pooled.grad))
        found = [(own, grad) for own, grad in pairs if own.requires_grad and grad is not None]
        torch.autograd.backward([own for own, _ in found], [grad for _, grad in found], retain_graph=keep)


def word_ids(tokenizer: Any, text: str) -> list[int]:
    """Token ids of a text without begin, end or padding."""
    return list(tokenizer(text, add_special_tokens=False, verbose=False).input_ids)  # too long: said in our words


def lay_out(tokenizer: Any, prompt: Prompt) -> TokenLayout:
    """Token ids and places of one prompt.

    Raises:
        InputError: the prompt is longer than the text encoder's context.
    """
    limit = int(tokenizer.model_max_length)
    vectors = prompt.vectors
    as_input = prompt.insertion == "input"
    ids = [tokenizer.bos_token_id]
    position = 1  # along the conditioning sequence; differs from len(ids) once v* is inserted after encoding
    places: dict[str, tuple[int, ...]] = {"class": (), "v": ()}
    for segment in prompt.segments:
        # The stand-in must not be the end token, from which CLIP finds its pooled output.
        stand_in = [tokenizer.bos_token_id] * vectors
        new = stand_in if segment.role == "v" else word_ids(tokenizer, segment.text)
        places[segment.role] = tuple(range(position, position + len(new)))
        position += len(new)
        if segment.role != "v" or as_input:
            ids += new
    ids.append(tokenizer.eos_token_id)
    check_length(prompt, position + 1, limit)
    ids += [tokenizer.pad_token_id] * (limit - len(ids))
    # With v* as the noun (no class name in the template), v* is what names the object.
    class_tokens = places["class"] or places["v"]
    return TokenLayout(tuple(ids), class_tokens, places["v"])


def check_length(prompt: Prompt, length: int, limit: int) -> None:
    """Refuse a prompt longer than the text encoder's context (InputError)."""
    if length > limit:
        raise InputError(
            f"the prompt {str(prompt)!r} is {length} tokens long; the text encoder takes {limit}",
            remedy="Shorten the template or the class name, or use fewer vectors",
        )


@contextmanager
def spliced(embedding: nn.Module, prompts: Sequence[Prompt], layouts: Sequence[TokenLayout]) -> Iterator[None]:
    """While open, the token embedding's output carries v* wherever a prompt has it as an input token."""
    rows: list[int] = []
    columns: list[int] = []
    values: list[Tensor] = []
    for row, (prompt, layout) in enumerate(zip(prompts, layouts, strict=True)):
        if prompt.embedding is not None and prompt.insertion == "input":
            rows += [row] * len(layout.v_tokens)
            columns += layout.v_tokens
            values.append(prompt.embedding)
    if not values:
        yield
        return

    def put(_module: nn.Module, _args: Any, output: Tensor) -> Tensor:
        v = torch.cat([value.to(output) for value in values])
        places = to_device(torch.tensor([rows, columns]), output.device)
        return output.index_put(tuple(places), v)

    handle = embedding.register_forward_hook(put)
    try:
        yield
    finally:
        handle.remove()


def insert_encoded(hidden: Tensor, prompts: Sequence[Prompt], layouts: Sequence[TokenLayout]) -> Tensor:
    """V -> V_* of paper 3.4: put v* into the encoded sequence, dropping as many rows from its tail.

    Args:
        hidden: (B, L, D) encoded prompts.
    """
    if not any(p.embedding is not None and p.insertion == "encoded" for p in prompts):
        return hidden
    sequences = []
    for row, prompt, layout in zip(hidden, prompts, layouts, strict=True):
        if prompt.embedding is None or prompt.insertion == "input":
            sequences.append(row)
            continue
        j = layout.v_tokens[0]
        sequences.append(torch.cat([row[:j], prompt.embedding.to(row), row[j:]])[: len(row)])
    return torch.stack(sequences)


def check_width(prompts: Sequence[Prompt], width: int) -> None:
    """Refuse embeddings made for text encoders of another width (ModelError)."""
    for prompt in prompts:
        v = prompt.embedding
        if v is not None and (v.ndim != 2 or v.shape[-1] != width):
            raise ModelError(
                f"an embedding of shape {tuple(v.shape)} does not fit this model, whose tokens have {width} numbers",
                remedy="Invert again with this model, or generate with the model the bank was made with",
            )
