"""Trainings that can be killed: weights, optimizer moments and the number of steps taken, in one safetensors file."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from time import monotonic

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from aligndiff_cli.disk.atomic import atomic_write
from aligndiff_cli.errors import FolderError, ModelError

REMEDY = "Remove the file to begin again, or choose another folder"
STATE = "state.safetensors"
SAVE_SECONDS = 60.0


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


def save_state(path: Path, net: nn.Module, optimizer: torch.optim.Optimizer, step: int) -> None:
    """Write everything needed to go on after ``step`` steps; the file appears whole or not at all."""
    tensors = {f"net.{key}": value for key, value in net.state_dict().items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"optimizer.{index}.{key}": value for key, value in moments.items() if value is not None}
    tensors["step"] = torch.tensor(step)
    save_tensors(path, tensors)


def load_state(path: Path, net: nn.Module, optimizer: torch.optim.Optimizer) -> int:
    """Go on where `save_state` left off; 0 steps where there is no file.

    Raises:
        FolderError: the file is damaged or of another network.
    """
    if not path.is_file():
        return 0
    state: dict[int, dict[str, Tensor]] = defaultdict(dict)
    tensors = load_tensors(path)
    try:
        for key in [key for key in tensors if key.startswith("optimizer.")]:
            _, index, name = key.split(".")
            state[int(index)][name] = tensors.pop(key)
        step = int(tensors.pop("step"))
        net.load_state_dict({key.removeprefix("net."): value for key, value in tensors.items()})
        optimizer.load_state_dict({"state": dict(state), "param_groups": optimizer.state_dict()["param_groups"]})
    except (KeyError, RuntimeError, ValueError) as error:
        raise FolderError("holds the training of another network", path, REMEDY) from error
    return step


def save_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    """Write tensors as safetensors, atomically."""
    plain = {key: value.detach().cpu().contiguous().clone() for key, value in tensors.items()}
    with atomic_write(path) as file:
        file.write(save(plain))


def load_tensors(path: Path) -> dict[str, Tensor]:
    """Read tensors.

    Raises:
        FolderError: the file is damaged.
    """
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise FolderError(f"cannot be read ({error})", path, REMEDY) from error
