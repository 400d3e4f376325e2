"""Results as a JSON document and as Markdown.

A document holds counts and ratios unrounded, its keys in a fixed order; the tables are made from it alone, in
percent with one decimal. What is undefined is ``null`` in JSON and a dash in Markdown.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from aligndiff_cli.evaluation.fss import ClassResult, Settings, class_differences, miou
from aligndiff_cli.evaluation.masks import MatchedMasks
from aligndiff_cli.evaluation.metrics import Counts, total
from aligndiff_cli.evaluation.support_sets import Row

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


def markdown_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is aligned left, the others right."""
    lines = [columns, [":--"] + ["--:"] * (len(columns) - 1), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def scores(counts: Counts) -> dict[str, Any]:
    """The ratios of some counts: mIoU, FB-IoU, boundary IoU, all in [0, 1], and the number of images and classes."""
    return {
        "miou": counts.miou(),
        "fb_iou": counts.fb_iou(),
        "boundary_iou": counts.boundary_iou(),
        "images": sum(counts.images.values()),
        "classes": len(counts.images),
    }


# protocol masks


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


def masks_markdown(document: Mapping[str, Any]) -> str:
    """Overall figures, the per-class table, and what was not scored."""
    overall = document["overall"]
    head = markdown_table(
        ["masks", "mIoU", "FB-IoU", "boundary IoU", "images"],
        [["overall", *(percent(overall[key]) for key in ("miou", "fb_iou", "boundary_iou")), str(overall["images"])]],
    )
    classes = markdown_table(
        ["class", "IoU", "boundary IoU", "images"],
        [
            [cls, percent(row["iou"]), percent(row["boundary_iou"]), str(row["images"])]
            for cls, row in document["classes"].items()
        ],
    )
    notes = "".join(
        f"\nNot scored, {reason}: {len(document[key])}\n"
        for key, reason in (
            ("missing", "true masks without a prediction"),
            ("extra", "predictions without a true mask"),
            ("unusable", "pairs that cannot be used"),
        )
        if document[key]
    )
    return f"{head}\n{classes}{notes}"


# protocol fss


def fss_document(
    results: Sequence[ClassResult], rows: Sequence[Row], settings: Settings, ood: Collection[str] = ()
) -> dict[str, Any]:
    """What there is to say of the rows of Table 2.

    Args:
        results: one per class, in any order.
        rows: what was compared; the first one is the reference of all differences.
        settings: how.
        ood: the out-of-distribution classes; those that were not evaluated are left out.
    """
    results = sorted(results, key=lambda result: result.cls)
    present = [result.cls for result in results if result.cls in ood]
    return {
        "schema": SCHEMA,
        "protocol": "fss",
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
        "rows": {row.name: _row_document(results, row, rows[0].name, present) for row in rows},
        "classes": {result.cls: result.to_json()["rows"] for result in results},
    }


def _row_document(results: Sequence[ClassResult], row: Row, reference: str, ood: Sequence[str]) -> dict[str, Any]:
    mine = [result.rows[row.name] for result in results]
    differences = class_differences(results, row.name, reference)
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
        "improved": sum(difference > 0 for _, difference in differences),
        "harmed": sum(difference < 0 for _, difference in differences),
        "iou": {result.cls: result.rows[row.name].counts.iou(result.cls) for result in results},
        "differences": dict(differences),
    }


def fss_markdown(document: Mapping[str, Any]) -> str:
    """The table of rows, then the table of classes."""
    rows = document["rows"]
    reference = document["reference"]
    head = markdown_table(
        ["support set", "mIoU", "OOD mIoU", "FB-IoU", "boundary IoU", "samples used", "classes better / worse"],
        [
            [
                name,
                *(percent(row[key]) for key in ("miou", "ood_miou", "fb_iou", "boundary_iou")),
                f"{row['support']['used_per_class']:.1f}" if row["support"]["samples"] else "0",
                DASH if name == reference else f"{row['improved']} / {row['harmed']}",
            ]
            for name, row in rows.items()
        ],
    )
    others = [name for name in rows if name != reference]
    classes = markdown_table(
        ["class", reference, *others],
        [
            [
                f"{cls} (OOD)" if cls in document["ood_classes"] else cls,
                percent(rows[reference]["iou"][cls]),
                *(_with_difference(rows[name], cls) for name in others),
            ]
            for cls in document["classes"]
        ],
    )
    return f"{head}\n{_fss_notes(document)}\n{classes}"


def _with_difference(row: Mapping[str, Any], cls: str) -> str:
    difference = row["differences"].get(cls)
    return percent(row["iou"][cls]) + ("" if difference is None else f" ({percent(difference, signed=True)})")


def _fss_notes(document: Mapping[str, Any]) -> str:
    first = document["rows"][document["reference"]]
    settings = document["settings"]
    at = settings["compared_at"]
    size = f"{at} x {at} pixels" if isinstance(at, int) else at
    counted = "query pictures" if settings["episodes"] is None else "episodes"
    lines = [f"{first['classes']} classes, {first['images']} {counted}, masks compared at {size}."]
    if len(document["rows"]) > 1:
        filtered = [name for name, row in document["rows"].items() if row["support"]["filtered"]]
        kinds = {kind for row in document["rows"].values() for kind in row["support"]["filtered"]}
        what = "All" if "inverted" in kinds else "Plain"
        lines.append(f"{what} samples filtered with β = {settings['beta']} in: {'; '.join(filtered) or 'no row'}.")
    return " ".join(lines) + "\n"
