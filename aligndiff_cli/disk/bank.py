"""The embedding bank: one safetensors file per embedding, in the form diffusers' ``load_textual_inversion`` reads.

For a model with one text encoder the file holds one tensor, named by its token (``<dog/01>``), of shape (vectors,
width). For several it holds one per encoder, named as diffusers names them (``clip_l``, ``clip_g``, ``t5``), each of
its encoder's width, to be loaded one by one with the encoder and tokenizer they belong to. What is needed to use them
rightly is in the header: class, template, insertion, model fingerprint, and the token.

A token is written as tokenizers leave it: CLIP's makes small letters of capitals and one space of several, T5's undoes
ligatures and the like. One that is not in that form is not found again in a prompt, and of several vectors only one
would get there.
"""

from __future__ import annotations

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from safetensors import SafetensorError, safe_open

from aligndiff_cli.disk.atomic import atomic_write
from aligndiff_cli.disk.regular import regular
from aligndiff_cli.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

SUFFIX = ".safetensors"
HEADER = "aligndiff"
ENCODERS = ("clip_l", "clip_g", "t5")
"""Names of the parts, in the order in which they make up a vector."""


@dataclass(frozen=True)
class Embedding:
    """A learnt v* and how it was learnt.

    Attributes:
        token: the name it has in a prompt, e.g. ``"<dog/01>"``.
        vectors: float32 (n, width), the parts for several text encoders side by side.
        header: text facts: class, template, insertion, fingerprint.
        parts: width of each text encoder's part by its name, in the order of ENCODERS; one part at least.
    """

    token: str
    vectors: Tensor
    header: Mapping[str, str]
    parts: Mapping[str, int]


def prompt_tokens(ids: Iterable[str], taken: Mapping[str, str] | None = None) -> dict[str, str]:
    """The token of each embedding, by its id.

    Two ids that a tokenizer cannot tell apart, such as ``Mug/1`` and ``mug/1``, do not share a token: those that are
    not in a tokenizer's form get a few letters of their hash.

    Args:
        ids: such as ``"dog/01"``.
        taken: token -> id of the embeddings that are there already.
    """
    plain = {item_id: _in_tokenizers_form(item_id) for item_id in ids}
    counts = Counter(plain.values())
    tokens = {}
    for item_id, name in plain.items():
        shared = counts[name] > 1 and item_id != name
        if shared or (taken or {}).get(f"<{name}>", item_id) != item_id:
            name += "-" + hashlib.blake2b(item_id.encode(), digest_size=4).hexdigest()
        tokens[item_id] = f"<{name}>"
    return tokens


def _in_tokenizers_form(text: str) -> str:
    for _ in range(2):  # small letters may have a form of their own
        text = re.sub(r"\s+", " ", unicodedata.normalize("NFKC", text).lower())
    return text


def write_embedding(path: Path, embedding: Embedding) -> None:
    """Write one embedding, atomically; the same embedding gives the same bytes."""
    import torch
    from safetensors.torch import save

    vectors = embedding.vectors.detach().to("cpu", torch.float32)
    if len(embedding.parts) == 1:
        tensors = {embedding.token: vectors.contiguous()}
    else:
        split = vectors.split(list(embedding.parts.values()), dim=1)
        tensors = {name: part.contiguous() for name, part in zip(embedding.parts, split, strict=True)}
    with atomic_write(path) as file:
        # one metadata entry: safetensors writes several in an order that differs from run to run
        facts = {**embedding.header, "token": embedding.token}
        header = json.dumps(facts, sort_keys=True, ensure_ascii=False)
        file.write(save(tensors, metadata={HEADER: header}))


def read_embedding(path: Path) -> Embedding:
    """Read one embedding.

    Raises:
        InputError: not a safetensors file, or not one embedding of shape (vectors, width) per text encoder.
    """
    import torch

    return _read(path, "pt", _checked, lambda parts: torch.cat(parts, dim=1))


def peek_embedding(path: Path) -> Embedding:
    """As `read_embedding`, its vectors as an array: torch, which takes seconds to load, is not needed."""
    try:
        return _read(path, "np", _checked_array, lambda parts: np.concatenate(parts, axis=1))
    except TypeError:  # bfloat16, which numpy does not know
        return read_embedding(path)


def _read(path: Path, framework: str, checked: Callable[[Any, Path], Any], joined: Callable[[Any], Any]) -> Embedding:
    try:
        with safe_open(regular(path), framework=framework) as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            header = json.loads((file.metadata() or {}).get(HEADER, "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"cannot be read as an embedding ({error})", path, "Remove it and run `aligndiff invert` again"
        ) from error
    named = {name: tensors[name] for name in ENCODERS if name in tensors}
    if len(tensors) != 1 and len(named) != len(tensors):
        raise InputError(f"expected one embedding, got {len(tensors)} tensors", path)
    if not isinstance(header, dict) or not isinstance(header.get("template"), str):
        raise InputError("does not say with which prompt it was learnt", path, "Make it with `aligndiff invert`")
    parts = [checked(vectors, path) for vectors in (named or tensors).values()]
    if len({len(part) for part in parts}) != 1:
        raise InputError("its text encoders have different numbers of vectors", path)
    token = str(header.pop("token", next(iter(tensors))))
    widths = {name: part.shape[1] for name, part in zip(named or tensors, parts, strict=True)}
    return Embedding(token, joined(parts), header, widths)


def _checked(vectors: Tensor, path: Path) -> Tensor:
    _check(vectors.shape, bool(vectors.isfinite().all()), path)
    return vectors.reshape(-1, vectors.shape[-1]).float()


def _checked_array(vectors: np.ndarray, path: Path) -> np.ndarray:
    _check(vectors.shape, bool(np.isfinite(vectors).all()), path)
    return vectors.reshape(-1, vectors.shape[-1]).astype(np.float32)


def _check(shape: Sequence[int], finite: bool, path: Path) -> None:
    if len(shape) not in (1, 2) or 0 in shape or not finite:
        raise InputError(f"expected finite vectors of shape (n, width), got {tuple(shape)}", path)
