"""torch.compile of the denoiser, so that its attention can still be read."""

from __future__ import annotations

from typing import Any

import torch
import torch._dynamo

from aligndiff_cli.models.diffusion.attention_dit import joint_layers
from aligndiff_cli.models.diffusion.attention_unet import cross_attention_levels

_TRACES = 64


def compile_denoiser(denoiser: Any, backend: str = "inductor") -> None:
    """Compile a U-Net or joint transformer in place.

    The layers whose attention can be read stay outside the compiled graphs, on the fused path they have anyway: capture
    exchanges their processors, and neither breaks nor recompiles anything.
    """
    names = cross_attention_levels(denoiser) if hasattr(denoiser, "down_blocks") else joint_layers(denoiser)
    for name in names:
        layer = denoiser.get_submodule(name)
        layer.forward = torch.compiler.disable(layer.forward)
    # Blocks of one class share their limit of traces, and a U-Net has more widths of them than the usual eight.
    config = torch._dynamo.config
    limit = "recompile_limit" if hasattr(config, "recompile_limit") else "cache_size_limit"
    setattr(config, limit, max(_TRACES, getattr(config, limit)))
    denoiser.compile(backend=backend)
