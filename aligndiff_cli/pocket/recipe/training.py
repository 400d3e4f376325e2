"""What the recipe's trainings share: averages, what is kept of an unfinished training, and a log of the loss."""

from __future__ import annotations

import time
from pathlib import Path

import torch
from torch import Tensor, nn

from aligndiff_cli.models.training_state import AVERAGES, load_state, load_tensors, save_tensors, step_of, under

KEPT = Path(__file__).parent / "kept"
"""Averages of an unfinished training that are part of the repository."""


class Ema:
    """Exponential moving average of parameters, with a short memory early on.

    Args:
        model: whose parameters are followed.
        decay: per step, once warmed up.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.mean = {name: p.detach().clone() for name, p in model.named_parameters()}

    @torch.no_grad()
    def update(self, model: nn.Module, step: int) -> None:
        """Take one step towards the model's present parameters (`step` counts from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in model.named_parameters():
            self.mean[name].lerp_(value.detach(), 1 - decay)


def resume(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, ema: Ema) -> int:
    """Bring a training back as it was saved; returns the step to go on from.

    Without a file, the kept averages of this training are gone on from, if there are any that fit (the moments then
    begin anew); else it is step 0.
    """
    return load_state(path, model, optimizer, ema.mean) if path.exists() else _load_kept(KEPT / path.name, model, ema)


def _load_kept(path: Path, model: nn.Module, ema: Ema) -> int:
    if not path.exists():
        return 0
    averages = under(load_tensors(path), AVERAGES)
    if {name: mean.shape for name, mean in averages.items()} != {n: mean.shape for n, mean in ema.mean.items()}:
        return 0
    for name, mean in averages.items():
        ema.mean[name].copy_(mean)
    model.load_state_dict(ema.mean, strict=False)
    return step_of(path)


def keep(path: Path) -> None:
    """Copy the averages of a state file to `KEPT`, in half precision, for a training that moves elsewhere."""
    averages = {name: mean.half() for name, mean in load_tensors(path).items() if name.startswith(AVERAGES)}
    save_tensors(KEPT / path.name, averages, {"step": str(step_of(path))})


def ema_weights(path: Path) -> dict[str, Tensor]:
    """The averaged weights, float32, of a state file, or the kept ones where it is not there."""
    averages = under(load_tensors(path if path.exists() else KEPT / path.name), AVERAGES)
    return {name: mean.float() for name, mean in averages.items()}


class LossLog:
    """Prints a mean loss and the pace every so often, and says when a state should be saved.

    Args:
        every: steps between two lines.
        save_seconds: time between two saved states.
    """

    def __init__(self, every: int = 50, save_seconds: float = 180.0) -> None:
        self.every = every
        self.save_seconds = save_seconds
        self._losses: list[float] = []
        self._last_line = self._last_save = time.monotonic()

    def step(self, number: int, total: int, loss: float, batch: int) -> bool:
        """Note one step; true if it is time to save."""
        self._losses.append(loss)
        now = time.monotonic()
        if len(self._losses) >= self.every or number == total:
            mean = sum(self._losses) / len(self._losses)
            pace = len(self._losses) * batch / max(now - self._last_line, 1e-9)
            print(f"step {number}/{total} loss {mean:.5f} {pace:.1f} samples/s", flush=True)
            self._losses, self._last_line = [], now
        if now - self._last_save > self.save_seconds or number == total:
            self._last_save = now
            return True
        return False
