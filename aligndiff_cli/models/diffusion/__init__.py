"""Text-to-image diffusion models behind one narrow interface.

defaults.py    what a model folder says about itself (``aligndiff.json``); loads no torch
load.py        ``load_diffusion``: folder or hub id -> model
model.py       the interface, and what all families share (images, latents, sampling)
stable.py      Stable Diffusion 1.x and 2.x: the only place that knows this family
text.py        prompts -> token ids and the places of v* and class; the splice of v*
capture.py     cross-attention of the class tokens while the U-Net runs
schedulers.py  any diffusers scheduler by name
sampling.py    the sampling loop
inversion.py   Eq. 3: image-mask pairs -> embeddings; its settings are in inversion_options.py
"""
