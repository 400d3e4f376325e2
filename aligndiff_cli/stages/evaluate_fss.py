"""Protocol ``fss``: do the synthetic samples help a few-shot segmenter? (paper D.4, Table 2, Figs. A1 and A2)"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.digest import file_digest, joint_digest
from aligndiff_cli.disk.support import PairFiles, SupportScan, scan_support
from aligndiff_cli.engine.folds import Place, places
from aligndiff_cli.engine.manifest import Record
from aligndiff_cli.engine.run_file import require_run
from aligndiff_cli.engine.stage import Item, Made, Plan, Stage, Summary
from aligndiff_cli.errors import FolderError, InputError, explained_by, first_few
from aligndiff_cli.evaluation import support_sets
from aligndiff_cli.evaluation.fss import ClassResult, Settings, choose_queries, evaluate_class, share_episodes
from aligndiff_cli.evaluation.fss_tables import fss_document, fss_report, fss_run
from aligndiff_cli.evaluation.support_sets import MaskFile, Row, table_rows
from aligndiff_cli.models.segmenters.description import SegmenterDescription
from aligndiff_cli.report.charts import bar_chart
from aligndiff_cli.stages.common import describe_chosen, load_chosen, named_backbone, segmenter_notes
from aligndiff_cli.stages.drawing import draw_unless_same
from aligndiff_cli.stages.names import matched, read_names
from aligndiff_cli.stages.options.evaluate import FssOptions
from aligndiff_cli.stages.results import read_parts, write_part, write_results
from aligndiff_cli.stages.samples import read_samples

if TYPE_CHECKING:
    from aligndiff_cli.models.segmenters import Segmenter

FILTERED = {"text": (support_sets.TEXT,), "all": (support_sets.INVERTED, support_sets.TEXT)}
"""Kinds of samples that D.4's test is put to, by the name of the choice; the paper's is "text"."""


@dataclass(frozen=True)
class Folders:
    """What one run of one fold reads.

    Attributes:
        support, query: pairs by class.
        samples: synthetic samples by class, each with its coarse and its refined mask.
        ood: the out-of-distribution classes.
        known: every class that has a folder, whether or not a pair in it can be used.
        settings: how its classes are evaluated.
        episodes: how many each class has, where there are any.
    """

    support: Mapping[str, Sequence[PairFiles]]
    query: Mapping[str, Sequence[PairFiles]]
    samples: Mapping[str, Sequence[support_sets.SampleFiles]]
    ood: Sequence[str]
    known: Set[str]
    settings: Settings
    episodes: Mapping[str, int]


class FssStage(Stage[FssOptions]):
    """support/ + query/ + masks/ -> results/, for every run of every fold."""

    unit = "queries"

    def __init__(self, options: FssOptions) -> None:
        super().__init__(options)
        self.notes = segmenter_notes(options)
        self._places = places(options.folds, options.runs)
        self._folders: dict[Place, Folders] = {}
        self._items: dict[str, tuple[Place, str]] = {}

    @cached_property
    def about(self) -> SegmenterDescription:
        """The few-shot segmenter, not loaded."""
        return describe_chosen(self.options)

    @cached_property
    def segmenter(self) -> Segmenter:
        """The few-shot segmenter, loaded when first needed."""
        return load_chosen(self.options)

    @property
    def rows(self) -> list[Row]:
        """What is compared: the rows of Table 2, or the real supports alone."""
        drawn = self.options.shots
        shots = {drawn or len(pairs) for folders in self._folders.values() for pairs in folders.support.values()}
        real = f"{shots.pop()}R" if len(shots) == 1 else "R"
        rows = table_rows(self.options.synthetic, real, FILTERED[self.options.filter])
        return rows if self.options.masks is not None else rows[:1]

    def verify(self) -> None:
        """Load the segmenter, which may refuse what is asked of it."""
        _ = self.segmenter

    def facts(self) -> dict[str, str]:
        """Which segmenter it came to be."""
        return {"segmenter": self.about.name}

    def models(self) -> dict[str, dict[str, str]]:
        """The segmenter."""
        about = {"source": self.about.name, "fingerprint": self.about.fingerprint}
        return {"segmenter": {**about, **named_backbone(self.options)}}

    def plan(self) -> Plan:
        """One item per place and class that has both support and query pairs, and an episode where these are counted.

        Raises:
            FolderError: no class of a place has both.
        """
        problems: list[InputError] = []
        groups: list[list[Item]] = []
        with explained_by(problems):
            self._folders = {place: self._open(place, problems) for place in self._places}
            if self.options.ood is not None:
                self._name_ood(self.options.ood)
        for place, folders in self._folders.items():
            for cls in sorted(folders.support):
                if self.options.episodes and not folders.episodes[cls]:
                    continue
                item_id = f"{place.id}/{cls}"
                parameters = {"fold": place.fold, "run": place.run}
                try:
                    inputs = _digests(folders, cls)
                except InputError as error:
                    problems.append(error)
                    continue
                self._items[item_id] = place, cls
                groups.append([Item(item_id, cls, inputs, parameters)])
        if not groups:
            raise FolderError(f"no class can be evaluated: {first_few(problems)}")
        return Plan(groups, list({str(problem): problem for problem in problems}.values()))

    def _name_ood(self, template: Path) -> None:
        """Fill in the out-of-distribution classes; a list may be of one place, or of several.

        Raises:
            FolderError: a list names a class that none of its places has.
        """
        sharing: dict[Path, list[Place]] = {}
        for place in self._places:
            sharing.setdefault(place.path(template), []).append(place)
        for path, those in sharing.items():
            known = {cls for place in those for cls in self._folders[place].known}
            ood = matched(read_names(path), known, path)
            for place in those:
                self._folders[place] = replace(self._folders[place], ood=ood)

    def _open(self, place: Place, problems: list[InputError]) -> Folders:
        """Find the classes of one place that have both support and query pairs."""
        o = self.options
        paths = place.path(o.support), place.path(o.query)
        known: set[str] = set()
        masks = None if o.support_masks is None else place.path(o.support_masks)
        scans = (
            scan_support(paths[0], masks, o.mask_orientation),
            scan_support(paths[1], orientation=o.mask_orientation),
        )
        support, query = (_by_class(scan, problems, known) for scan in scans)
        if not support.keys() & query.keys():
            raise FolderError(f"has no class in common with {paths[1]}", paths[0])
        for cls in sorted(support.keys() ^ query.keys()):
            where = paths[1] if cls in support else paths[0]
            problems.append(InputError(f"the class {cls!r} is not there, so it is not evaluated", where))
        both = support.keys() & query.keys()
        settings = Settings(o.seed + place.run, o.beta, o.queries, o.episodes, o.shots, o.compare_size)
        return Folders(
            {cls: support[cls] for cls in both},
            query,
            {} if o.masks is None else _samples(place.path(o.masks), problems),
            [],
            known,
            settings,
            share_episodes(both, o.episodes or 0, settings.seed),
        )

    def units(self, group: Sequence[Item]) -> int:
        """Query pictures, once per row."""
        total = 0
        for item in group:
            place, cls = self._items[item.id]
            folders = self._folders[place]
            queries = choose_queries(cls, folders.query[cls], folders.settings)
            total += folders.episodes[cls] if self.options.episodes else len(queries)
        return total * len(self.rows)

    def run(self, group: Sequence[Item], wanted: Set[str], advance: Callable[..., None]) -> Iterator[Made]:
        """Evaluate every row on one class."""
        for item in group:
            place, cls = self._items[item.id]
            folders = self._folders[place]
            result = evaluate_class(
                self.segmenter,
                cls,
                folders.support[cls],
                folders.query[cls],
                folders.samples.get(cls, []),
                self.rows,
                folders.settings,
                lambda units, note=item.id: advance(units, note),  # type: ignore[misc]
                folders.episodes.get(cls, 0),
            )
            name = write_part(self.out, item.id, result.to_json())
            measured = {row: part.counts.iou(cls) for row, part in result.rows.items()}
            yield Made(item, [name], measured, result.problems)

    def finish(self, records: Mapping[str, Record]) -> Summary:
        """Sum up; write the tables and the class-wise charts."""
        found: dict[Place, list[ClassResult]] = {}
        for item_id, part in read_parts(self.out, records.values()).items():
            if item_id in self._items:
                result = _renamed(ClassResult.from_json(part), self.rows)
                found.setdefault(self._items[item_id][0], []).append(result)
        if not found:
            return Summary([], [])
        document = fss_document([(place.fold, place.run, self._run(place, own)) for place, own in found.items()])
        blocks, charts = fss_report(document), self._charts(document)
        return write_results(self.out, "Few-shot segmentation", document, blocks, charts)

    def _run(self, place: Place, results: Sequence[ClassResult]) -> dict[str, Any]:
        folders = self._folders[place]
        return fss_run(results, self.rows, folders.settings, folders.ood)

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
            bars = list(differences), list(differences.values()), title
            draw_unless_same(self.out / path, bars, partial(bar_chart, *bars))
            charts.append((path, f"IoU by class: {title}"))
        return charts


def _renamed(result: ClassResult, rows: Sequence[Row]) -> ClassResult:
    """A result with the present names of its rows: 1R is R once a run with more real pairs has joined."""
    return replace(result, rows={row.name: part for row, part in zip(rows, result.rows.values(), strict=True)})


def _by_class(scan: SupportScan, problems: list[InputError], known: set[str]) -> dict[str, list[PairFiles]]:
    problems += scan.problems
    known |= scan.classes
    found: dict[str, list[PairFiles]] = {}
    for pair in scan.pairs:
        found.setdefault(pair.cls, []).append(pair)
    return found


def _samples(masks: Path, problems: list[InputError]) -> dict[str, list[support_sets.SampleFiles]]:
    threshold = require_run(masks, "mask", "--masks").options["attention_threshold"]
    found: dict[str, list[support_sets.SampleFiles]] = {}
    for sample in read_samples(masks, problems):
        if not sample.coarse.is_file():
            problems.append(InputError("there is no such file", sample.coarse, "Its sample is left out"))
            continue
        files = {"coarse": MaskFile(sample.coarse, threshold), "refined": MaskFile(sample.mask)}
        found.setdefault(sample.cls, []).append(support_sets.SampleFiles(sample.id, sample.kind, sample.image, files))
    return found


def _digests(folders: Folders, cls: str) -> dict[str, str]:
    """What the figures of a class depend on."""
    sets: dict[str, dict[str, str]] = {"set of support pairs": {}, "set of query pairs": {}}
    for name, pairs in zip(sets, (folders.support[cls], folders.query[cls]), strict=True):
        for pair in pairs:
            sets[name] |= {f"{pair.stem}": file_digest(pair.image), f"{pair.stem} (mask)": file_digest(pair.mask)}
    if folders.samples:
        files = [
            (f"{sample.id}/{name}", path)
            for sample in folders.samples.get(cls, [])
            for name, path in (("image", sample.image), *((n, m.path) for n, m in sample.masks.items()))
        ]
        sets["set of samples"] = {name: file_digest(path) for name, path in files}
    return {name: joint_digest(digests) for name, digests in sets.items()}
