"""aligndiff: synthesize image-mask pairs of new classes for few-shot segmentation (AlignDiff).

What a notebook needs is here by name and loaded when it is first used; :mod:`aligndiff_cli.library` tells how.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from aligndiff_cli.errors import AligndiffError as AligndiffError
    from aligndiff_cli.library import compose as compose
    from aligndiff_cli.library import generate as generate
    from aligndiff_cli.library import invert as invert
    from aligndiff_cli.library import load_model as load_model
    from aligndiff_cli.library import load_segmenter as load_segmenter
    from aligndiff_cli.library import open_bank as open_bank
    from aligndiff_cli.library import open_masks as open_masks
    from aligndiff_cli.library import open_scenes as open_scenes
    from aligndiff_cli.library import refine as refine
    from aligndiff_cli.library import run as run

_WHERE = {
    "AligndiffError": "errors",
    "ComposeOptions": "stages.options.compose",
    "ExportOptions": "stages.options.export",
    "FssOptions": "stages.options.evaluate",
    "GenerateOptions": "stages.options.generate",
    "GfssOptions": "stages.options.evaluate",
    "InvertOptions": "stages.options.invert",
    "MaskOptions": "stages.options.mask",
    "MasksOptions": "stages.options.evaluate",
    "compose": "library",
    "generate": "library",
    "invert": "library",
    "load_model": "library",
    "load_segmenter": "library",
    "open_bank": "library",
    "open_masks": "library",
    "open_scenes": "library",
    "refine": "library",
    "run": "library",
}
__all__ = ["__version__", *_WHERE]


def __getattr__(name: str) -> Any:
    """Import what is asked for."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"aligndiff_cli.{_WHERE[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
