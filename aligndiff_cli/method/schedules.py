"""Learning-rate schedules: the factor of the peak rate at each step, from 0 to the number of steps."""

from __future__ import annotations

import math


def poly(step: int, steps: int) -> float:
    """(1 - step / steps) ** 0.9, as segmentation networks are trained (Chen et al. 2017)."""
    return (1 - step / steps) ** 0.9


def cosine(step: int, steps: int) -> float:
    """Half a cosine from 1 towards 0, without warm-up."""
    return 0.5 * (1 + math.cos(math.pi * step / steps))


def warm_cosine(step: int, steps: int, warmup: int = 100, floor: float = 0.01) -> float:
    """A linear rise over the warm-up, then half a cosine down to ``floor``."""
    if step < warmup:
        return (step + 1) / warmup
    return floor + (1 - floor) * cosine(min(step, steps) - warmup, max(1, steps - warmup))


def trapezoid(step: int, steps: int, warmup: int = 500, cooldown: float = 0.2) -> float:
    """A linear warm-up, then level, then a straight line to 0 over the last ``cooldown`` of the steps.

    While it is level, ``steps`` may be made larger: the training goes on as if it had been so from the start.
    """
    left = (steps - step) / max(1.0, cooldown * steps)
    return max(0.0, min(1.0, (step + 1) / warmup, left))
