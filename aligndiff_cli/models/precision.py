"""How the networks that look at pictures run on CUDA; on other devices nothing here changes anything.

Convolutions and products in half precision, in the layout that tensor cores read; what comes of it (cosines,
prototypes, losses) is summed in float32. Diffusion models have their own ``dtype`` and are no business of this module.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor, nn

FROZEN = torch.float16
"""Of networks that are only read: more digits, and what pretrained ones compute is within its range."""
TRAINED = torch.bfloat16
"""Of networks that are trained: the range of float32, so that gradients need no scaling."""

N = TypeVar("N", bound=nn.Module)


def placed(net: N, device: torch.device | str) -> N:
    """A network on its device; on CUDA with its channels last, and float32 products by TensorFloat-32 from now on."""
    net = net.to(device)
    if torch.device(device).type == "cuda":
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
    return net


def half(device: torch.device, dtype: torch.dtype) -> AbstractContextManager:
    """While open, a network's convolutions and products run in this precision, if the device is a GPU that has it."""
    if device.type != "cuda":
        return nullcontext()
    if dtype is torch.bfloat16 and not torch.cuda.is_bf16_supported(including_emulation=False):
        return nullcontext()
    return torch.autocast("cuda", dtype)


def single(x: Tensor) -> Tensor:
    """What a network made (N, C, h, w), in float32 and in the usual layout."""
    return x.float().contiguous()
