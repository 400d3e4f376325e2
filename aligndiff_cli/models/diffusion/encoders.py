"""One text encoder as the families use it, and the encoding of prompts by those that share a token sequence."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.diffusion.text import TokenLayout, check_length, insert_encoded, lay_out, spliced

T5 = "t5"

Run = Callable[[Any, Sequence[Sequence[int]]], tuple[Tensor, Tensor | None]]
"""(network, token ids (B, L)) -> states (B, L, D) and a summary (B, P), if the network has one."""


class TextEncoder(NamedTuple):
    """A tokenizer and its network.

    Attributes:
        name: what its part of an embedding is called in a bank file: clip_l, clip_g or t5.
        length: tokens of a padded prompt.
    """

    tokenizer: Any
    network: Any
    name: str
    length: int

    @property
    def width(self) -> int:
        """Numbers in one token embedding."""
        config = self.network.config
        return int(config.hidden_size if hasattr(config, "hidden_size") else config.d_model)

    @property
    def embedding(self) -> nn.Module:
        """The module that looks token embeddings up."""
        # T5 keeps a second module with the same weights, which its forward pass does not use.
        owner = self.network.encoder if self.name == T5 else self.network
        return owner.get_input_embeddings()

    def lay_out(self, prompt: Prompt) -> TokenLayout:
        """Token ids and places of one prompt (InputError if it is too long)."""
        if self.name == T5:
            return lay_out_pieces(self.tokenizer, prompt, self.length)
        return lay_out(self.tokenizer, prompt)

    def empty(self) -> list[int]:
        """Token ids of the empty prompt."""
        return list(self.tokenizer("", padding="max_length", max_length=self.length).input_ids)


def lay_out_pieces(tokenizer: Any, prompt: Prompt, length: int) -> TokenLayout:
    """As ``lay_out``, for T5: pieces of words, no begin token.

    A piece may hold a space or punctuation, so the text is cut as a whole and places are found by characters.

    Raises:
        InputError: the prompt is longer than ``length`` tokens.
    """
    cut = tokenizer(prompt.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
    ids, ends = list(cut.input_ids), [end for _, end in cut.offset_mapping]
    begin, end, v_at = _characters(prompt)
    named = [i for i, (first, last) in enumerate(cut.offset_mapping) if last > begin and first < end]
    before = sum(last <= v_at for last in ends)
    v_tokens = tuple(range(before, before + prompt.vectors))
    class_tokens = tuple(i if i < before else i + prompt.vectors for i in named)
    check_length(prompt, len(ids) + prompt.vectors + 1, length)
    if prompt.insertion == "input":
        ids[before:before] = [tokenizer.pad_token_id] * prompt.vectors
    ids += [tokenizer.eos_token_id]
    ids += [tokenizer.pad_token_id] * (length - len(ids))
    return TokenLayout(tuple(ids), class_tokens or v_tokens, v_tokens)


def _characters(prompt: Prompt) -> tuple[int, int, int]:
    """Where in ``prompt.text`` the class name begins and ends, and after how many characters v* stands."""
    before_class, found, _ = prompt.template.partition("{class}")
    before_class = before_class.replace("{v*}", "")
    before_v = prompt.template.partition("{v*}")[0].replace("{class}", prompt.class_name)
    begin = _collapsed(before_class)
    return begin, _collapsed(before_class + prompt.class_name) if found else begin, _collapsed(before_v)


def _collapsed(text: str) -> int:
    return len(" ".join(text.split()))


def encode_section(
    encoders: Sequence[TextEncoder], prompts: Sequence[Prompt], run: Run
) -> tuple[Tensor, list[TokenLayout], list[Tensor | None]]:
    """Encode prompts with encoders whose states are joined token by token.

    Args:
        encoders: all cutting text into the same tokens.
        prompts: their embeddings hold these encoders' parts side by side.

    Returns:
        states (B, L, summed D) with v* put in, the layout of each prompt, and each encoder's summary.
    """
    states, summaries, start = [], [], 0
    layouts: list[TokenLayout] = []
    for encoder in encoders:
        layouts = [encoder.lay_out(prompt) for prompt in prompts]
        own = [columns(prompt, start, start + encoder.width) for prompt in prompts]
        with spliced(encoder.embedding, own, layouts):
            hidden, summary = run(encoder.network, [layout.ids for layout in layouts])
        states.append(hidden)
        summaries.append(summary)
        start += encoder.width
    return insert_encoded(torch.cat(states, dim=-1), prompts, layouts), layouts, summaries


def encode_empty(encoders: Sequence[TextEncoder], count: int, run: Run) -> tuple[Tensor, list[Tensor | None]]:
    """States and summaries of ``count`` empty prompts."""
    # Encoded once per item: a batch of one rounds differently, and pixels are to equal diffusers'.
    outputs = [run(encoder.network, [encoder.empty()] * count) for encoder in encoders]
    return torch.cat([hidden for hidden, _ in outputs], dim=-1), [summary for _, summary in outputs]


def columns(prompt: Prompt, start: int, end: int) -> Prompt:
    """The prompt with the part of its embedding that some of the text encoders get."""
    return prompt if prompt.embedding is None else replace(prompt, embedding=prompt.embedding[:, start:end])


def moved(layouts: Sequence[TokenLayout], by: int) -> list[TokenLayout]:
    """Layouts whose sequence stands behind ``by`` other tokens."""
    return [
        replace(
            layout,
            class_tokens=tuple(i + by for i in layout.class_tokens),
            v_tokens=tuple(i + by for i in layout.v_tokens),
        )
        for layout in layouts
    ]
