"""Table 2 and Figs. A1 and A2: few-shot segmentation of Emoji-FSS's test classes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aligndiff_cli.disk.images import write_png
from aligndiff_cli.evaluation.gfss import spread
from aligndiff_cli.evaluation.metrics import mean
from aligndiff_cli.pocket.reproduce.claims import Claim, points
from aligndiff_cli.pocket.reproduce.published import FSS_CLAIMS, FSS_ROWS
from aligndiff_cli.report.charts import bar_chart
from aligndiff_cli.table import Table

PLACES = {
    "results": {"1R": 0, "coarse": 1, "smask": 2, "full": 3},
    "results-grounding": {"gd": 2},
    "results-tested": {"tested": 3},
    "results-real": {"real": 3},
    "results-21": {"21R": 0},
}
"""Results folder -> row of Table 2 -> which of the folder's rows that is."""


@dataclass(frozen=True)
class FssRow:
    """A row of Table 2 in one run.

    Attributes:
        overall, unseen: mIoU in [0, 1] over all classes, and over those that the pocket model has never seen.
        iou: by class.
    """

    overall: float
    unseen: float
    iou: Mapping[str, float]


FssRun = Mapping[str, FssRow]
"""By the names of `FSS_ROWS`."""


def fss_run(folder: Path) -> FssRun:
    """What was made of one run; empty if nothing."""
    rows: dict[str, FssRow] = {}
    for name, wanted in PLACES.items():
        path = folder / name / "metrics.json"
        if path.is_file():
            found: list[Any] = list(json.loads(path.read_text(encoding="utf-8"))["rows"].values())
            for key, place in wanted.items():
                row = found[place]
                rows[key] = FssRow(row["miou"]["mean"], row["ood_miou"]["mean"], row["iou"])
    return rows


def table_2(runs: Sequence[FssRun]) -> str:
    """The table, with a note."""
    harmed = _harmed(runs)
    lines = []
    for key, (words, published) in FSS_ROWS.items():
        found = [run[key] for run in runs if key in run]
        shown = [points(spread(_figures(row, harmed)[where] for row in found)) for where in ("all", "unseen", "harmed")]
        lines.append([words, published, *shown, str(len(found))])
    head = ["support set", "published overall / OOD", "overall", "never seen", "harmed by GD", "runs"]
    return (
        f"{Table(head, lines).markdown()}\n"
        "42 classes, of which the pocket model has never seen 22; 5 queries each; HSNet. The paper's OOD classes "
        f"are those that GD's samples harm (here {len(harmed)}, on average over runs). The grounding module (GD) was "
        "trained on fold 3's base scenes, which show 15 of the classes: if anything, that helps it.\n"
    )


def table_2_claims(runs: Sequence[FssRun]) -> list[Claim]:
    """The paper's claims on Table 2, and ours."""
    harmed = _harmed(runs)
    claims = []
    for words, better, worse, where, published in FSS_CLAIMS:
        both = [run for run in runs if better in run and worse in run]
        pairs = [[_figures(run[name], harmed)[where] for name in (better, worse)] for run in both]
        known = [(ours, theirs) for ours, theirs in pairs if ours is not None and theirs is not None]
        claims.append(Claim(f"FSS: {words}", [ours for ours, _ in known], [theirs for _, theirs in known], published))
    return claims


def bars(runs: Sequence[FssRun], out: Path) -> str:
    """Figs. A1 and A2: class-wise differences against the real pair alone, averaged over runs."""
    shown = ""
    for key, name, figure in (("gd", "text + GD", "A1"), ("full", "AlignDiff", "A2")):
        differences = _differences(runs, key)
        if not differences:
            continue
        ordered = sorted(differences.items(), key=lambda bar: (-bar[1], bar[0]))
        title = f"1R+20S {name}, against 1R (as Fig. {figure})"
        picture = bar_chart([cls for cls, _ in ordered], [value for _, value in ordered], title)
        write_png(out / f"fig-{figure.lower()}.png", picture)
        better = sum(value > 0 for value in differences.values())
        published = {"A1": "50 of 240", "A2": "178 of 240"}[figure]
        shown += f"\n{name}: {better} of {len(differences)} classes better (published: {published}).\n"
        shown += f"\n![Class-wise differences, {name}](fig-{figure.lower()}.png)\n"
    return shown


def _figures(row: FssRow, harmed: Sequence[str]) -> dict[str, float | None]:
    return {"all": row.overall, "unseen": row.unseen, "harmed": mean(row.iou[cls] for cls in harmed)}


def _harmed(runs: Sequence[FssRun]) -> list[str]:
    """The paper's OOD classes: negative bars of Fig. A1."""
    return [cls for cls, difference in _differences(runs, "gd").items() if difference < 0]


def _differences(runs: Sequence[FssRun], key: str) -> dict[str, float]:
    """By class, what a row has more than the real pair alone, averaged over the runs that have both."""
    having = [run for run in runs if key in run and "1R" in run]
    return {
        cls: value
        for cls in (having[0]["1R"].iou if having else ())
        if (value := mean(run[key].iou[cls] - run["1R"].iou[cls] for run in having)) is not None
    }
