from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from aligndiff_cli.errors import UsageError
from aligndiff_cli.pocket.recipe.training import (
    Ema,
    Progress,
    ema_weights,
    load_state,
    pick_device,
    save_state,
    scheduled_lr,
    trapezoid_lr,
)


def test_the_average_has_a_short_memory_early_on() -> None:
    model = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(model.weight)
    ema = Ema(model, 0.5)
    nn.init.ones_(model.weight)
    ema.update(model, 0)  # decay min(0.5, 1 / 10): 0.9 of the way
    assert ema.mean["weight"].item() == pytest.approx(0.9)
    nn.init.zeros_(model.weight)
    ema.update(model, 1000)  # decay 0.5
    assert ema.mean["weight"].item() == pytest.approx(0.45)


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.01), (99, 1.0), (100, 1.0), (600, 0.505), (1100, 0.01), (5000, 0.01)],
)
def test_the_rate_rises_and_falls(step: int, expected: float) -> None:
    assert scheduled_lr(step, 1100, 1.0) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.002), (499, 1.0), (7999, 1.0), (9000, 0.5), (10000, 0.0), (11000, 0.0)]
)
def test_the_level_rate_ends_in_a_straight_line(step: int, expected: float) -> None:
    assert trapezoid_lr(step, 10000) == pytest.approx(expected, abs=1e-3)


def run(path: Path, steps: int, fused: bool = False) -> nn.Module:
    """A few steps of a toy regression, resumed from `path` if it is there, and saved there."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, fused=fused)
    ema = Ema(model, 0.9)
    start = load_state(path, model, optimizer, ema)
    for step in range(start, steps):
        x = torch.randn(5, 3, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        (model(x) - x.sum(1, keepdim=True)).square().mean().backward()
        optimizer.step()
        ema.update(model, step)
    save_state(path, model, optimizer, ema, steps)
    return model


@pytest.mark.parametrize("fused", [False, True])
def test_a_resumed_training_ends_where_an_uninterrupted_one_does(tmp_path: Path, fused: bool) -> None:
    run(tmp_path / "a.safetensors", 4, fused)
    resumed = run(tmp_path / "a.safetensors", 9, fused)
    whole = run(tmp_path / "b.safetensors", 9, fused)
    for a, b in zip(resumed.parameters(), whole.parameters(), strict=True):
        assert torch.equal(a, b)
    first, second = (ema_weights(tmp_path / name) for name in ("a.safetensors", "b.safetensors"))
    assert first.keys() == dict(whole.named_parameters()).keys()
    assert all(torch.equal(first[k], second[k]) for k in first)
    assert not torch.equal(first["0.weight"], whole[0].weight)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.safetensors", "b.safetensors"]


def test_the_last_step_is_always_saved(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress(every=2, save_seconds=1e9)
    assert [progress.step(i, 3, float(i), 8) for i in (1, 2, 3)] == [False, False, True]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("step 2/3 loss 1.50000")
    assert lines[1].startswith("step 3/3 loss 3.00000")


def test_a_missing_gpu_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto") == torch.device("cpu")
    with pytest.raises(UsageError, match="--device cpu"):
        pick_device("cuda")
