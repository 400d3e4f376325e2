"""What results have in common as JSON documents and as tables.

A document holds counts and ratios unrounded, its keys in a fixed order; the tables are made from it alone, in
percent with one decimal. What is undefined is ``null`` in JSON and a dash in a table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aligndiff_cli.evaluation.metrics import Counts

SCHEMA = 1
DASH = "–"


def to_text(document: Mapping[str, Any]) -> str:
    """A document as JSON text; equal documents give equal bytes."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def percent(value: float | None, signed: bool = False) -> str:
    """A ratio in percent with one decimal, a dash where it is undefined."""
    if value is None:
        return DASH
    return f"{100 * value:+.1f}" if signed else f"{100 * value:.1f}"


def spread_percent(figure: Mapping[str, Any]) -> str:
    """A spread as plain data, in percent, with its deviation where it has one."""
    text = percent(figure["mean"])
    return text if figure["sd"] is None else f"{text} ± {percent(figure['sd'])}"


def scores(counts: Counts) -> dict[str, Any]:
    """The ratios of some counts: mIoU, FB-IoU, boundary IoU, all in [0, 1], and the number of images and classes."""
    return {
        "miou": counts.miou(),
        "fb_iou": counts.fb_iou(),
        "boundary_iou": counts.boundary_iou(),
        "images": sum(counts.images.values()),
        "classes": len(counts.images),
    }
