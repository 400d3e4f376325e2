"""Protocol ``masks``: how good the masks of one folder are, taken those of another for true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.digest import file_digest, joint_digest
from aligndiff_cli.engine.manifest import Record
from aligndiff_cli.engine.stage import Item, Made, Plan, Stage, Summary
from aligndiff_cli.errors import InputError
from aligndiff_cli.evaluation.masks import MatchedMasks, match_masks, score_masks
from aligndiff_cli.evaluation.masks_tables import masks_document, masks_report
from aligndiff_cli.evaluation.metrics import Counts, total
from aligndiff_cli.stages.options.evaluate import MasksOptions
from aligndiff_cli.stages.results import read_parts, write_part, write_results


class MasksStage(Stage[MasksOptions]):
    """Two mask folders -> results/."""

    unit = "masks"

    @cached_property
    def matched(self) -> MatchedMasks:
        """Which files are compared."""
        return match_masks(_masks_of(self.options.predictions), _masks_of(self.options.truth))

    def plan(self) -> Plan:
        """One item per class."""
        problems = [
            InputError("has no prediction", self.options.truth / f"{name}.png", "It is counted, and not scored")
            for name in self.matched.missing
        ]
        problems += self.matched.problems
        groups = []
        for cls, pairs in self.matched.classes.items():
            predicted = {pair.name: _digest(pair.prediction) for pair in pairs}
            true = {pair.name: _digest(pair.truth) for pair in pairs}
            inputs = {"set of predictions": joint_digest(predicted), "set of true masks": joint_digest(true)}
            groups.append([Item(cls, cls, inputs)])
        return Plan(groups, problems)

    def units(self, group: Sequence[Item]) -> int:
        """Masks."""
        return sum(len(self.matched.classes[item.cls]) for item in group)

    def make(self, item: Item) -> Made:
        """Count the overlaps of one class."""
        scored = score_masks(item.cls, self.matched.classes[item.cls], self.options.threshold)
        unusable = [str(problem) for problem in scored.problems]
        name = write_part(self.out, item.cls, {"counts": scored.counts.to_json(), "unusable": unusable})
        return Made(item, [name], {"iou": scored.counts.iou(item.cls)}, scored.problems)

    def finish(self, records: Mapping[str, Record]) -> Summary:
        """Sum up, and write the tables."""
        parts = read_parts(self.out, records.values())
        counts = total(Counts.from_json(part["counts"]) for part in parts.values())
        unusable = [reason for part in parts.values() for reason in part["unusable"]]
        document = masks_document(counts, self.matched, unusable)
        return write_results(self.out, "Mask quality", document, masks_report(document))


def _digest(path: Path) -> str:
    """Of a mask; one that cannot be read is named when it is to be scored."""
    try:
        return file_digest(path)
    except InputError:
        return "unreadable"


def _masks_of(folder: Path) -> Path:
    """The masks inside the output of `aligndiff mask`; any other folder as it is."""
    inside = folder / layout.MASKS
    return inside if (folder / layout.RUN).is_file() and inside.is_dir() else folder
