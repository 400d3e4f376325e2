"""Write synthetic images and their masks, uncomposed, as a data set in another program's form."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.digest import joint_digest
from aligndiff_cli.engine.manifest import Record
from aligndiff_cli.engine.stage import Item, Made, Plan, Stage, Summary
from aligndiff_cli.errors import FolderError, InputError, first_few
from aligndiff_cli.labels import IGNORE
from aligndiff_cli.method.prompts import class_words
from aligndiff_cli.report.sheets import scene_sheet
from aligndiff_cli.stages.drawing import draw_unless_same
from aligndiff_cli.stages.formats import make_format, opening
from aligndiff_cli.stages.options.export import ExportOptions
from aligndiff_cli.stages.samples import Sample, read_samples

SHOWN = 12
"""Samples on the contact sheet."""
ABOUT = (
    "Pictures of single objects with their masks, both synthetic: a text-to-image model made them from a few real "
    "image-mask pairs and from class names with `aligndiff` (AlignDiff)."
)


class ExportStage(Stage[ExportOptions]):
    """masks/ -> a data set."""

    unit = "images"

    def __init__(self, options: ExportOptions) -> None:
        super().__init__(options)
        self._problems: list[InputError] = []
        self._format = make_format(options.format, options.out, options.min_area, options.val_share, options.license)

    def facts(self) -> dict[str, Any]:
        """The classes, whose order numbers them."""
        return {"classes": self.class_names}

    @cached_property
    def samples(self) -> dict[str, Sample]:
        """Stem -> sample, of all that have a mask.

        Raises:
            FolderError: there is none, or two would have one name.
        """
        found: dict[str, Sample] = {}
        for sample in read_samples(self.options.masks, self._problems):
            stem = sample.id.replace("/", "_")
            if stem in found:
                raise FolderError(
                    f"{found[stem].id!r} and {sample.id!r} would both be called {stem!r}",
                    self.options.masks,
                    "Rename one of the classes",
                )
            if sample.area > 0:
                found[stem] = sample
        if not found:
            why = f" ({first_few(self._problems)})" if self._problems else ""
            raise FolderError(f"every mask is empty, so there is nothing to export{why}", self.options.masks)
        return found

    @cached_property
    def class_names(self) -> list[str]:
        """Names of classes 1, 2, ..., in alphabetical order."""
        names = sorted({class_words(sample.cls) for sample in self.samples.values()})
        if len(names) >= IGNORE:
            raise FolderError(f"expected at most 254 classes, got {len(names)}", self.options.masks)
        return names

    def plan(self) -> Plan:
        """One item per sample."""
        groups = [
            [Item(stem, sample.cls, {sample.id: joint_digest(sample.digests)}, {"kind": sample.kind})]
            for stem, sample in self.samples.items()
        ]
        return Plan(groups, self._problems)

    def make(self, item: Item) -> Made:
        """Write one image and its labels."""
        sample = self.samples[item.id]
        image, mask = sample.load()
        number = self.class_names.index(class_words(item.cls)) + 1
        labels = mask.astype(np.uint8) * np.uint8(number)
        files, measured = self._format.write(item.id, image, labels, [(number, mask)])
        return Made(item, files, measured)

    def finish(self, records: Mapping[str, Record]) -> Summary:
        """Write the lists that make the folder a data set, and a contact sheet."""
        self._format.finish(records, self.class_names, ABOUT)
        path = self.out / layout.PICTURES / "samples.png"
        stems = sorted(records)
        shown = stems[:: max(1, len(stems) // SHOWN)][:SHOWN]
        of = [self.class_names, {stem: records[stem].outputs for stem in shown}]

        def draw() -> np.ndarray:
            return scene_sheet([self._format.read(stem) for stem in shown], self.class_names, "Samples")

        draw_unless_same(path, of, draw)
        classes = [record.cls for record in records.values()]
        rows = [[cls, str(classes.count(cls))] for cls in sorted(set(classes))]
        if self.options.format in ("coco", "yolo"):
            dropped = sum(record.measured["dropped"] for record in records.values())
            rows.append([f"dropped, under {self.options.min_area} pixels", str(dropped)])
        return Summary(["class", "images"], rows, [path], opening(self.options.format, self.out))
