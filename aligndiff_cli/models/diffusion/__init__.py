"""Text-to-image diffusion models behind one narrow interface.

defaults.py    what a model folder says about itself (``aligndiff.json``)
load.py        ``load_diffusion``: folder or hub id -> model
model.py       the interface, and what all families share (images, latents, sampling)
stable.py      Stable Diffusion 1.x, 2.x and XL: the only place that knows these families
text.py        prompts -> token ids and the places of v* and class; the splice of v*
capture.py     cross-attention of the class tokens while the U-Net runs
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
