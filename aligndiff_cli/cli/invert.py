"""Learn an embedding v* for each image-mask pair ([bold]support/ → bank/[/]).

Normalized masked textual inversion (the paper's Eq. 3): only v* is trained, so that "a photo of a v* CLASS" draws
that object. Each embedding is one file that diffusers' load_textual_inversion reads as it is; for a model of
several text encoders it has a tensor for each (clip_l, clip_g, t5).

[dim]aligndiff invert --images support/ --out bank/[/]
"""

from __future__ import annotations

from aligndiff_cli.stages.options.invert import InvertOptions

OPTIONS = InvertOptions
