"""Two processes of a launcher train one network, over gloo."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from aligndiff_cli.models.parallel import ALONE, Ranks
from aligndiff_cli.models.semantic.base_training import batch_loss
from aligndiff_cli.models.training_state import load_tensors
from tests.models.semantic.parallel_worker import Plain, train

pytestmark = pytest.mark.slow


def test_the_parts_of_a_batch_are_all_of_it_once() -> None:
    assert [list(Ranks(rank, 3).part(7)) for rank in range(3)] == [[0, 3, 6], [1, 4], [2, 5]]
    assert list(ALONE.part(2)) == [0, 1]


def test_parts_of_a_loss_average_to_that_of_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    logits, labels = torch.randn(4, 3, 5, 7, generator=torch.Generator().manual_seed(0)), torch.zeros(4, 5, 7).long()
    labels[0], labels[1, :2], labels[3] = 255, 2, 1
    monkeypatch.setattr(Ranks, "sum", lambda self, value: (labels != 255).sum())
    parts = [batch_loss(logits[rank::2], labels[rank::2], Ranks(rank, 2)) for rank in range(2)]
    torch.testing.assert_close(sum(parts) / 2, batch_loss(logits, labels, ALONE))


def test_two_processes_learn_what_one_does_up_to_rounding_where_there_are_no_batch_statistics(
    tmp_path: Path, backbone: Path
) -> None:
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    done = subprocess.run(
        [*program, "tests.models.semantic.parallel_worker", str(tmp_path), str(backbone)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path.cwd())},
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    for name in ("plain", "deeplab", "again"):
        files = [tmp_path / f"{name}-{rank}.safetensors" for rank in range(2)]
        assert files[0].read_bytes() == files[1].read_bytes() == (tmp_path / name / "model.safetensors").read_bytes()
    assert (tmp_path / "again-0.safetensors").read_bytes() == (tmp_path / "deeplab-0.safetensors").read_bytes()

    alone = train(Plain(), tmp_path / "alone", ALONE).state_dict()
    together = load_tensors(tmp_path / "plain-0.safetensors")
    begun = Plain().state_dict()
    for key, value in alone.items():
        torch.testing.assert_close(together[key], value, rtol=1e-4, atol=1e-6)
        assert key == "mean" or not torch.allclose(value, begun[key], rtol=1e-3, atol=1e-5)
