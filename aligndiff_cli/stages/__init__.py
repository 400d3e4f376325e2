"""The pipeline, in file names: each stage has options (``stages/options/``) and a class that does the work."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from aligndiff_cli.engine.options import Options


def make_stage(options: Options) -> Any:
    """The stage that options are of, imported only now: it may take seconds.

    Raises:
        UsageError: the output folder is, holds or lies inside an input.
    """
    options.check_apart()
    module, name = options.stage.split(":")
    return getattr(import_module(module), name)(options)
