"""What a page says in words and numbers: results, settings, the state of each folder."""

from __future__ import annotations

from typing import Any

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.regular import regular
from aligndiff_cli.engine.failures import read_failures
from aligndiff_cli.engine.manifest import contained
from aligndiff_cli.engine.options import options_of
from aligndiff_cli.engine.status import torn, unfinished
from aligndiff_cli.errors import AligndiffError, FolderError, InputError
from aligndiff_cli.report.chain_page import Result, Settings, Shot
from aligndiff_cli.stages.reporting.chains import StageFolder, Work
from aligndiff_cli.stages.reporting.commands import known_options
from aligndiff_cli.stages.reporting.pictures import Pictures
from aligndiff_cli.table import Block, Table, read_markdown


def results(work: Work, pictures: Pictures, problems: list[AligndiffError]) -> list[Result]:
    """The tables and charts of each results folder, as its table.md tells them."""
    found = []
    for stage in work.folders:
        path = stage.path / layout.TABLE
        if stage.run.command.startswith("evaluate ") and path.exists():
            try:
                found.append(_result(stage, regular(path).read_text(encoding="utf-8"), work, pictures))
            except AligndiffError as error:
                problems.append(error)
            except (OSError, UnicodeDecodeError) as error:
                problems.append(FolderError(f"cannot be read ({error})", path, "Run the evaluation again"))
    return found


def _result(stage: StageFolder, text: str, work: Work, pictures: Pictures) -> Result:
    heading, blocks, charts = stage.run.command, list[Block](), []
    for block in read_markdown(text):
        if isinstance(block, str) and block.startswith("# "):
            heading = block[2:]
        elif isinstance(block, str) and block.startswith("![") and block.endswith(")"):
            caption, _, name = block[2:-1].rpartition("](")
            charts.append(Shot(pictures.chart(contained(stage.path, name)), caption, caption))
        else:
            blocks.append(block)
    return Result(heading, f"{work.name(stage.path)}, by aligndiff {stage.run.command}", blocks, charts)


def stages(work: Work) -> Table:
    """Each folder: what made it, how much is in it, and what is to be said of it."""
    rows = []
    for stage in work.folders:
        remarks = [*unfinished(stage.path), *torn(stage.path)]
        for name in stage.run.inputs:
            source = stage.source(name)
            if source and "{" not in str(source) and not source.exists():
                remarks.append(f"{name} {work.name(source)} is not there any more")
        count = str(len(stage.records)) if stage.records else "–"
        rows.append([work.name(stage.path), stage.run.command, count, _skipped(stage, remarks), "; ".join(remarks)])
    return Table(["folder", "command", "items", "skipped", "remarks"], rows)


def _skipped(stage: StageFolder, remarks: list[str]) -> str:
    try:
        failures = read_failures(stage.path)
    except (AligndiffError, InputError) as error:
        remarks.append(error.what)
        return "–"
    remarks += [f"skipped: {failure}" for failure in failures[:2]]
    return str(len(failures))


def settings(stage: StageFolder, work: Work) -> Settings:
    """What the folder's run file tells."""
    run = stage.run
    options = known_options().get(run.command)
    defaults = {} if options is None else {option.name: option.default for option in options_of(options)}
    changed = {
        name for name, value in run.options.items() if defaults.get(name) is not None and defaults[name] != value
    }
    rows = [[name, _shown(value)] for name, value in sorted(run.options.items())]
    rows.append(["seed", str(run.seed)])
    tables = [Table(["option", "value"], rows)]
    if run.inputs:
        tables.append(Table(["input", "folder"], [[n, work.name(p)] for n in run.inputs if (p := stage.source(n))]))
    if run.models:
        lines = [[name, m.get("source", "–"), m.get("fingerprint", "–")] for name, m in sorted(run.models.items())]
        tables.append(Table(["model", "source", "fingerprint"], lines))
    tables.append(Table(["package", "version"], [[n, str(v)] for n, v in sorted(run.versions.items())]))
    return Settings(f"{work.name(stage.path)}: {run.command}", tables, frozenset(changed))


def _shown(value: Any) -> str:
    if value is None:
        return "–"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
