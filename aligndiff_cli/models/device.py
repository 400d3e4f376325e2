"""Which device the networks run on."""

from __future__ import annotations

import os

import torch

from aligndiff_cli.errors import UsageError

KINDS = ("cpu", "cuda", "mps")


def pick_device(name: str) -> torch.device:
    """``"auto"`` (CUDA, then MPS, then CPU) or the name of a device that is there.

    Where a launcher started several processes on this machine, "auto" and "cuda" give each its own GPU by LOCAL_RANK.

    Raises:
        UsageError: there is no such device.
    """
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
    rank, count = os.environ.get("LOCAL_RANK", ""), torch.cuda.device_count()
    return torch.device("cuda", int(rank) % count) if rank.isdecimal() and count else torch.device("cuda")
