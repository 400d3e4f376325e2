"""Devices by name: what is not there is said before anything is loaded."""

from __future__ import annotations

import pytest
import torch

from aligndiff_cli.errors import UsageError
from aligndiff_cli.models.device import pick_device


def test_auto_takes_the_first_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    for cuda, mps, expected in ((True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=cuda: there)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda there=mps: there)
        assert pick_device("auto") == torch.device(expected)


@pytest.mark.parametrize(("rank", "expected"), [("0", "cuda:0"), ("5", "cuda:1"), (None, "cuda")])
def test_a_launchers_processes_take_the_gpus_in_turn(
    monkeypatch: pytest.MonkeyPatch, rank: str | None, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch, "empty", lambda *size, device: None)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("LOCAL_RANK", rank)
    assert pick_device("auto") == pick_device("cuda") == torch.device(expected)
    assert pick_device("cuda:3") == torch.device("cuda:3")


@pytest.mark.parametrize("name", ["cuda:97", "no-such-device", "meta", "vulkan", "cuda:-1", ""])
def test_a_device_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(UsageError, match=f"'{name}' is not available"):
        pick_device(name)
