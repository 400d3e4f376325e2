"""Results of generalized few-shot segmentation as a JSON document and as tables.

The habits are those of :mod:`aligndiff_cli.evaluation.tables`. A figure of several runs is "mean ± standard deviation".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from aligndiff_cli.evaluation.gfss import (
    BACKGROUND,
    RunResult,
    Scores,
    by_fold,
    last,
    over_runs,
    over_steps,
)
from aligndiff_cli.evaluation.tables import DASH, SCHEMA, spread_percent
from aligndiff_cli.table import Block, Table

REPORTS: dict[str, tuple[str, Callable[[RunResult], Scores]]] = {
    "last": ("after the last step", last),
    "over_steps": ("mean over steps", over_steps),
}
"""Key in the document -> name in the table, scores of a run."""


def gfss_document(
    results: Sequence[RunResult], class_names: Mapping[int, str], settings: Mapping[str, Any]
) -> dict[str, Any]:
    """What there is to say of the runs of one row of Table 1.

    Args:
        results: all runs of all folds, in any order.
        class_names: name of each base and novel class; the background need not be named.
        settings: how it was done; plain data.

    Raises:
        ValueError: no run, a class without a name, a run that is there twice, or runs of a fold that differ in classes.
    """
    folds = by_fold(results)
    if not folds:
        raise ValueError("there is no run to report")
    ordered = [run for runs in folds.values() for run in runs]
    return {
        "schema": SCHEMA,
        "protocol": "gfss",
        "settings": dict(settings),
        "overall": _figures(ordered),
        "folds": [
            {
                "fold": fold,
                "runs": [run.run for run in runs],
                "base": sorted(runs[0].base),
                "novel": sorted(runs[0].novel),
                **_figures(runs),
            }
            for fold, runs in folds.items()
        ],
        "classes": _classes(ordered, class_names),
        "runs": [run.to_json() for run in ordered],
    }


def _figures(runs: Sequence[RunResult]) -> dict[str, Any]:
    """Base, novel and HM in both ways of reporting, each as a spread."""

    def figure(score: Callable[[RunResult], Scores], key: str) -> dict[str, Any]:
        return asdict(over_runs(runs, lambda run: getattr(score(run), key)))

    return {
        report: {key: figure(score, key) for key in ("base", "novel", "hm")} for report, (_, score) in REPORTS.items()
    }


def _classes(runs: Sequence[RunResult], names: Mapping[int, str]) -> list[dict[str, Any]]:
    """IoU of each class after the last step, first where it is base, then where it is novel.

    With several folds a class is novel in one and base in the others; the two are different figures.
    """
    parts: dict[str, Callable[[RunResult], set[int]]] = {
        "base": lambda run: {BACKGROUND, *run.base},
        "novel": lambda run: set(run.novel),
    }
    return [
        {"id": c, "name": _name(c, names), "part": part, "iou": _class_iou(c, [r for r in runs if c in members(r)])}
        for part, members in parts.items()
        for c in sorted(set().union(*(members(run) for run in runs)))
    ]


def _class_iou(class_id: int, runs: Sequence[RunResult]) -> dict[str, Any]:
    return asdict(over_runs(runs, lambda run: run.steps[-1].confusion.iou(class_id)))


def _name(class_id: int, names: Mapping[int, str]) -> str:
    if class_id in names:
        return names[class_id]
    if class_id == BACKGROUND:
        return "background"
    raise ValueError(f"class {class_id} has no name")


def gfss_report(document: Mapping[str, Any]) -> list[Block]:
    """The table of scores, that of classes, notes, and the support pictures where a run names any."""
    pictures = _support_table(document)
    return [_score_table(document), _class_table(document), _notes(document), *([pictures] if pictures.rows else [])]


def _score_table(document: Mapping[str, Any]) -> Table:
    folds = document["folds"]
    parts = [(f"fold {fold['fold']}, ", fold) for fold in folds] if len(folds) > 1 else []
    parts.append(("all folds, " if parts else "", document["overall"]))
    rows = [
        [f"{prefix}{name}", *(spread_percent(figures[report][key]) for key in ("base", "novel", "hm"))]
        for prefix, figures in parts
        for report, (name, _) in REPORTS.items()
    ]
    return Table(["mIoU", "base", "novel", "HM"], rows)


def _class_table(document: Mapping[str, Any]) -> Table:
    rows = [[row["name"], row["part"], spread_percent(row["iou"])] for row in document["classes"]]
    return Table(["class", "base / novel", "IoU"], rows)


def _support_table(document: Mapping[str, Any]) -> Table:
    """A row per fold and novel class, a column per run."""
    numbers = sorted({run["run"] for run in document["runs"]})
    rows = []
    for fold in document["folds"]:
        support = {run["run"]: run["support"] for run in document["runs"] if run["fold"] == fold["fold"]}
        for cls in sorted(set().union(*support.values())):
            stems = [", ".join(support.get(number, {}).get(cls, ())) or DASH for number in numbers]
            rows.append([cls, str(fold["fold"]) or DASH, *stems])
    return Table(["support pictures", "fold", *(f"run {n}" for n in numbers)], rows)


def _notes(document: Mapping[str, Any]) -> str:
    folds = document["folds"]
    names = ", ".join(str(fold["fold"]) for fold in folds)
    named = f"{'Folds' if len(folds) > 1 else 'Fold'} {names}, " if names else ""  # a single fold need not have a name
    lines = [
        f"{named}{_runs(folds)}.",
        "Base includes the background.",
        "Pixels of classes not yet seen are ignored.",
    ]
    if any(spread["sd"] is not None for fold in folds for spread in fold["last"].values()):
        lines.append("± is the standard deviation over the runs of a fold.")
        if len(folds) > 1:
            lines.append("All folds: the mean of the folds' figures, and of their deviations.")
    return " ".join(lines)


def _runs(folds: Sequence[Mapping[str, Any]]) -> str:
    sizes = [len(fold["runs"]) for fold in folds]
    fewest, most = min(sizes), max(sizes)
    count = str(most) if fewest == most else f"{fewest} to {most}"
    return f"{count} run{'' if most == 1 else 's'}{' each' if len(folds) > 1 else ''}"
