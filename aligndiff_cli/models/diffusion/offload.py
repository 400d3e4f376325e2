"""Where the networks are: all on the device, or there only while they work."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn


class DevicePlacement:
    """Brings networks to a device.

    Without ``offload`` all of them stay there. With it the device holds only what is at work, and the rest waits in
    main memory: slower by the copying, and for models larger than the device.
    """

    def __init__(self, networks: Sequence[nn.Module], device: torch.device, *, offload: bool) -> None:
        self._networks = networks
        self._device = device
        self._there: list[nn.Module] = []
        self.offload = offload
        if not offload:
            self._put(networks)

    def bring(self, *wanted: nn.Module) -> None:
        """Have these on the device, and with offloading no others."""
        if not self.offload or _same(self._there, wanted):
            return
        for network in self._there:
            if not any(network is other for other in wanted):
                network.to("cpu")
        self._put(wanted)

    def _put(self, networks: Sequence[nn.Module]) -> None:
        for network in networks:
            network.to(self._device)
        self._there = list(networks)


def _same(first: Sequence[nn.Module], second: Sequence[nn.Module]) -> bool:
    return len(first) == len(second) and all(a is b for a, b in zip(first, second, strict=True))
