from __future__ import annotations

import pytest
import torch

from aligndiff_cli.pocket.recipe.gauge import relative_spread


def test_the_spread_is_the_distance_from_the_mean() -> None:
    outputs = torch.zeros(2, 1, 2, 3)
    outputs[1] = 3.0  # the mean is 1.5 everywhere
    assert relative_spread(outputs) == pytest.approx(1.5)
    assert relative_spread(outputs[:1].expand(4, -1, -1, -1)) == 0
