"""Which device the networks run on."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from aligndiff_cli.errors import UsageError

if TYPE_CHECKING:
    import torch

KINDS = ("cpu", "cuda", "mps")
GPU_FILES = ("nvidia*", "nvmap", "dxg", "kfd")
"""In /dev on Linux, where there is a GPU for torch: NVIDIA's, its small boards', under Windows, AMD's."""


def surely_cpu(name: str) -> bool:
    """Whether a device is the CPU, as far as that is known without loading torch."""
    if name == "cpu":
        return True
    if name != "auto" or sys.platform != "linux" or "torch" in sys.modules:
        return False
    return not any(any(Path("/dev").glob(pattern)) for pattern in GPU_FILES)


def pick_device(name: str) -> torch.device:
    """``"auto"`` (CUDA, then MPS, then CPU) or the name of a device that is there.

    Where a launcher started several processes on this machine, "auto" and "cuda" give each its own GPU by LOCAL_RANK.

    Raises:
        UsageError: there is no such device.
    """
    import torch

    if name == "auto":
        cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
        return own_gpu() if cuda else torch.device("mps" if mps else "cpu")
    try:
        device = own_gpu() if name == "cuda" else torch.device(name)
        if device.type not in KINDS:  # torch knows others, such as "meta", which computes nothing
            raise RuntimeError
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"the device {name!r} is not available", remedy="Use auto or cpu") from error
    return device


def own_gpu() -> torch.device:
    """The GPU of this process: "cuda" alone; one of those that are there, in turn, among a launcher's processes."""
    import torch

    rank, count = os.environ.get("LOCAL_RANK", ""), torch.cuda.device_count()
    return torch.device("cuda", int(rank) % count) if rank.isdecimal() and count else torch.device("cuda")


def to_device(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A CPU tensor on a device; a GPU gets it without the CPU waiting for the work that is queued there."""
    return pinned(tensor, device).to(device, non_blocking=device.type == "cuda")


def pinned(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """A tensor that CUDA can fetch by itself, itself if it is one; the same one for other devices."""
    import torch

    if device.type != "cuda":
        return tensor
    with torch.cuda.device(device):  # a new thread is at the first GPU, whichever is ours
        return tensor.pin_memory()
