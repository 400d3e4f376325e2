"""One of two processes that train together; leaves its weights in ``OUT/<name>-<rank>.safetensors``.

torchrun --nproc-per-node 2 -m tests.models.semantic.parallel_worker OUT BACKBONE
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch import Tensor, nn

from aligndiff_cli.models import training_state
from aligndiff_cli.models.parallel import Ranks, join_ranks
from aligndiff_cli.models.semantic.base_training import BaseSettings, train_base
from aligndiff_cli.models.training_state import save_tensors
from tests.models.semantic.test_base_training import model, pictures

SETTINGS = BaseSettings(epochs=2, batch=3, learning_rate=0.05, crop=(32, 48))
"""Three pictures a batch: two for the first process and one for the second."""


class Plain(nn.Module):
    """A network without batch statistics."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1))
        self.register_buffer("mean", torch.zeros(1))

    def forward(self, images: Tensor) -> Tensor:
        return self.net(images.float() / 255 - 0.5)


class StoppedError(Exception):
    """Stands for an interrupt in both processes."""


def train(net: nn.Module, folder: Path, ranks: Ranks, stop_after: int = 99) -> nn.Module:
    """Train, or stop after so many steps."""
    taken: list[int] = []

    def advance(steps: int) -> None:
        taken.append(steps)
        if sum(taken) == stop_after:
            raise StoppedError

    train_base(net, pictures(), SETTINGS, 3, folder, advance, ranks)  # type: ignore[arg-type]
    return net


def main(out: Path, backbone: Path) -> None:
    """Train a plain network, a DeepLab, and one that is interrupted and goes on."""
    ranks = join_ranks(torch.device("cpu"))
    assert ranks.agree(ranks.rank == 0)
    nets = {"plain": train(Plain(), out / "plain", ranks), "deeplab": train(model(backbone), out / "deeplab", ranks)}
    training_state.SAVE_SECONDS = -1.0
    try:
        train(model(backbone), out / "again", ranks, stop_after=2)
    except StoppedError:
        assert (out / "again" / "state.safetensors").is_file()
    nets["again"] = train(model(backbone), out / "again", ranks)
    for name, net in nets.items():
        save_tensors(out / f"{name}-{ranks.rank}.safetensors", net.state_dict())


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
