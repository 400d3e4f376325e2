"""Paste the objects onto base images ([bold]masks/ + base/ → scenes/[/]).

Copy-paste as the paper's D.2: a class-balanced memory of base images, 1 to 3 objects each, random scale and place,
no rotation, colour change or blending. The base image keeps its own labels around the objects.

[dim]aligndiff compose --foregrounds masks/ --base base/ --out scenes/[/]
"""

from __future__ import annotations

from aligndiff_cli.stages.options.compose import ComposeOptions

OPTIONS = ComposeOptions
