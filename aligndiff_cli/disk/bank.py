"""The embedding bank: one safetensors file per embedding, in the form diffusers' ``load_textual_inversion`` reads.

The file holds one tensor, named by its token (``<dog/01>``), of shape (vectors, width); what is needed to use it
rightly is in the header: class, template, insertion, model fingerprint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from aligndiff_cli.disk.atomic import atomic_write
from aligndiff_cli.errors import InputError

SUFFIX = ".safetensors"
HEADER = "aligndiff"


@dataclass(frozen=True)
class Embedding:
    """A learnt v* and how it was learnt.

    Attributes:
        token: the name it has in a prompt, e.g. ``"<dog/01>"``.
        vectors: float32 (n, width).
        header: text facts: class, template, insertion, fingerprint.
    """

    token: str
    vectors: Tensor
    header: Mapping[str, str]


def write_embedding(path: Path, embedding: Embedding) -> None:
    """Write one embedding, atomically; the same embedding gives the same bytes."""
    tensors = {embedding.token: embedding.vectors.detach().to("cpu", torch.float32).contiguous()}
    with atomic_write(path) as file:
        # one metadata entry: safetensors writes several in an order that differs from run to run
        header = json.dumps(dict(embedding.header), sort_keys=True, ensure_ascii=False)
        file.write(save(tensors, metadata={HEADER: header}))


def read_embedding(path: Path) -> Embedding:
    """Read one embedding.

    Raises:
        InputError: not a safetensors file, or not one embedding of shape (vectors, width).
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            if len(names) != 1:
                raise InputError(f"expected one embedding, got {len(names)} tensors", path)
            vectors = file.get_tensor(names[0])
            header = json.loads((file.metadata() or {}).get(HEADER, "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"cannot be read as an embedding ({error})", path, "Remove it and run `aligndiff invert` again"
        ) from error
    if not isinstance(header, dict) or "template" not in header:
        raise InputError("does not say with which prompt it was learnt", path, "Make it with `aligndiff invert`")
    if vectors.ndim == 1:
        vectors = vectors[None]
    if vectors.ndim != 2 or not vectors.isfinite().all():
        raise InputError(f"expected finite vectors of shape (n, width), got {tuple(vectors.shape)}", path)
    return Embedding(names[0], vectors.float(), header)
