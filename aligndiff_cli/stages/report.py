"""One page of a whole chain, from its folders alone (beyond the paper).

What is shown follows from the folders' records and files, and from nothing else: the same folders give the same bytes,
wherever they lie and whenever the page is made.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.disk.class_folders import listed
from aligndiff_cli.engine.stage import Summary
from aligndiff_cli.engine.workers import Progress
from aligndiff_cli.errors import AligndiffError, FolderError
from aligndiff_cli.report.chain_page import GENERATOR, ChainPage, Rows, chain_page
from aligndiff_cli.stages.options.report import ReportOptions
from aligndiff_cli.stages.reporting import pictures, tables
from aligndiff_cli.stages.reporting.chains import Chain, Work, find_work
from aligndiff_cli.stages.reporting.commands import command_line, missing
from aligndiff_cli.stages.reporting.pictures import Pictures
from aligndiff_cli.stages.reporting.rows import ChainRows

PAGE = "index.html"
STEPS = {
    "invert": "embeddings",
    "generate": "images",
    "mask": "masks",
    "compose": "scenes",
    "evaluate": "evaluations",
}
"""What the stages of a chain are counted in."""
TOLD = 10
"""Problems that are told one by one."""


@dataclass(frozen=True)
class Reported:
    """How it went.

    Attributes:
        page: the file.
        drawn, kept: pictures drawn now, and found drawn.
        problems: what is not on the page, and why.
    """

    page: Path
    drawn: int
    kept: int
    problems: Sequence[AligndiffError]
    summary: Summary


def make_report(options: ReportOptions, progress: Progress, *, force: bool = False) -> Reported:
    """Write the page of the chains below a folder, and the pictures beside it.

    Args:
        progress: told of each picture that is drawn.
        force: draw all pictures again.

    Raises:
        FolderError: there is nothing to show, or the page's folder holds something else.
    """
    out = options.page_folder
    check_own(out)
    work = find_work(options.work, out)
    shown = Pictures(out)
    problems: list[AligndiffError] = []
    chains = []
    for chain in work.chains:
        rows = ChainRows(chain, shown, options.per_class)
        chains.append(Rows(_heading(chain, work), rows.rows()))
        problems += rows.problems
    results = tables.results(work, shown, problems)
    sizes, drawn = shown.draw(progress, force=force)
    problems = [*work.problems, *problems, *shown.problems.values()]
    lacking = [found for chain in work.chains for found in missing(chain, work, work.name)]
    steps = _steps(work)
    classes = sorted({row.name for rows in chains for row in rows.rows})
    page = ChainPage(
        title=work.root.name,
        lead=_lead(classes, work),
        steps=steps,
        missing=lacking,
        notes=_told(problems, work),
        chains=[rows for rows in chains if rows.rows],
        results=results,
        stages=tables.stages(work),
        settings=[tables.settings(stage, work) for stage in work.folders],
        commands=[line for stage in work.folders if (line := command_line(stage, work.name))],
        where=f"as typed in {work.root.name}/",
    )
    write_text(out / PAGE, chain_page(page, sizes))
    return Reported(out / PAGE, drawn, len(sizes) - drawn, problems, _summary(work, chains))


def check_own(out: Path) -> None:
    """Refuse a folder that holds something else than a page of ours (FolderError)."""
    remedy = "Choose another folder with --out"
    if out.exists() and not out.is_dir():
        raise FolderError("is a file", out, remedy)
    names = [path.name for path in listed(out)] if out.is_dir() else []
    if other := [name for name in names if name not in (PAGE, pictures.FOLDER)]:
        raise FolderError(f"holds {other[0]!r}, so nothing is written there", out, remedy)
    if PAGE in names:
        with (out / PAGE).open(encoding="utf-8", errors="replace") as file:
            if GENERATOR not in file.read(2000):
                raise FolderError(f"holds an {PAGE} that is no page of `aligndiff report`", out, remedy)


def _heading(chain: Chain, work: Work) -> str:
    """Which chain it is, where there are several."""
    if len(work.chains) == 1:
        return "Classes"
    last = chain.masks or chain.synth or chain.bank
    path = last.path if last else chain.support
    return f"Classes of {work.name(path)}" if path else "Classes"


def _steps(work: Work) -> list[tuple[str, str]]:
    steps = []
    for command, unit in STEPS.items():
        own = [stage for stage in work.folders if stage.run.command.split()[0] == command]
        count = len(own) if command == "evaluate" else sum(len(stage.records) for stage in own)
        steps.append((f"{count:,}" if own else "", unit[:-1] if count == 1 else unit))
    return steps


def _lead(classes: Sequence[str], work: Work) -> str:
    """How many classes, and what drew them and their masks."""
    words = ["1 class" if len(classes) == 1 else f"{len(classes)} classes"]
    for command, model, verb in (("generate", "diffusion", "drawn by"), ("mask", "segmenter", "masks by")):
        models = [s.run.models.get(model, {}).get("source", "") for s in work.folders if s.run.command == command]
        if named := ", ".join(dict.fromkeys(filter(None, models))):
            words.append(f"{verb} {named}")
    return ", ".join(words)


def _told(problems: Sequence[AligndiffError], work: Work) -> list[str]:
    """The first problems, with their places as seen from the folder, and how many more there are."""
    notes = []
    for problem in problems[:TOLD]:
        where = "" if problem.where is None else f"{work.name(Path(os.path.realpath(problem.where)))}: "
        notes.append(f"{where}{problem.what}." + (f" {problem.remedy}." if problem.remedy else ""))
    return [*notes, f"{len(problems) - TOLD} more files cannot be shown."] if len(problems) > TOLD else notes


def _summary(work: Work, chains: Sequence[Rows]) -> Summary:
    """Folders and their items, and the first thing that is missing, as seen from here."""
    rows = [[work.name(s.path), s.run.command, str(len(s.records)) if s.records else "–"] for s in work.folders]

    def from_here(path: Path) -> str:
        return os.path.relpath(path)

    lacking = [line for chain in work.chains for _, line in missing(chain, work, from_here) if line]
    return Summary(["folder", "command", "items"], rows, [], lacking[0] if lacking else "")
