"""The page of `make reproduce`: the paper's tables beside what was measured, each claim with a plain verdict."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path

from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.disk.images import write_png
from aligndiff_cli.evaluation.gfss import RunResult, Scores, last, spread
from aligndiff_cli.evaluation.metrics import mean
from aligndiff_cli.evaluation.tables import DASH, percent
from aligndiff_cli.pocket.reproduce.claims import Claim, points
from aligndiff_cli.pocket.reproduce.published import (
    FOLD_ROWS,
    LONG,
    LONG_ITERATIONS,
    OTHER_FOLDS,
    OTHER_FOLDS_EPOCHS,
    OTHER_FOLDS_SAMPLES,
    SAMPLE_COUNTS,
    TABLE_1,
    TABLE_A1,
)
from aligndiff_cli.pocket.reproduce.table_2 import bars, fss_run, table_2, table_2_claims
from aligndiff_cli.report.charts import Series, line_chart
from aligndiff_cli.table import Table


def reproduction(work: Path, out: Path, runs: int, per_class: int, seconds: Mapping[str, float]) -> Path:
    """Write reproduction.md and its pictures from what lies in the work folder; rows that are not there are dashes.

    Returns:
        The page.
    """
    parts = [HEAD.format(runs=runs, per_class=per_class)]
    claims: list[Claim] = []
    for shots in (1, 5):
        rows = {name: gfss_runs(work / "gfss" / str(shots) / "rows" / name) for name in TABLE_1[shots]}
        if any(rows.values()):
            parts.append(f"## Table 1: Emoji-5-3, {shots} shot{'s' * (shots > 1)}\n\n{_table_1(rows, shots)}")
            claims += _table_1_claims(rows, shots)
    ablation = {name: gfss_runs(work / "gfss/1/rows" / name) for name in TABLE_A1}
    if any(ablation.values()):
        parts.append(f"## Table A1: Emoji-5-3, 1 shot, GAPS\n\n{_table_a1(ablation)}")
        claims += _chain(ablation, [("layout helps", "gaps-gd", "gaps-plain", 17.0)])
        claims += _chain(ablation, [("S.Mask over GD", "gaps-smask", "gaps-gd", 1.6)])
        claims += _chain(ablation, [("T.Inv over text alone", "gaps-alignd", "gaps-smask", 3.1)])
    real = {name: gfss_runs(work / "gfss/1/rows" / name) for name in ("gaps-real", "gaps-alignd")}
    if real["gaps-real"]:
        novel = points(spread(map(_novel, real["gaps-real"].values())))
        parts.append(f"With inverted samples that start from their real pair (ours; GAPS, 1 shot): novel {novel}.\n")
        claims += _chain(real, [("a start from real pairs (ours) over from noise", "gaps-real", "gaps-alignd", None)])
    longer = {f"{name}-long": gfss_runs(work / f"gfss/1/rows/{name}-long") for name in LONG}
    if any(longer.values()):
        parts.append(f"## GAPS trained longer (not in the paper)\n\n{_table_longer(longer)}")
        words = f"AlignDiff over GAPS alone, {LONG_ITERATIONS} iterations, novel"
        claims += _chain(longer, [(words, "gaps-alignd-long", "gaps-long", 19.7)])
    noise = gfss_runs(work / "gfss/1/rows/gaps-noise")
    if noise:
        table = _table_a2(work, ablation["gaps-alignd"], noise, seconds)
        parts.append(f"## Table A2: masks, and what they cost\n\n{table}")
        claims += _chain({**ablation, "noise": noise}, [("S.Mask over noise learning", "gaps-alignd", "noise", 0.8)])
    curve = _curve(work, out, per_class)
    if curve:
        parts.append(f"## Fig. A12: samples per novel class\n\n{curve}")
    folds = _table_folds(work)
    if folds:
        parts.append(f"## Table 1 on the other folds, 1 shot, one run\n\n{folds}")
    fss = [found for run in range(runs) if (found := fss_run(work / "fss" / str(run)))]
    if fss:
        parts.append(f"## Table 2: Emoji-FSS test classes, 1 shot\n\n{table_2(fss)}{bars(fss, out)}")
        claims += table_2_claims(fss)
    head = ["claim", "published gain", "measured gain", "verdict"]
    verdicts = Table(head, [claim.row() for claim in claims if claim.better]).markdown()
    parts.insert(1, f"## The claims, one by one\n\n{verdicts}")
    write_text(out / "reproduction.md", "\n".join(parts))
    return out / "reproduction.md"


HEAD = """# The paper's tables on the pocket world

