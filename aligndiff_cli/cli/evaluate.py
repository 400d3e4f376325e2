"""``aligndiff evaluate masks``, ``fss`` and ``gfss``: do the masks, and the samples, help?"""

from __future__ import annotations

from aligndiff_cli.stages.options.evaluate import FssOptions, GfssOptions, MasksOptions

ABOUT = """Measure mask quality, or segmentation with and without the samples ([bold]→ results/[/]).

Each command writes metrics.json, table.md and report.html.
"""

MASKS = """Compare two folders of masks, class by class: mean IoU and what is missing.

[dim]aligndiff evaluate masks --predictions masks/masks/ --truth true-masks/ --out results/[/]
"""

FSS = """Few-shot segmentation with and without the samples (D.4, Table 2).

The segmenter is not trained: it is shown support pairs, and segments each query picture of their class. The rows are
those of Table 2: the real support alone (1R), with plain samples and their coarse masks, with plain samples and refined
masks, and with all.

[dim]aligndiff evaluate fss --support support/ --query query/ --masks masks/ --out results/[/]
"""

GFSS = """Base and novel classes in one pass: generalized few-shot segmentation (4.1, D.3, Table 1).

A DeepLab learns the base classes, then the novel ones by one of four methods, from the few shots alone or with the
samples; base and novel classes are then segmented in one pass.

[dim]aligndiff evaluate gfss --base base/ --support support/ --query query/ --out results/[/]
"""

COMMANDS = {"masks": (MasksOptions, MASKS), "fss": (FssOptions, FSS), "gfss": (GfssOptions, GFSS)}
