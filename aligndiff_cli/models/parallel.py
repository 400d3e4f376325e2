"""Data parallelism: a launcher's processes train one network together, each on its part of every batch.

The gradient is that of the whole batch. Batch-norm's statistics are of each process's own part (those of the first are
kept), so the weights depend on the number of processes, as they do wherever networks are trained like this.
"""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

TIMEOUT = timedelta(days=7)
"""How long the others wait for one, which may itself wait for another run to train the same."""


@dataclass(frozen=True)
class Ranks:
    """The processes that train together.

    Attributes:
        rank: number of this process, from 0.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    def part(self, batch: int) -> range:
        """Which samples of a batch this process learns from."""
        return range(self.rank, batch, self.count)

    def agree(self, decision: bool) -> bool:
        """What the first process has decided."""
        if self.count == 1:
            return decision
        told = [decision]
        distributed.broadcast_object_list(told, src=0)
        return told[0]

    def sum(self, value: Tensor) -> Tensor:
        """The sum of the values of all processes."""
        if self.count > 1:
            distributed.all_reduce(value)
        return value

    def wait(self) -> None:
        """Go on when all have come here."""
        if self.count > 1:
            distributed.barrier()

    def share(self, net: nn.Module) -> nn.Module:
        """The network, with its weights made those of the first process and its gradients averaged over all."""
        return DistributedDataParallel(net) if self.count > 1 else net


ALONE = Ranks()


def join_ranks(device: torch.device) -> Ranks:
    """Meet the launcher's other processes, once; they are found by the environment it sets."""
    if not distributed.is_initialized():
        if device.type == "cuda":
            torch.cuda.set_device(device)
        own_gpus = device.type == "cuda" and torch.cuda.device_count() >= int(os.environ["LOCAL_WORLD_SIZE"])
        distributed.init_process_group("nccl" if own_gpus else "gloo", timeout=TIMEOUT)
        atexit.register(distributed.destroy_process_group)
    return Ranks(distributed.get_rank(), distributed.get_world_size())
