from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from aligndiff_cli.errors import FolderError, ModelError
from aligndiff_cli.models.training_state import Checkpoints, load_state, load_tensors, save_state, save_tensors

Optimizer = Callable[[nn.Module], torch.optim.Optimizer]
OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": lambda net: torch.optim.SGD(net.parameters(), 0.1, 0.9, weight_decay=1e-2),
    "adam": lambda net: torch.optim.Adam(net.parameters(), 0.01),
}


def small(width: int = 4) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, width, 3), nn.BatchNorm2d(width), nn.ReLU(), nn.Conv2d(width, 2, 1))


def go(net: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
    for step in steps:
        x = torch.randn(2, 3, 5, 7, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()


def state(net: nn.Module) -> dict[str, bytes]:
    return {key: value.numpy().tobytes() for key, value in net.state_dict().items()}


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("killed", [1, 3])
def test_a_resumed_training_is_the_uninterrupted_one(name: str, killed: int, tmp_path: Path) -> None:
    whole = small()
    go(whole, OPTIMIZERS[name](whole), range(6))

    path = tmp_path / "state.safetensors"
    first = small()
    optimizer = OPTIMIZERS[name](first)
    assert load_state(path, first, optimizer) == 0
    go(first, optimizer, range(killed))
    save_state(path, first, optimizer, killed)
    go(first, optimizer, range(killed, 5))  # lost with the process

    again = small()
    optimizer = OPTIMIZERS[name](again)
    assert load_state(path, again, optimizer) == killed
    go(again, optimizer, range(killed, 6))
    assert state(again) == state(whole)
    # the moments matter: without them the end is another
    forgetful = small()
    load_state(path, forgetful, OPTIMIZERS[name](forgetful))
    go(forgetful, OPTIMIZERS[name](forgetful), range(killed, 6))
    assert state(forgetful) != state(whole)


def test_equal_states_are_equal_bytes(tmp_path: Path) -> None:
    for name in "ab":
        net = small()
        optimizer = OPTIMIZERS["adam"](net)
        go(net, optimizer, range(2))
        save_state(tmp_path / name, net, optimizer, 2)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize("keep", [0, 5, 200])
def test_a_damaged_file_is_named(keep: int, tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    net = small()
    save_state(path, net, OPTIMIZERS["sgd"](net), 1)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FolderError, match=r"state\.safetensors.*cannot be read.*Remove the file"):
        load_state(path, net, OPTIMIZERS["sgd"](net))


def test_another_network_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    wide = small(6)
    optimizer = OPTIMIZERS["sgd"](wide)
    go(wide, optimizer, range(1))
    save_state(path, wide, optimizer, 1)
    net = small()
    with pytest.raises(FolderError, match="another network"):
        load_state(path, net, OPTIMIZERS["sgd"](net))
    save_tensors(path, {"model/x": torch.zeros(2)}, {"step": "1"})
    with pytest.raises(FolderError, match="another network"):
        load_state(path, net, OPTIMIZERS["sgd"](net))


def test_tensors_come_back_as_they_were(tmp_path: Path) -> None:
    shared = torch.arange(6.0).view(2, 3)
    tensors = {"a": shared, "turned": shared.T, "half": torch.ones(1, dtype=torch.float16), "count": torch.tensor(3)}
    save_tensors(tmp_path / "x", tensors)
    found = load_tensors(tmp_path / "x")
    assert found.keys() == tensors.keys()
    for key, value in tensors.items():
        assert found[key].dtype == value.dtype
        assert torch.equal(found[key], value)


def test_a_training_that_diverged_keeps_nothing(tmp_path: Path) -> None:
    net = small()
    optimizer = OPTIMIZERS["sgd"](net)
    save_state(tmp_path / "state.safetensors", net, optimizer, 1)
    checkpoints = Checkpoints(tmp_path / "w.safetensors", net, optimizer)
    with torch.no_grad():
        next(net.parameters())[0] = float("nan")
    with pytest.raises(ModelError, match="the training diverged"):
        checkpoints.finish()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("key", ["adam/0/a/b", "adam/x/momentum_buffer", "model/more"])
def test_a_state_that_is_none_is_named(tmp_path: Path, key: str) -> None:
    net = small()
    optimizer = OPTIMIZERS["sgd"](net)
    save_state(tmp_path / "s", net, optimizer, 1)
    save_tensors(tmp_path / "s", load_tensors(tmp_path / "s") | {key: torch.zeros(1)}, {"step": "1"})
    with pytest.raises(FolderError, match="holds the training of another network"):
        load_state(tmp_path / "s", net, optimizer)
