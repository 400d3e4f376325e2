"""The shape of the paper's tables on the pocket world: every command, resumable, then one page of results.

    python -m aligndiff_cli.pocket.reproduce [--runs 5] [--shots 1 5] [--per-class 100] [--jobs 2]

Settings were chosen on Emoji-5i's folds 0 to 2 and on validation classes; fold 3 and the test classes are reported.
Each line is an ordinary `aligndiff` command that keeps what is done, so the whole can be stopped and run again, and a
run with more runs goes on from one with fewer.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from aligndiff_cli.errors import AligndiffError
from aligndiff_cli.pocket.reproduce.commands import Reproduction
from aligndiff_cli.pocket.reproduce.running import Times, run_all
from aligndiff_cli.pocket.reproduce.tables import reproduction


def main() -> int:
    """Make everything, then the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("work/reproduce"), help="folder of all intermediate results")
    parser.add_argument("--out", type=Path, default=Path("results"), help="folder of reproduction.md and its pictures")
    parser.add_argument("--runs", type=int, default=5, help="runs per row (paper: 5)")
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5], help="real pairs per class")
    parser.add_argument("--per-class", type=int, default=100, help="synthetic samples per novel class (paper: 1000)")
    parser.add_argument("--jobs", type=int, default=2, help="commands at a time")
    parser.add_argument("--report-only", action="store_true", help="make the page of what is there, run nothing")
    o = parser.parse_args()
    plan = Reproduction(o.work, o.runs, tuple(o.shots), o.per_class)
    times = Times(o.work / "times.json")
    try:
        if not o.report_only:
            run_all(list(plan.steps()), o.runs, o.jobs, times)
    except AligndiffError as error:
        print(f"Error {error}\nRun the same command again to go on.", file=sys.stderr)
        return 1
    page = reproduction(o.work, o.out, o.runs, o.per_class, times.seconds)
    print(f"Results: {page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
