"""What the recipe's trainings share: resumable states on disk, EMA, and a plain loop's bookkeeping."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from aligndiff_cli.errors import UsageError


def pick_device(name: str) -> torch.device:
    """``auto`` is the GPU if there is one.

    Raises:
        UsageError: cuda was asked for and is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise UsageError("no CUDA device was found", remedy="Use --device cpu")
    return torch.device(name)


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


def save_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, ema: Ema | None, step: int) -> None:
    """Write weights, averages, Adam's moments and the step count, whole or not at all."""
    tensors = {f"model/{k}": v for k, v in model.state_dict().items()}
    if ema is not None:
        tensors |= {f"ema/{k}": v for k, v in ema.mean.items()}
    for index, moments in optimizer.state_dict()["state"].items():
        tensors |= {f"adam/{index}/{k}": torch.as_tensor(v) for k, v in moments.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".half")
    save_file({k: v.detach().cpu().clone() for k, v in tensors.items()}, half, {"step": str(step)})
    half.replace(path)


def load_state(path: Path, model: nn.Module, optimizer: torch.optim.Optimizer, ema: Ema | None) -> int:
    """Bring everything back as `save_state` left it; returns the step to go on from (0 without a file)."""
    if not path.exists():
        return 0
    tensors = load_file(path)
    model.load_state_dict(_under(tensors, "model/"))
    if ema is not None:
        for name, value in _under(tensors, "ema/").items():
            ema.mean[name].copy_(value)
    moments: dict[int, dict[str, Tensor]] = {}
    for key, value in _under(tensors, "adam/").items():
        index, name = key.split("/")
        moments.setdefault(int(index), {})[name] = value
    state = optimizer.state_dict()
    optimizer.load_state_dict({"state": moments, "param_groups": state["param_groups"]})
    with path.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    return int(header["__metadata__"]["step"])


def ema_weights(path: Path) -> dict[str, Tensor]:
    """The averaged weights stored in a state file."""
    return _under(load_file(path), "ema/")


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


class Progress:
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


def scheduled_lr(step: int, total: int, peak: float, warmup: int = 100) -> float:
    """Linear warm-up to `peak`, then a half cosine down to a hundredth of it."""
    if step < warmup:
        return peak * (step + 1) / warmup
    done = min(1.0, (step - warmup) / max(1, total - warmup))
    cosine = 0.5 * (1 + float(torch.cos(torch.tensor(done * torch.pi))))
    return peak * (0.01 + 0.99 * cosine)


def trapezoid_lr(step: int, total: int, warmup: int = 500, cooldown: float = 0.2) -> float:
    """Share of the peak rate: a linear warm-up, then level, then a straight line to zero over the last `cooldown`.

    While it is level, `total` may be made larger: the training goes on as if it had been so from the start.
    """
    left = (total - step) / max(1.0, cooldown * total)
    return max(0.0, min(1.0, (step + 1) / warmup, left))
