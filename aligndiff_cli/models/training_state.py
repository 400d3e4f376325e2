"""Trainings that can be killed: weights, averages, moments and the number of steps taken, in one safetensors file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from time import monotonic

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from aligndiff_cli.disk.atomic import atomic_write
from aligndiff_cli.errors import FolderError, ModelError

REMEDY = "Remove the file to begin again, or choose another folder"
STATE = "state.safetensors"
SAVE_SECONDS = 60.0
MODEL, AVERAGES, MOMENTS = "model/", "ema/", "adam/"
"""What names in a state begin with: weights and buffers, averages, the optimizer's moments (of any optimizer)."""


class Checkpoints:
    """The state of a training, kept in its folder every minute, replaced by the weights at the end.

    Args:
        path: of the final weights; state.safetensors lies beside them while training.
        net, optimizer: brought to where the training was left off.

    Attributes:
        first: steps that were already taken.

    Raises:
        FolderError: the state is damaged or of another network.
    """

    def __init__(self, path: Path, net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        self._path, self._net, self._optimizer = path, net, optimizer
        self._state = path.with_name(STATE)
        self.first = load_state(self._state, net, optimizer)
        self._saved = monotonic()

    def step(self, taken: int) -> None:
        """So many steps are taken; now and then they are saved."""
        if monotonic() - self._saved > SAVE_SECONDS:
            save_state(self._state, self._net, self._optimizer, taken)
            self._saved = monotonic()

    def finish(self) -> None:
        """Keep the weights alone.

        Raises:
            ModelError: the training diverged; its state is dropped, and no weights are kept.
        """
        try:
            check_learnt(self._net)
        except ModelError:
            self._state.unlink(missing_ok=True)
            raise
        save_tensors(self._path, self._net.state_dict())
        self._state.unlink(missing_ok=True)


def check_learnt(net: nn.Module) -> None:
    """Refuse weights that are not finite (ModelError): whatever is made with them would be numbers without a sense."""
    if not all(bool(parameter.isfinite().all()) for parameter in net.parameters()):
        raise ModelError("the training diverged: its weights are not finite", None, "Lower its learning rate")


def save_state(
    path: Path,
    net: nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    averages: Mapping[str, Tensor] | None = None,
) -> None:
    """Write everything needed to go on after ``step`` steps; the file appears whole or not at all.

    Args:
        averages: of the parameters by name, where they are kept.
    """
    tensors = {f"{MODEL}{key}": value for key, value in net.state_dict().items()}
    tensors |= {f"{AVERAGES}{key}": value for key, value in (averages or {}).items()}
    for index, moments in optimizer.state_dict()["state"].items():
        own = {key: torch.as_tensor(value) for key, value in moments.items() if value is not None}
        tensors |= {f"{MOMENTS}{index}/{key}": value for key, value in own.items()}
    save_tensors(path, tensors, {"step": str(step)})


def load_state(
    path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, averages: Mapping[str, Tensor] | None = None
) -> int:
    """Go on where `save_state` left off, averages included; 0 steps where there is no file.

    Raises:
        FolderError: the file is damaged or of another network.
    """
    if not path.is_file():
        return 0
    tensors = load_tensors(path)
    moments: dict[int, dict[str, Tensor]] = defaultdict(dict)
    try:
        for key, value in under(tensors, MOMENTS).items():
            index, name = key.split("/")
            moments[int(index)][name] = value
        net.load_state_dict(under(tensors, MODEL))
        optimizer.load_state_dict({"state": dict(moments), "param_groups": optimizer.state_dict()["param_groups"]})
        for key, mean in (averages or {}).items():
            mean.copy_(tensors[f"{AVERAGES}{key}"])
        return step_of(path)
    except (KeyError, RuntimeError, ValueError) as error:
        raise FolderError("holds the training of another network", path, REMEDY) from error


def step_of(path: Path) -> int:
    """The number of steps that a state was saved after; only the file's head is read."""
    with safe_open(path, framework="pt") as file:
        return int((file.metadata() or {})["step"])


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin so, by what follows."""
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, str] | None = None) -> None:
    """Write tensors as safetensors, with facts in the file's head, atomically."""
    plain = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    with atomic_write(path) as file:
        file.write(save(plain, dict(facts) if facts else None))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors.

    Raises:
        FolderError: the file is damaged.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise FolderError(f"cannot be read ({error})", path, REMEDY) from error
