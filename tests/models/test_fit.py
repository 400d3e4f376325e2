"""The training loop, on a network of one weight."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aligndiff_cli.models.fit import fit, set_rate


def run(batches: list[float | None], *, first: int = 0, clip: float | None = None) -> tuple[float, list[object]]:
    """Minimise w times the batch by SGD at rate 0.5, falling by step; the weight, and what was told."""
    weight = torch.nn.Parameter(torch.zeros(()))
    told: list[object] = []

    def loss(step: int, batch: float | None) -> Tensor | None:
        told.append(step)
        return None if batch is None else weight * batch

    def after(taken: int, found: Tensor | None) -> None:
        told.append((taken, None if found is None else round(found.item(), 6)))

    fit(torch.optim.SGD([weight], 0.5), batches, loss, lambda step: 1 / (step + 1), after, first=first, clip=clip)
    return weight.item(), told


def test_each_batch_is_a_step_at_the_rate_of_the_schedule() -> None:
    # rates 0.5 and 0.25: 0 - 0.5 * 2 = -1; then the loss is -4, and -1 - 0.25 * 4 = -2
    weight, told = run([2.0, 4.0])
    assert weight == pytest.approx(-2.0)
    assert told == [0, (1, 0.0), 1, (2, -4.0)]


def test_a_training_goes_on_in_the_middle() -> None:
    weight, told = run([4.0], first=1)
    assert weight == pytest.approx(-1.0)  # at rate 0.25
    assert told == [1, (2, 0.0)]


def test_a_batch_that_teaches_nothing_takes_no_step() -> None:
    weight, told = run([None, 4.0])
    assert weight == pytest.approx(-1.0)
    assert told[:2] == [0, (1, None)]


def test_gradients_are_clipped() -> None:
    assert run([8.0], clip=2.0)[0] == pytest.approx(-1.0)


def test_rates_are_set_from_the_ones_begun_with() -> None:
    weights = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimizer = torch.optim.SGD([{"params": weights[:1], "lr": 0.4}, {"params": weights[1:], "lr": 2.0}])
    for factor in (0.5, 0.25):
        set_rate(optimizer, factor)
        assert [group["lr"] for group in optimizer.param_groups] == [0.4 * factor, 2.0 * factor]
