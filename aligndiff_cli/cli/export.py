"""Write the synthetic images and their masks as they are, uncomposed ([bold]masks/ → a data set[/]).

Each image shows one object; a sample whose mask is empty is left out.

[dim]aligndiff export --masks masks/ --format hf --out dataset/[/]
"""

from __future__ import annotations

from aligndiff_cli.stages.options.export import ExportOptions

OPTIONS = ExportOptions
