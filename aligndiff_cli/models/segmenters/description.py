"""What is known of a few-shot segmenter from its files, without loading it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from aligndiff_cli.disk.digest import joint_digest
from aligndiff_cli.errors import ModelError
from aligndiff_cli.models.fingerprints import files_fingerprint, network_fingerprint
from aligndiff_cli.models.segmenters import HSNET_WEIGHTS, POCKET, default_size

MAX_SUPPORTS = 4
"""Accepted pairs that Algorithm 1 shows HSNet by default: each costs more than two passes of the backbone per query.

On the emoji of 14 classes, 4 of the 20 of highest agreement, chosen as ``method.consensus.Good`` does, made masks as
good as all 20 (-0.1 +- 0.1 points of IoU; 3, 5, 6 and 8: 0.0 to +0.1); the 4 of highest agreement lost 0.6 +- 0.3.
"""
PUBLISHED_SIZE = 400
"""Side of the images that HSNet's published weights were trained on (D.4)."""
STEM_PREFIX = "layer0."
"""How the names of weights begin in a checkpoint of SSP's authors, and in no other."""


@dataclass(frozen=True)
class SegmenterDescription:
    """A segmenter that is not loaded.

    Attributes:
        name: "hsnet", "ssp" or "prototype".
        fingerprint: equal for equal files, input size and kind.
    """

    name: str
    fingerprint: str

    @property
    def max_supports(self) -> int | None:
        """Most accepted pairs that Algorithm 1 shows it by default; None for all."""
        return MAX_SUPPORTS if self.name == "hsnet" else None


def describe_segmenter(
    name: str | None,
    *,
    weights: Path | None = None,
    backbone: str | Path | None = None,
    size: int | None = None,
    refine: bool = True,
) -> SegmenterDescription:
    """What `load_segmenter` would load; arguments as there.

    Raises:
        ModelError: weights or backbone are missing or unreadable.
    """
    kind = name or ("hsnet" if backbone is None else "ssp")
    side = default_size(backbone)
    parts = {}
    if weights is not None or kind == "hsnet":
        path = weights or HSNET_WEIGHTS
        kind, side = _trained(path)
        parts["weights"] = files_fingerprint([("weights", path)])
    if backbone is not None or weights is None:
        parts["backbone"] = network_fingerprint(backbone or POCKET)
    parts["refine"] = str(refine)
    # of the former kind: it tells networks apart, and folders made before know them by it
    digest = joint_digest(parts, former=True)
    return SegmenterDescription(kind, f"{kind}-{(side if size is None else size) or 'native'}-{digest}")


def _trained(path: Path) -> tuple[str, int]:
    """Which segmenter a file of weights is of, as far as its names tell, and the size it wants."""
    if not path.is_file():
        raise ModelError("the weights are missing", path, "Name a .safetensors, .pt or .pth file of weights.")
    about: Mapping[str, str] = {}
    try:
        with safe_open(path, framework="np") as file:
            names, about = list(file.keys()), file.metadata() or {}
    except (SafetensorError, OSError):
        from aligndiff_cli.models.segmenters.state_files import read_state

        names = list(read_state(path).tensors)  # an authors' file tells no names without being read
    if "depths" not in about and any(name.startswith(STEM_PREFIX) for name in names):
        return "ssp", 0
    return "hsnet", int(about.get("size", PUBLISHED_SIZE))
