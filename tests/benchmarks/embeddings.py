"""Which embedding makes the better supports? Emoji-FSS validation classes, 1R + 10 samples; prints a Markdown table.

    python tests/benchmarks/embeddings.py --work DIR [--runs 2] [--steps 60] [--queries 5]

Of the 16 classes the pocket model knows eight by name and has never seen the other eight (OOD). Each row inverts the
same real pairs in another way, draws ten pictures per class with the embedding alone, masks them by Algorithm 1 and
adds them to the real pair: once as D.4 has it, and once keeping only those that pass D.4's test. Every command keeps
what is done.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from aligndiff_cli.evaluation.gfss import spread
from aligndiff_cli.table import Table

NOUN = ("--template", "a photo of a {v*}")
WAYS: dict[str, tuple[str, ...]] = {
    "class name only": (),
    "textual inversion (noun, plain loss)": ("--loss", "plain", *NOUN),
    "adjective, plain loss": ("--loss", "plain"),
    "adjective, foreground only": ("--loss", "foreground"),
    "noun, Eq. 3": NOUN,
    "adjective, Eq. 3 (token)": (),
    "adjective, Eq. 3 (encoded)": ("--insertion", "encoded"),
    "adjective, Eq. 3, 150 steps": ("--steps", "150"),
}
TEXT, EQ_3 = "class name only", "adjective, Eq. 3 (token)"


def aligndiff(*arguments: object) -> None:
    """Run one command; it ends this program if it fails."""
    program = [sys.executable, "-m", "aligndiff_cli.cli.main", *map(str, arguments), "--quiet"]
    subprocess.run(program, check=True)


def measure(at: Path, run: int, way: str, steps: int, queries: int) -> list[tuple[float, float]]:
    """(overall, OOD) mIoU of the real pair alone, of all samples, and of those that pass the test."""
    data, seed = at / "data", ("--seed", run)
    support = ("--support", data / "support")
    if not (data / "run.yaml").is_file():
        aligndiff("prepare", "emoji-fss", "--split", "val", "--shots", 1, "--out", data, *seed)
    name = str(list(WAYS).index(way))
    bank = at / ("bank-" + str(list(WAYS).index(EQ_3)) if way == TEXT else "bank-" + name)
    flags = ["--steps", steps, *WAYS[way], "--instances", 16, "--preview", 0]
    aligndiff("invert", "--images", data / "support", "--out", bank, *flags, *seed)
    draw = ("--per-class", 10, "--inverted-share", int(way != TEXT), "--steps", 8, "--scheduler", "dpm++")
    aligndiff("generate", "--bank", bank, "--out", at / f"synth-{name}", *draw, *seed)
    aligndiff("mask", "--images", at / f"synth-{name}", *support, "--out", at / f"masks-{name}", *seed)
    scores = []
    for kinds in ("text", "all"):
        out = at / f"results-{name}-{kinds}"
        query = ("--query", data / "query", "--ood", data / "ood.txt", "--queries", queries)
        # without a filter on plain samples "text" is the row of all samples for them, too
        beta = ("--beta", 0 if (way, kinds) == (TEXT, "text") else 0.5)
        masks = ("--masks", at / f"masks-{name}", "--filter", kinds, "--synthetic", 20)
        aligndiff("evaluate", "fss", *support, *query, *masks, *beta, "--out", out, *seed)
        rows = list(json.loads((out / "metrics.json").read_text())["rows"].values())
        if not scores:
            scores.append((rows[0]["miou"]["mean"], rows[0]["ood_miou"]["mean"]))
        scores.append((rows[3]["miou"]["mean"], rows[3]["ood_miou"]["mean"]))
    return scores


def cells(values: Sequence[Sequence[tuple[float, float]]], column: int) -> list[str]:
    """Overall and OOD mean and standard deviation, in percent."""
    found = [spread(run[column][part] for run in values) for part in (0, 1)]
    return [f"{100 * (s.mean or 0):.1f}" + ("" if s.sd is None else f" ± {100 * s.sd:.1f}") for s in found]


def main() -> None:
    """Run all rows of all runs, then print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--queries", type=int, default=5)
    o = parser.parse_args()
    found: dict[str, list[list[tuple[float, float]]]] = {way: [] for way in WAYS}
    for run in range(o.runs):
        for way in WAYS:
            found[way].append(measure(o.work / str(run), run, way, o.steps, o.queries))
            print(f"run {run}, {way}: {found[way][-1]}", file=sys.stderr, flush=True)
    rows = [["the real pair alone", *cells(found[TEXT], 0), "", ""]]
    rows += [[f"+ {way}", *cells(runs, 1), *cells(runs, 2)] for way, runs in found.items()]
    head = [f"10 samples, {o.runs} runs", "all: overall", "all: OOD", "tested: overall", "tested: OOD"]
    print(Table(head, rows).markdown())


if __name__ == "__main__":
    main()
