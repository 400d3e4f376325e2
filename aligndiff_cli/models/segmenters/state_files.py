"""Weights of others on disk: a .safetensors file, or a .pt / .pth file with a state dict and nothing else."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from aligndiff_cli.errors import ModelError

WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which training scripts keep the state dict beside their own notes."""
NAMED = 3
"""Keys named in an error."""
_SCALAR = np.float64(0).__reduce__()[0]
NOTES: list[Any] = [
    (_SCALAR, "numpy.core.multiarray.scalar"),
    (_SCALAR, "numpy._core.multiarray.scalar"),
    np.dtype,
    *dict.fromkeys(type(np.dtype(code)) for code in "?bBhHiIlLqQefdg"),
]
"""What a scalar of numpy is pickled as, by its old and its new name: training scripts note their best figure so."""


@dataclass(frozen=True)
class StateFile:
    """Tensors by name, without the prefix that DataParallel adds.

    Attributes:
        path: where they are from.
        metadata: of a safetensors file; empty otherwise.
    """

    path: Path
    tensors: dict[str, Tensor]
    metadata: dict[str, str] = field(default_factory=dict)


def read_state(path: Path) -> StateFile:
    """Read all tensors of a file. A .pt or .pth file is opened with ``weights_only=True``: nothing in it is run.

    Notes beside the tensors, such as numbers and words, are passed over.

    Raises:
        ModelError: there is no such file, or it holds other things than tensors and notes.
    """
    if not path.is_file():
        raise ModelError("the weights are missing", path, "Name a .safetensors, .pt or .pth file of weights.")
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="pt") as file:
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
                return StateFile(path, tensors, file.metadata() or {})
        with torch.serialization.safe_globals(NOTES):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _blocked(error, path) from error
    except (SafetensorError, OSError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ModelError("this is no file of weights alone", path, "Name a saved state dict, or convert it.") from error
    return StateFile(path, _tensors(content, path))


def _blocked(error: pickle.UnpicklingError, path: Path) -> ModelError:
    """What a file holds besides weights and notes, by name: it would have to be run to be read."""
    try:
        with torch.serialization.safe_globals(NOTES):
            names = sorted(torch.serialization.get_unsafe_globals_in_checkpoint(path))
    except Exception:  # it looks into files of the newer format only
        names = re.findall(r"GLOBAL (\S+)", str(error))
    if not names:
        return ModelError("this is no file of weights alone", path, "Name a saved state dict, or convert it.")
    return ModelError(
        f"holds objects that are not read, since reading them runs code: {first(names)}",
        path,
        "Open it where it was made, and save the network's state_dict() alone.",
    )


def _tensors(content: Any, path: Path) -> dict[str, Tensor]:
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    found = content.items() if isinstance(content, Mapping) else ()
    tensors = {str(key): value for key, value in found if isinstance(value, Tensor)}
    if not tensors:
        raise ModelError("this file holds no state dict", path, "Save the network's state_dict() and name that.")
    if all(key.startswith("module.") for key in tensors):
        return {key.removeprefix("module."): value for key, value in tensors.items()}
    return tensors


def load_renamed(
    net: nn.Module, tensors: Mapping[str, Tensor], rename: Callable[[str], str], source: str | Path
) -> None:
    """Fill a network from a file with other names. Every weight must be there and of its shape, none left over.

    Counts of seen batches may be missing: old files have none, and frozen statistics need none.

    Args:
        rename: the file's name -> the network's.
        source: where the tensors are from, for the message.

    Raises:
        ModelError: it does not fit; the first misfits are named.
    """
    expected = net.state_dict()
    theirs = {rename(key): key for key in tensors}
    missing = [key for key in expected if key not in theirs and not key.endswith("num_batches_tracked")]
    unknown = [old for new, old in theirs.items() if new not in expected]
    misshapen = [
        f"{old} {tuple(tensors[old].shape)} for {tuple(expected[new].shape)}"
        for new, old in theirs.items()
        if new in expected and tensors[old].shape != expected[new].shape
    ]
    faults = {"missing, as named here": missing, "unexpected": unknown, "of another shape": misshapen}
    said = [f"{what}: {first(keys)}" for what, keys in faults.items() if keys]
    if said:
        raise ModelError(f"the weights do not fit; {'; '.join(said)}", source, "Check which network they are of.")
    net.load_state_dict({**expected, **{new: tensors[old] for new, old in theirs.items()}})


def first(keys: Sequence[str]) -> str:
    """The first few keys, and how many more there are."""
    more = f" and {len(keys) - NAMED} more" if len(keys) > NAMED else ""
    return ", ".join(keys[:NAMED]) + more
