"""Text-to-image diffusion models behind one narrow interface.

defaults.py    what a model folder says about itself (``aligndiff.json``), or its family
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
sampling.py    the sampling loop
inversion.py   Eq. 3: image-mask pairs -> embeddings; its settings are in inversion_options.py
"""

from aligndiff_cli.models.diffusion.defaults import ModelDefaults
from aligndiff_cli.models.diffusion.inversion import Instance, Inversion, LossRecord, invert
from aligndiff_cli.models.diffusion.inversion_options import InversionOptions
from aligndiff_cli.models.diffusion.load import load_diffusion
from aligndiff_cli.models.diffusion.model import DiffusionModel
from aligndiff_cli.models.diffusion.sampling import SampleOptions, sample

__all__ = [
    "DiffusionModel",
    "Instance",
    "Inversion",
    "InversionOptions",
    "LossRecord",
    "ModelDefaults",
    "SampleOptions",
    "invert",
    "load_diffusion",
    "sample",
]