Made by `make reproduce` (at most {runs} runs; {per_class} synthetic samples per novel class unless said otherwise).
The world is emoji drawn by a toy model, so only the *order* of rows can be compared with the published figures, which
are for photographs with Stable Diffusion. Settings were chosen on Emoji-5i's folds 0 to 2 and on validation classes;
fold 3 and the test classes are reported. A gain is the mean difference of runs with the same few shots, ± its standard
deviation over runs; "within noise" is a gain smaller than that. Figures are IoU in percent.
"""


def gfss_runs(folder: Path) -> dict[int, RunResult]:
    """Run -> result of one row; empty where it was not made."""
    path = folder / "metrics.json"
    if not path.is_file():
        return {}
    document = json.loads(path.read_text(encoding="utf-8"))
    return {run.run: run for run in map(RunResult.from_json, document["runs"])}


def _table_1(rows: Mapping[str, Mapping[int, RunResult]], shots: int) -> str:
    lines = []
    for name, (words, published) in TABLE_1[shots].items():
        found = [last(run) for run in rows[name].values()]
        figures = [points(spread(getattr(scores, key) for scores in found)) for key in ("base", "novel", "hm")]
        lines.append([words, published, *figures, str(len(found))])
    return Table(["method", "published base / novel / HM", "base", "novel", "HM", "runs"], lines).markdown()


def _table_1_claims(rows: Mapping[str, Mapping[int, RunResult]], shots: int) -> list[Claim]:
    claims = []
    for method, other in product(("finetune", "gaps"), ("", "-gd")):
        better, worse = f"{method}-alignd", f"{method}{other}"
        published = [float(TABLE_1[shots][name][1].split(" / ")[1]) for name in (better, worse)]
        words = f"{TABLE_1[shots][better][0]} over {TABLE_1[shots][worse][0]}, {shots} shot{'s' * (shots > 1)}, novel"
        claims += _chain(rows, [(words, better, worse, round(published[0] - published[1], 1))])
    return claims


def _chain(
    rows: Mapping[str, Mapping[int, RunResult]], wanted: Sequence[tuple[str, str, str, float | None]]
) -> list[Claim]:
    """Claims on novel IoU after the last step, over the runs that both rows have."""
    claims = []
    for words, better, worse, published in wanted:
        common = sorted(rows[better].keys() & rows[worse].keys())
        ours, theirs = ([_novel(rows[name][run]) for run in common] for name in (better, worse))
        claims.append(Claim(words, ours, theirs, published))
    return claims


def _novel(run: RunResult) -> float:
    return last(run).novel or 0.0


def _table_a1(rows: Mapping[str, Mapping[int, RunResult]]) -> str:
    lines = [
        [words, published, points(spread(map(_novel, rows[name].values()))), str(len(rows[name]))]
        for name, (words, published) in TABLE_A1.items()
    ]
    return Table(["components", "published novel", "novel", "runs"], lines).markdown()


def _table_longer(rows: Mapping[str, Mapping[int, RunResult]]) -> str:
    lines = []
    for name, words in LONG.items():
        found = [last(run) for run in rows[f"{name}-long"].values()]
        figures = [points(spread(getattr(scores, key) for scores in found)) for key in ("base", "novel", "hm")]
        lines.append([words, *figures, str(len(found))])
    note = f"\nTable 1's rows after {LONG_ITERATIONS} iterations instead of 100: do samples give more than training?\n"
    return Table(["method", "base", "novel", "HM", "runs"], lines).markdown() + note


def _table_folds(work: Path) -> str:
    """Base and novel IoU of each fold's only run; fold 3's is its first, with the same seed."""
    places = {fold: work / "folds" / fold / "1/rows" for fold in OTHER_FOLDS} | {"3": work / "gfss/1/rows"}
    lines = []
    for name, words in FOLD_ROWS.items():
        runs = {fold: gfss_runs(rows / name).get(0) for fold, rows in places.items()}
        figures = [DASH if run is None else _base_novel(last(run)) for run in runs.values()]
        novel = [_novel(run) for run in runs.values() if run is not None]
        lines.append([words, *figures, points(spread(novel))])
    if all(figure == DASH for line in lines for figure in line[1 : 1 + len(OTHER_FOLDS)]):
        return ""
    note = (
        f"\nBase / novel. On folds 0 to 2, where settings were chosen, base models of {OTHER_FOLDS_EPOCHS} epochs and "
        f"{OTHER_FOLDS_SAMPLES} samples per class; fold 3 as in Table 1, its first run.\n"
    )
    return Table(["method", *(f"fold {fold}" for fold in places), "novel, over folds"], lines).markdown() + note


def _base_novel(scores: Scores) -> str:
    return f"{percent(scores.base)} / {percent(scores.novel)}"


def _table_a2(
    work: Path, ours: Mapping[int, RunResult], noise: Mapping[int, RunResult], seconds: Mapping[str, float]
) -> str:
    lines = []
    for words, folder, rows, published in (
        ("S.Mask (AlignDiff)", "masks", ours, "1.5 h / 41.5"),
        ("noise learning (DiffuMask)", "masks-noise", noise, "80 h / 40.7"),
    ):
        times = [s for run in ours if (s := seconds.get(str(work / "gfss/1" / str(run) / folder)))]
        per_run = f"{(mean(times) or 0) / 60:.1f} min" if times else DASH
        lines.append([words, published, per_run, points(spread(map(_novel, rows.values())))])
    note = (
        "\nWall-clock time for the masks of one run (five classes), loading included, beside other commands. "
        "The published gap in time is that of training a large network to the end per class; here noise learning "
        "trains a small one for 60 steps per part.\n"
    )
    return Table(["masks", "published", "time per run", "novel"], lines).markdown() + note


def _curve(work: Path, out: Path, per_class: int) -> str:
    found = []
    for count in SAMPLE_COUNTS:
        name = "gaps" if count == 0 else "gaps-alignd" if count == per_class else f"gaps-{count}"
        runs = gfss_runs(work / "gfss/1/rows" / name)
        if runs:
            found.append((count, spread(map(_novel, runs.values()))))
    if len(found) < 3:
        return ""
    values = [100 * (s.mean or 0) for _, s in found]
    series = Series("", [float(n) for n, _ in found], values, [100 * (s.sd or 0) for _, s in found])
    title = "Novel IoU against synthetic samples per class (1 shot, GAPS)"
    picture = line_chart([series], title, x_name="samples per class", y_name="novel IoU, %")
    write_png(out / "samples.png", picture)
    table = Table(["samples per class", "novel"], [[str(n), points(s)] for n, s in found]).markdown()
    return f"{table}\nThe paper's curve rises until about 500 samples.\n\n![Novel IoU against samples](samples.png)\n"
