"""Samples that begin from a noised picture in place of noise alone (SDEdit, Meng et al. 2022; beyond the paper).

With strength s of N steps the last round(s N) are run, from x_t: the scheduler's own noising of the encoded picture at
the first of these steps. What the picture shows at coarse scale stays; what is finer is drawn anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from aligndiff_cli.errors import UsageError


@dataclass(frozen=True, eq=False)
class Start:
    """What samples begin from.

    Attributes:
        images: one for each sample, uint8 (H, W, 3) of its size.
        strength: share of the steps that is run, in (0, 1]; one step at least.
    """

    images: Sequence[np.ndarray]
    strength: float

    def __post_init__(self) -> None:
        if not 0 < self.strength <= 1:
            raise UsageError(f"strength must be above 0 and at most 1, got {self.strength}")

    def steps(self, steps: int) -> int:
        """How many of so many steps are run."""
        return max(1, round(self.strength * steps))


def last_steps(scheduler: Any, timesteps: Tensor, steps: int, wanted: int) -> Tensor:
    """The times of the last ``wanted`` of ``steps`` steps; the scheduler is told that it begins there.

    Raises:
        UsageError: the scheduler cannot begin midway.
    """
    if hasattr(scheduler, "prk_timesteps"):
        return _last_of_pndm(scheduler, timesteps, wanted)
    # a scheduler of second order looks twice at every step but one
    first = (steps - wanted) * int(scheduler.order)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(first)
    return timesteps[first:]


def _last_of_pndm(scheduler: Any, timesteps: Tensor, wanted: int) -> Tensor:
    """PNDM without Runge-Kutta looks twice at its second step, whichever step is its first."""
    if len(scheduler.prk_timesteps):
        raise UsageError(
            "a PNDM scheduler with Runge-Kutta steps cannot begin from a picture", remedy="Pass --scheduler ddim"
        )
    last = torch.unique_consecutive(timesteps)[-wanted:]
    return torch.cat([last[:2], last[1:]])


def noised(scheduler: Any, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """x_t (B, C, h, w) at the time t, a scalar, that the scheduler begins at."""
    times = t.expand(len(x0))
    if hasattr(scheduler, "scale_noise"):  # flow matching
        return scheduler.scale_noise(x0, times, noise)
    return scheduler.add_noise(x0, noise, times)
