"""Several runs of protocol ``fss``, perhaps of several folds, as one JSON document and as Markdown.

Each run has a document of its own (:func:`aligndiff_cli.evaluation.tables.fss_document`); here their figures become
"mean ± standard deviation", over the runs of a fold first, then over folds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from aligndiff_cli.evaluation.gfss import Spread, over_folds, spread
from aligndiff_cli.evaluation.metrics import mean
from aligndiff_cli.evaluation.tables import DASH, SCHEMA, markdown_table, percent, spread_percent

FIGURES = ("miou", "ood_miou", "fb_iou", "boundary_iou")

RunDocument = tuple[str, int, Mapping[str, Any]]
"""Fold, number of the run, and its document."""


def fss_runs_document(runs: Sequence[RunDocument]) -> dict[str, Any]:
    """What there is to say of several runs of the rows of Table 2.

    Args:
        runs: at least one; all have the same rows. ``differences`` are class-wise means over the runs that have the
            class, in points of [0, 1].
    """
    ordered = sorted(runs, key=lambda run: run[:2])
    first = ordered[0][2]
    return {
        "schema": SCHEMA,
        "protocol": "fss",
        "settings": first["settings"],
        "reference": first["reference"],
        "rows": {name: _row(ordered, name) for name in first["rows"]},
        "runs": [{"fold": fold, "run": number, **document} for fold, number, document in ordered],
    }


def _row(runs: Sequence[RunDocument], name: str) -> dict[str, Any]:
    rows = [document["rows"][name] for _, _, document in runs]
    found = [
        (cls, difference)
        for cls in sorted(set().union(*(row["differences"] for row in rows)))
        if (difference := mean(row["differences"].get(cls) for row in rows)) is not None
    ]
    return {
        **{key: asdict(_over(runs, lambda d, key=key: d["rows"][name][key])) for key in FIGURES},  # type: ignore[misc]
        "samples": rows[0]["support"]["samples"],
        "used_per_class": mean(row["support"]["used_per_class"] for row in rows),
        "improved": sum(difference > 0 for _, difference in found),
        "harmed": sum(difference < 0 for _, difference in found),
        "differences": dict(sorted(found, key=lambda bar: (-bar[1], bar[0]))),
    }


def _over(runs: Sequence[RunDocument], figure: Callable[[Mapping[str, Any]], float | None]) -> Spread:
    folds: dict[str, list[float | None]] = {}
    for fold, _, document in runs:
        folds.setdefault(fold, []).append(figure(document))
    return over_folds(spread(values) for values in folds.values())


def fss_runs_markdown(document: Mapping[str, Any]) -> str:
    """The table of rows, notes, and the class-wise differences."""
    reference = document["reference"]
    head = markdown_table(
        ["support set", "mIoU", "OOD mIoU", "FB-IoU", "boundary IoU", "samples used", "classes better / worse"],
        [
            [
                name,
                *(spread_percent(row[key]) for key in FIGURES),
                f"{row['used_per_class']:.1f}" if row["samples"] else "0",
                DASH if name == reference else f"{row['improved']} / {row['harmed']}",
            ]
            for name, row in document["rows"].items()
        ],
    )
    others = [name for name in document["rows"] if name != reference]
    classes = sorted(set().union(*(run["classes"] for run in document["runs"])))
    table = markdown_table(
        [f"class, against {reference}", *others],
        [[cls, *(percent(document["rows"][name]["differences"].get(cls), True) for name in others)] for cls in classes],
    )
    return f"{head}\n{_notes(document)}" + (f"\n{table}" if others else "")


def _notes(document: Mapping[str, Any]) -> str:
    folds = sorted({run["fold"] for run in document["runs"]})
    pictures = sum(run["rows"][document["reference"]]["images"] for run in document["runs"])
    named = f"Folds {', '.join(folds)}; " if len(folds) > 1 else ""
    counted = "query pictures" if document["settings"]["episodes"] is None else "episodes"
    lines = [f"{named}{len(document['runs'])} runs, {pictures} {counted} in all."]
    lines.append("± is the standard deviation over the runs of a fold.")
    return " ".join(lines) + "\n"
