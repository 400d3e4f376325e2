"""Which device the networks run on."""

from __future__ import annotations

import torch

from aligndiff_cli.errors import UsageError


def pick_device(name: str) -> torch.device:
    """``"auto"`` (CUDA, then MPS, then CPU) or the name of a device that is there.

    Raises:
        UsageError: there is no such device.
    """
    if name == "auto":
        cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
        return torch.device("cuda" if cuda else "mps" if mps else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(f"the device {name!r} is not available", remedy="Use auto or cpu") from error
    return device
