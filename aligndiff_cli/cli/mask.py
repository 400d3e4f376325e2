"""Refine the coarse masks ([bold]synth/ + support/ → masks/[/]).

Semi-supervised mask generation (the paper's Algorithm 1): the segmenter, shown the real pairs, predicts each
synthetic image; where it agrees with the coarse mask the pair joins the good ones; shown all the good ones, it
predicts the rest. Nothing is trained. --segmenter also names the baselines the paper compares it with.

[dim]aligndiff mask --images synth/ --support support/ --out masks/[/]

[dim]aligndiff mask --images synth/ --segmenter grounding --base base/ --out masks-gd/[/]
"""

from __future__ import annotations

from aligndiff_cli.stages.options.mask import MaskOptions

OPTIONS = MaskOptions
