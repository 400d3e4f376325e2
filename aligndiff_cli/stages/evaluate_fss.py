"""Protocol ``fss``: do the synthetic samples help a few-shot segmenter? (paper D.4, Table 2, Figs. A1 and A2)"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.digest import file_digest, joint_digest
from aligndiff_cli.disk.images import write_png
from aligndiff_cli.disk.manifest import Record
from aligndiff_cli.disk.run_file import RunFile, read_run, relative_to_folder
from aligndiff_cli.disk.support import Pair, scan_support
from aligndiff_cli.errors import FolderError, InputError, UsageError
from aligndiff_cli.evaluation import support_sets
from aligndiff_cli.evaluation.fss import ClassResult, Settings, choose_queries, evaluate_class
from aligndiff_cli.evaluation.support_sets import MaskFile, Row, table_rows
from aligndiff_cli.evaluation.tables import fss_document, fss_markdown
from aligndiff_cli.models.segmenters import Segmenter
from aligndiff_cli.report.charts import bar_chart
from aligndiff_cli.stages.common import SegmenterChoice, versions
from aligndiff_cli.stages.results import markdown_rows, read_parts, write_part, write_results
from aligndiff_cli.stages.runner import Item, Made, Plan, Summary
from aligndiff_cli.stages.samples import read_samples

FILTERED = {"text": (support_sets.TEXT,), "all": (support_sets.INVERTED, support_sets.TEXT)}
"""Kinds of samples that D.4's test is put to, by the name of the choice; the paper's is "text"."""


@dataclass(frozen=True)
class FssOptions:
    """What `aligndiff evaluate --protocol fss` was asked for."""

    support: Path
    query: Path
    masks: Path | None
    out: Path
    synthetic: int
    beta: float
    filter: str
    queries: int | None
    compare_size: int | None
    ood: Path | None
    segmenter: SegmenterChoice
    device: str
    seed: int


class FssStage:
    """support/ + query/ + masks/ -> results/."""

    unit = "queries"

    def __init__(self, options: FssOptions) -> None:
        if options.filter not in FILTERED:
            raise UsageError(f"--filter: expected one of {', '.join(FILTERED)}, got {options.filter!r}")
        self.options = options
        self.out = options.out
        self.notes = options.segmenter.notes
        self._support: dict[str, list[Pair]] = {}
        self._query: dict[str, list[Pair]] = {}
        self._settings = Settings(options.seed, options.beta, options.queries, options.compare_size)

    @cached_property
    def segmenter(self) -> Segmenter:
        """The few-shot segmenter, loaded when first needed."""
        return self.options.segmenter.load(self.options.device)

    @cached_property
    def ood(self) -> list[str]:
        """The out-of-distribution classes.

        Raises:
            InputError: the list cannot be read.
        """
        if self.options.ood is None:
            return []
        try:
            return [line.strip() for line in self.options.ood.read_text(encoding="utf-8").splitlines() if line.strip()]
        except (OSError, UnicodeDecodeError) as error:
            raise InputError("cannot be read as a list of class names", self.options.ood) from error

    @cached_property
    def samples(self) -> dict[str, list[support_sets.Sample]]:
        """The synthetic samples by class, each with its coarse and its refined mask."""
        if self.options.masks is None:
            return {}
        run = read_run(self.options.masks)
        threshold = run.options["attention_threshold"] if run and run.command == "mask" else None
        found: dict[str, list[support_sets.Sample]] = {}
        for sample in read_samples(self.options.masks):
            masks = {"coarse": MaskFile(sample.coarse, threshold), "refined": MaskFile(sample.mask)}
            found.setdefault(sample.cls, []).append(support_sets.Sample(sample.id, sample.kind, sample.image, masks))
        return found

    @property
    def rows(self) -> list[Row]:
        """What is compared: the rows of Table 2, or the real supports alone."""
        shots = {len(pairs) for pairs in self._support.values()}
        real = f"{shots.pop()}R" if len(shots) == 1 else "R"
        rows = table_rows(self.options.synthetic, real, FILTERED[self.options.filter])
        return rows if self.options.masks is not None else rows[:1]

    def describe(self) -> RunFile:
        """How this run evaluates."""
        o = self.options
        inputs = {"support": o.support, "query": o.query} | ({"masks": o.masks} if o.masks else {})
        options = {"protocol": "fss", "synthetic": o.synthetic, "beta": o.beta, "filter": o.filter}
        return RunFile(
            "evaluate",
            {**options, "queries": o.queries, "compare_size": o.compare_size},
            o.seed,
            {name: relative_to_folder(path, o.out) for name, path in inputs.items()},
            {"segmenter": {"source": self.segmenter.name, "fingerprint": self.segmenter.fingerprint}},
            versions(),
        )

    def plan(self) -> Plan:
        """One item per class that has both support and query pairs.

        Raises:
            FolderError: no class has both.
        """
        problems: list[InputError] = []
        self._support.clear()
        self._query.clear()
        for folder, pairs in ((self.options.support, self._support), (self.options.query, self._query)):
            scan = scan_support(folder)
            problems += scan.problems
            for pair in scan.pairs:
                pairs.setdefault(pair.cls, []).append(pair)
        both = sorted(self._support.keys() & self._query.keys())
        if not both:
            raise FolderError(f"has no class in common with {self.options.query}", self.options.support)
        for cls in sorted(self._support.keys() ^ self._query.keys()):
            where = self.options.query if cls in self._support else self.options.support
            problems.append(InputError(f"the class {cls!r} is not there, so it is not evaluated", where))
        return Plan([[Item(cls, cls, self._inputs(cls))] for cls in both], problems)

    def _inputs(self, cls: str) -> dict[str, str]:
        sets: dict[str, dict[str, str]] = {"set of support pairs": {}, "set of query pairs": {}}
        for name, pairs in zip(sets, (self._support[cls], self._query[cls]), strict=True):
            for pair in pairs:
                sets[name] |= {f"{pair.stem}": file_digest(pair.image), f"{pair.stem} (mask)": file_digest(pair.mask)}
        if self.options.masks is not None:
            files = [
                (f"{sample.id}/{name}", path)
                for sample in self.samples.get(cls, [])
                for name, path in (("image", sample.image), *((n, m.path) for n, m in sample.masks.items()))
            ]
            sets["set of samples"] = {name: file_digest(path) for name, path in files}
        return {name: joint_digest(digests) for name, digests in sets.items()}

    def units(self, group: Sequence[Item]) -> int:
        """Query pictures, once per row."""
        return sum(len(choose_queries(i.cls, self._query[i.cls], self._settings)) for i in group) * len(self.rows)

    def run(self, group: Sequence[Item], wanted: Set[str], advance: Callable[..., None]) -> Iterator[Made]:
        """Evaluate every row on one class."""
        for item in group:
            cls = item.cls
            result = evaluate_class(
                self.segmenter,
                cls,
                self._support[cls],
                self._query[cls],
                self.samples.get(cls, []),
                self.rows,
                self._settings,
                lambda units, cls=cls: advance(units, cls),  # type: ignore[misc]
            )
            name = write_part(self.out, cls, result.to_json())
            measured = {row: part.counts.iou(cls) for row, part in result.rows.items()}
            yield Made(item, [name], measured, result.problems)

    def finish(self, records: Mapping[str, Record]) -> Summary:
        """Sum up; write the tables and the class-wise charts."""
        results = [ClassResult.from_json(part) for part in read_parts(self.out, records.values()).values()]
        if not results:
            return Summary([], [])
        document = fss_document(results, self.rows, self._settings, self.ood)
        markdown = fss_markdown(document)
        pictures = self._charts(document)
        write_results(self.out, "Few-shot segmentation", document, markdown, pictures)
        head, *rows = markdown_rows(markdown)
        return Summary(head, rows, [self.out / layout.REPORT, *(self.out / name for name, _ in pictures)])

    def _charts(self, document: Mapping[str, Any]) -> list[tuple[str, str]]:
        """One chart per row: by how much each class gains or loses against the real supports alone."""
        reference = document["reference"]
        charts = []
        for number, (name, row) in enumerate(document["rows"].items()):
            if name == reference or not row["differences"]:
                continue
            title = f"{name}, against {reference}"
            differences = row["differences"]
            path = f"{layout.PICTURES}/difference-{number}.png"
            write_png(self.out / path, bar_chart(list(differences), list(differences.values()), title))
            charts.append((path, f"IoU by class: {title}"))
        return charts
