"""The one training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import Tensor

B = TypeVar("B")


def fit(
    optimizer: torch.optim.Optimizer,
    batches: Iterable[B],
    loss: Callable[[int, B], Tensor | None],
    schedule: Callable[[int], float],
    after: Callable[[int, Tensor | None], None],
    *,
    first: int = 0,
    clip: float | None = None,
) -> None:
    """Take one optimizer step for each batch.

    Args:
        optimizer: its groups' rates are those at the peak of the schedule.
        batches: of steps ``first``, ``first + 1``, ...
        loss: what is minimised, given the step and its batch; None where a batch teaches nothing, and no step is taken.
        schedule: factor of the rates at a step.
        after: called with the number of steps taken and the loss.
        clip: largest norm of all gradients together; None for no limit.
    """
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for step, batch in enumerate(batches, first):
        set_rate(optimizer, schedule(step))
        value = loss(step, batch)
        if value is not None:
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            if clip is not None:
                torch.nn.utils.clip_grad_norm_(parameters, clip)
            optimizer.step()
        after(step + 1, value)


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set each group's rate to ``factor`` times the one it began with."""
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"])
        group["lr"] = group["initial_lr"] * factor
