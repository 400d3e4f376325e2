"""Methods of generalized few-shot segmentation, by name; each is a small strategy of the one loop in ``novel.py``."""

from __future__ import annotations

from aligndiff_cli.models.semantic.methods.finetune import Finetune
from aligndiff_cli.models.semantic.methods.gaps import Gaps
from aligndiff_cli.models.semantic.methods.gfs import Gfs
from aligndiff_cli.models.semantic.methods.pifs import Pifs
from aligndiff_cli.models.semantic.novel import Method

METHODS: dict[str, type[Method]] = {method.name: method for method in (Finetune, Gaps, Pifs, Gfs)}
