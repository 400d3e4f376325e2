"""Draw images of each class, with coarse masks from the cross-attention ([bold]bank/ → synth/[/]).

Half of the prompts carry an inverted embedding and half are plain by default (D.3). The coarse mask of an image is
the attention its pixels pay to the class's words, read in the same pass (Sec. 3.6).

With --prompts, prompts come from a YAML file: templates and a negative prompt for all classes, and for some under
"classes". A template with {v*} draws inverted pictures, and text ones with {v*} left out; one without it only these.

[dim]templates: ["a photo of a {v*} {class}", "a close-up of a {v*} {class}"][/]

[dim]negative: blurry, text[/]

[dim]classes: {chess_queen: {templates: ["a {v*} {class} on a board"]}}[/]

[dim]aligndiff generate --bank bank/ --out synth/ --per-class 1000[/]
"""

from __future__ import annotations

from aligndiff_cli.stages.options.generate import GenerateOptions

OPTIONS = GenerateOptions
