"""Text-to-image diffusion models behind one narrow interface.

defaults.py    what a model folder says about itself (``aligndiff.json``), or its family
families.py    what is known of each family without loading torch
load.py        ``load_diffusion``: folder or hub id -> model
model.py       the interface, and what all families share (images, latents, sampling)
stable.py      Stable Diffusion 1.x, 2.x and XL: the only place that knows these families
stable3.py     Stable Diffusion 3 and 3.5; flux.py: Flux.1; flow.py: what both share
text.py        prompts -> token ids and the places of v* and class; the splice of v*
encoders.py    one text encoder, CLIP or T5, and the encoding of prompts by several
capture.py     cross-attention of the class tokens while the U-Net runs
joint_capture.py   the same where patches and text attend to one another
placement.py   which networks are on the device
compiling.py   torch.compile, with capture
schedulers.py  any diffusers scheduler by name
sampling.py    the sampling loop; its settings are in sampling_options.py
inversion.py   Eq. 3: image-mask pairs -> embeddings; its settings are in inversion_options.py
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aligndiff_cli.models.diffusion.defaults import ModelDefaults as ModelDefaults
    from aligndiff_cli.models.diffusion.inversion import Instance as Instance
    from aligndiff_cli.models.diffusion.inversion import Inversion as Inversion
    from aligndiff_cli.models.diffusion.inversion import LossRecord as LossRecord
    from aligndiff_cli.models.diffusion.inversion import invert as invert
    from aligndiff_cli.models.diffusion.inversion_options import InversionOptions as InversionOptions
    from aligndiff_cli.models.diffusion.load import load_diffusion as load_diffusion
    from aligndiff_cli.models.diffusion.model import DiffusionModel as DiffusionModel
    from aligndiff_cli.models.diffusion.sampling import sample as sample
    from aligndiff_cli.models.diffusion.sampling_options import SampleOptions as SampleOptions

_WHERE = {
    "DiffusionModel": "model",
    "Instance": "inversion",
    "Inversion": "inversion",
    "InversionOptions": "inversion_options",
    "LossRecord": "inversion",
    "ModelDefaults": "defaults",
    "SampleOptions": "sampling_options",
    "invert": "inversion",
    "load_diffusion": "load",
    "sample": "sampling",
}
__all__ = list(_WHERE)


def __getattr__(name: str) -> Any:
    """Import what is asked for: most of it loads torch, and a model's description need not."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
