"""The quality of masks as a JSON document and as tables.

The habits are those of :mod:`aligndiff_cli.evaluation.tables`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aligndiff_cli.evaluation.masks import MatchedMasks
from aligndiff_cli.evaluation.metrics import Counts
from aligndiff_cli.evaluation.tables import SCHEMA, percent, scores
from aligndiff_cli.table import Block, Table

NOT_SCORED = {
    "missing": "true masks without a prediction",
    "extra": "predictions without a true mask",
    "unusable": "pairs that cannot be used",
}


def masks_document(counts: Counts, matched: MatchedMasks, unusable: Sequence[str]) -> dict[str, Any]:
    """What there is to say of two mask folders.

    Args:
        counts: the sum over all classes.
        matched: which files were compared, and which have no counterpart.
        unusable: pairs that could not be scored, each with the reason.
    """
    return {
        "schema": SCHEMA,
        "protocol": "masks",
        "overall": scores(counts),
        "classes": {
            cls: {
                "iou": counts.iou(cls),
                "boundary_iou": counts.boundary_iou([cls]),
                "images": counts.images[cls],
            }
            for cls in sorted(counts.images)
        },
        "missing": list(matched.missing),
        "extra": list(matched.extra),
        "unusable": list(unusable),
        "counts": counts.to_json(),
    }


def masks_report(document: Mapping[str, Any]) -> list[Block]:
    """Overall figures, the per-class table, and what was not scored."""
    overall = document["overall"]
    head = Table(
        ["masks", "mIoU", "FB-IoU", "boundary IoU", "images"],
        [["overall", *(percent(overall[key]) for key in ("miou", "fb_iou", "boundary_iou")), str(overall["images"])]],
    )
    classes = Table(
        ["class", "IoU", "boundary IoU", "images"],
        [
            [cls, percent(row["iou"]), percent(row["boundary_iou"]), str(row["images"])]
            for cls, row in document["classes"].items()
        ],
    )
    notes = [f"Not scored, {why}: {len(document[key])}" for key, why in NOT_SCORED.items() if document[key]]
    return [head, classes, *notes]
