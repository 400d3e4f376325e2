"""What several stages need: versions, the model in use, drawing files of one kind of name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import TypeVar

import torch

import aligndiff_cli
from aligndiff_cli import __version__
from aligndiff_cli.disk.images import Orientation
from aligndiff_cli.errors import UsageError
from aligndiff_cli.models.diffusion.model import DiffusionModel
from aligndiff_cli.models.segmenters import Segmenter, load_segmenter

T = TypeVar("T")
NEEDED = ("torch", "diffusers", "transformers", "pillow", "numpy")


def versions() -> dict[str, str]:
    """Versions of this package and of what its figures depend on."""
    found = {"aligndiff": __version__}
    for name in NEEDED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def chunks(items: Iterable[T], size: int) -> Iterator[Sequence[T]]:
    """Consecutive runs of at most ``size`` items."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


POCKET = "pocket"
"""The name by which users and run files mean the bundled model, wherever it is installed."""
POCKET_FOLDER = Path(aligndiff_cli.__file__).parent / "pocket" / "model"
POCKET_NOTE = (
    "Using the bundled pocket model, which draws 64 x 64 emoji. For photographs pass --model, "
    "e.g. stable-diffusion-v1-5/stable-diffusion-v1-5, or set ALIGNDIFF_MODEL."
)
SEGMENTER_NOTE = (
    "Using the bundled segmenter, which knows emoji. For photographs pass --backbone, e.g. microsoft/resnet-50."
)
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def model_folder(name: str) -> str | Path:
    """Where to load a model from: the bundled folder for "pocket", else the name itself."""
    return POCKET_FOLDER if name == POCKET else name


def parse_dtype(name: str | None) -> torch.dtype | None:
    """A precision by name, None for what suits the device.

    Raises:
        UsageError: an unknown name.
    """
    if name is None:
        return None
    if name not in DTYPES:
        raise UsageError(f"--dtype: expected one of {', '.join(DTYPES)}, got {name!r}")
    return DTYPES[name]


def tiling(model: DiffusionModel, size: tuple[int, int]) -> dict[str, bool | None]:
    """What a run file tells about tiles at this (height, width), which change pixels a little; None for none."""
    return {"vae_tiling": model.tiles(*size) or None}


def oriented(orientation: Orientation) -> dict[str, str]:
    """What a run file tells about how masks lie on turned photographs, if that was said."""
    return {} if orientation == "auto" else {"mask_orientation": orientation}


@dataclass(frozen=True)
class SegmenterChoice:
    """Which few-shot segmenter to use; None leaves a part to the bundled one.

    Attributes:
        size: side in pixels of the square it looks at; 0 for each picture's own size.
        refine: whether SSP makes its second pass.
    """

    name: str | None
    weights: Path | None
    backbone: str | None
    size: int | None
    refine: bool = True

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user of the bundled segmenter should know."""
        return () if self.backbone or self.weights else (SEGMENTER_NOTE,)

    def load(self, device: str) -> Segmenter:
        """Load it."""
        return load_segmenter(
            self.name,
            weights=self.weights,
            backbone=self.backbone,
            size=self.size,
            refine=self.refine,
            device=device,
        )
