"""Results of few-shot segmentation as a JSON document and as tables (paper Table 2, Figs. A1 and A2).

The habits are those of :mod:`aligndiff_cli.evaluation.tables`. A figure is "mean ± standard deviation" over the runs of
a fold first, then over folds; of a single run it has no deviation.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from aligndiff_cli.evaluation.fss import ClassResult, Settings, class_differences, miou
from aligndiff_cli.evaluation.gfss import Spread, over_folds, spread
from aligndiff_cli.evaluation.metrics import mean, total
from aligndiff_cli.evaluation.support_sets import Row
from aligndiff_cli.evaluation.tables import DASH, SCHEMA, percent, scores, spread_percent
from aligndiff_cli.table import Block, Table

FIGURES = ("miou", "ood_miou", "fb_iou", "boundary_iou")

RunDocument = tuple[str, int, Mapping[str, Any]]
"""Fold, number of the run, and its document."""


def fss_run(
    results: Sequence[ClassResult], rows: Sequence[Row], settings: Settings, ood: Collection[str] = ()
) -> dict[str, Any]:
    """What there is to say of one run of the rows of Table 2.

    Args:
        results: one per class, in any order.
        rows: what was compared; the first one is the reference of all differences.
        settings: how.
        ood: the out-of-distribution classes; those that were not evaluated are left out.
    """
    results = sorted(results, key=lambda result: result.cls)
    present = [result.cls for result in results if result.cls in ood]
    return {
        "settings": {
            "seed": settings.seed,
            "beta": settings.beta,
            "queries": settings.queries,
            "episodes": settings.episodes,
            "shots": settings.shots,
            "compared_at": settings.side or "full resolution",
        },
        "reference": rows[0].name,
        "ood_classes": present,
        "rows": {row.name: _run_row(results, row, rows[0].name, present) for row in rows},
        "classes": {result.cls: result.to_json()["rows"] for result in results},
    }


def _run_row(results: Sequence[ClassResult], row: Row, reference: str, ood: Sequence[str]) -> dict[str, Any]:
    mine = [result.rows[row.name] for result in results]
    return {
        "support": {
            "samples": row.samples,
            "kinds": list(row.kinds),
            "masks": row.masks,
            "filtered": list(row.filtered),
            "used_per_class": sum(len(part.used) for part in mine) / len(mine) if mine else None,
            "rejected": sum(len(part.rejected) for part in mine),
            "empty": sum(part.empty for part in mine),
        },
        **scores(total(part.counts for part in mine)),
        "ood_miou": miou(results, row.name, ood),
        "iou": {result.cls: result.rows[row.name].counts.iou(result.cls) for result in results},
        "differences": dict(class_differences(results, row.name, reference)),
    }


def fss_document(runs: Sequence[RunDocument]) -> dict[str, Any]:
    """What there is to say of one or several runs, perhaps of several folds.

    Args:
        runs: at least one; all have the same rows. ``iou`` and ``differences`` are means of a class over the runs that
            have it, in [0, 1].
    """
    ordered = sorted(runs, key=lambda run: run[:2])
    first = ordered[0][2]
    return {
        "schema": SCHEMA,
        "protocol": "fss",
        "settings": first["settings"],
        "reference": first["reference"],
        "ood_classes": sorted({cls for _, _, document in ordered for cls in document["ood_classes"]}),
        "rows": {name: _row(ordered, name) for name in first["rows"]},
        "runs": [{"fold": fold, "run": number, **document} for fold, number, document in ordered],
    }


def _row(runs: Sequence[RunDocument], name: str) -> dict[str, Any]:
    rows = [document["rows"][name] for _, _, document in runs]
    differences = _class_means(rows, "differences")
    return {
        **{key: asdict(_over(runs, lambda d, key=key: d["rows"][name][key])) for key in FIGURES},  # type: ignore[misc]
        "samples": rows[0]["support"]["samples"],
        "filtered": rows[0]["support"]["filtered"],
        "used_per_class": mean(row["support"]["used_per_class"] for row in rows),
        "images": sum(row["images"] for row in rows),
        "improved": sum(difference > 0 for difference in differences.values()),
        "harmed": sum(difference < 0 for difference in differences.values()),
        "iou": _class_means(rows, "iou"),
        "differences": dict(sorted(differences.items(), key=lambda bar: (-bar[1], bar[0]))),
    }


def _class_means(rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, float]:
    classes = sorted(set().union(*(row[key] for row in rows)))
    means = {cls: mean(row[key].get(cls) for row in rows) for cls in classes}
    return {cls: value for cls, value in means.items() if value is not None}


def _over(runs: Sequence[RunDocument], figure: Callable[[Mapping[str, Any]], float | None]) -> Spread:
    folds: dict[str, list[float | None]] = {}
    for fold, _, document in runs:
        folds.setdefault(fold, []).append(figure(document))
    return over_folds(spread(values) for values in folds.values())


def fss_report(document: Mapping[str, Any]) -> list[Block]:
    """The table of rows, notes, then the table of classes."""
    rows, reference = document["rows"], document["reference"]
    head = Table(
        ["support set", "mIoU", "OOD mIoU", "FB-IoU", "boundary IoU", "samples used", "classes better / worse"],
        [
            [
                name,
                *(spread_percent(row[key]) for key in FIGURES),
                f"{row['used_per_class']:.1f}" if row["samples"] else "0",
                DASH if name == reference else f"{row['improved']} / {row['harmed']}",
            ]
            for name, row in rows.items()
        ],
    )
    others = [name for name in rows if name != reference]
    classes = Table(
        ["class", reference, *others],
        [
            [
                f"{cls} (OOD)" if cls in document["ood_classes"] else cls,
                percent(rows[reference]["iou"].get(cls)),
                *(_with_difference(rows[name], cls) for name in others),
            ]
            for cls in _classes(document)
        ],
    )
    return [head, _notes(document), classes]


def _classes(document: Mapping[str, Any]) -> list[str]:
    return sorted(set().union(*(run["classes"] for run in document["runs"])))


def _with_difference(row: Mapping[str, Any], cls: str) -> str:
    difference = row["differences"].get(cls)
    return percent(row["iou"].get(cls)) + ("" if difference is None else f" ({percent(difference, signed=True)})")


def _notes(document: Mapping[str, Any]) -> str:
    rows, settings, runs = document["rows"], document["settings"], document["runs"]
    folds = sorted({run["fold"] for run in runs})
    at = settings["compared_at"]
    size = f"{at} x {at} pixels" if isinstance(at, int) else at
    pictures = rows[document["reference"]]["images"]
    counted = "query pictures" if settings["episodes"] is None else "episodes"
    several = f" in {len(runs)} runs" + (f" of folds {', '.join(folds)}" if len(folds) > 1 else "")
    lines = [
        f"{len(_classes(document))} classes, {pictures} {counted}{several if len(runs) > 1 else ''}, "
        f"masks compared at {size}."
    ]
    if len(rows) > 1:
        filtered = [name for name, row in rows.items() if row["filtered"]]
        what = "All" if any("inverted" in row["filtered"] for row in rows.values()) else "Text"
        lines.append(f"{what} samples filtered with β = {settings['beta']} in: {'; '.join(filtered) or 'no row'}.")
    if len(runs) > 1:
        lines.append("± is the standard deviation over the runs of a fold.")
    return " ".join(lines)
