"""Pictures that show what was made, drawn again only where they would be others."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from aligndiff_cli import __version__
from aligndiff_cli.disk.digest import is_drawn_of, joint_digest, now_drawn_of
from aligndiff_cli.disk.images import write_png


def draw_unless_same(path: Path, of: Any, draw: Callable[[], np.ndarray]) -> None:
    """Draw a picture, unless it is there and was drawn of the same.

    Args:
        of: all that the picture depends on, as plain data; files by their digests.
        draw: gives the picture, uint8 (H, W, 3).
    """
    digest = joint_digest({"of": json.dumps(of, sort_keys=True, default=str), "version": __version__})
    if not is_drawn_of(path, digest):
        write_png(path, draw())
        now_drawn_of(path, digest)
