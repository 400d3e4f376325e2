from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from aligndiff_cli.models.training_state import save_state
from aligndiff_cli.pocket.recipe import training
from aligndiff_cli.pocket.recipe.training import Ema, LossLog, ema_weights, resume


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


def run(path: Path, steps: int, fused: bool = False) -> nn.Module:
    """A few steps of a toy regression, resumed from `path` if it is there, and saved there."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.05, fused=fused)
    ema = Ema(model, 0.9)
    start = resume(path, model, optimizer, ema)
    for step in range(start, steps):
        x = torch.randn(5, 3, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        (model(x) - x.sum(1, keepdim=True)).square().mean().backward()
        optimizer.step()
        ema.update(model, step)
    save_state(path, model, optimizer, steps, ema.mean)
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


def test_a_training_without_a_state_goes_on_from_what_was_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "KEPT", tmp_path / "kept")
    run(tmp_path / "a.safetensors", 4)
    training.keep(tmp_path / "a.safetensors")
    averages = ema_weights(tmp_path / "a.safetensors")
    (tmp_path / "a.safetensors").unlink()
    assert ema_weights(tmp_path / "a.safetensors").keys() == averages.keys()
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    ema = Ema(model, 0.9)
    assert resume(tmp_path / "a.safetensors", model, torch.optim.AdamW(model.parameters()), ema) == 4
    for name, value in model.named_parameters():
        assert torch.allclose(value, averages[name], atol=1e-3)
        assert torch.equal(value, ema.mean[name])
    other = nn.Linear(3, 5)  # what was kept is of another network
    assert resume(tmp_path / "a.safetensors", other, torch.optim.AdamW(other.parameters()), Ema(other, 0.9)) == 0


def test_the_last_step_is_always_saved(capsys: pytest.CaptureFixture[str]) -> None:
    progress = LossLog(every=2, save_seconds=1e9)
    assert [progress.step(i, 3, float(i), 8) for i in (1, 2, 3)] == [False, False, True]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("step 2/3 loss 1.50000")
    assert lines[1].startswith("step 3/3 loss 3.00000")
