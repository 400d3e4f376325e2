"""Weights of others, as training scripts save them."""

from __future__ import annotations

import argparse
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch

from aligndiff_cli.errors import ModelError
from aligndiff_cli.models.segmenters.state_files import read_state

STATE = OrderedDict({"module.a": torch.arange(3.0), "module.b": torch.ones(2, 2)})
NOTES = {"best_miou": np.float64(64.5), "epoch": np.int64(7), "done": np.bool_(True), "lr": 0.1, "name": "resnet50"}


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
@pytest.mark.parametrize("content", [{"state_dict": STATE, **NOTES}, {**STATE, **NOTES}], ids=["beside", "among"])
def test_notes_beside_the_weights_are_passed_over(tmp_path: Path, content: dict, legacy: bool) -> None:
    torch.save(content, tmp_path / "net.pth", _use_new_zipfile_serialization=not legacy)
    tensors = read_state(tmp_path / "net.pth").tensors
    assert list(tensors) == ["a", "b"]
    assert tensors["a"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "legacy"])
def test_what_is_not_read_is_named(tmp_path: Path, legacy: bool) -> None:
    content = {"state_dict": STATE, **NOTES, "args": argparse.Namespace(lr=0.1)}
    torch.save(content, tmp_path / "net.pth", _use_new_zipfile_serialization=not legacy)
    with pytest.raises(
        ModelError, match=r"holds objects that are not read, since reading them runs code: argparse\.Namespace"
    ):
        read_state(tmp_path / "net.pth")


def test_notes_alone_are_no_weights(tmp_path: Path) -> None:
    torch.save(NOTES, tmp_path / "net.pth")
    with pytest.raises(ModelError, match="holds no state dict"):
        read_state(tmp_path / "net.pth")
