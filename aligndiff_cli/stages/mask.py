"""Refine the coarse masks of synthetic images: semi-supervised mask generation (paper 3.6, Algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.digest import file_digest, joint_digest
from aligndiff_cli.disk.images import read_image, read_soft, write_png
from aligndiff_cli.disk.lazy import Lazy
from aligndiff_cli.disk.manifest import Record, contained, read_records
from aligndiff_cli.disk.run_file import RunFile, relative_to_folder, require_run
from aligndiff_cli.disk.support import Pair, load_pair, load_usable, scan_support
from aligndiff_cli.errors import FolderError, InputError, UsageError
from aligndiff_cli.method.consensus import Refined, refine
from aligndiff_cli.models.segmenters import Segmenter
from aligndiff_cli.report.sheets import mask_sheet
from aligndiff_cli.stages.common import SegmenterChoice, versions
from aligndiff_cli.stages.runner import Item, Made, Plan, Summary, options_dict

KEEP = ("coarse", "prediction")
SHOWN = 8
"""Images of each kind on an overlay sheet."""


@dataclass(frozen=True)
class MaskOptions:
    """What `aligndiff mask` was asked for; None leaves a setting to the segmenter."""

    images: Path
    support: Path
    support_masks: Path | None
    out: Path
    segmenter: SegmenterChoice
    consensus_iou: float
    keep: str
    attention_threshold: float | None
    max_supports: int
    device: str
    seed: int


class MaskStage:
    """synth/ + support/ -> masks/masks/<class>/<id>.png."""

    unit = "images"

    def __init__(self, options: MaskOptions) -> None:
        if options.keep not in KEEP:
            raise UsageError(f"--keep: expected one of {', '.join(KEEP)}, got {options.keep!r}")
        self.options = options
        self.out = options.out
        self.notes = options.segmenter.notes
        made = require_run(options.images, "generate", "--images")
        asked = options.attention_threshold
        self._threshold = float(made.options["mask_threshold"]) if asked is None else asked
        self._real: dict[str, list[Pair]] = {}
        self._class_inputs: dict[str, dict[str, str]] = {}

    @cached_property
    def segmenter(self) -> Segmenter:
        """The few-shot segmenter, loaded when first needed."""
        return self.options.segmenter.load(self.options.device)

    def describe(self) -> RunFile:
        """How this run will refine its masks."""
        o = self.options
        skip = ("images", "support", "support_masks", "out", "segmenter", "device", "seed")
        return RunFile(
            "mask",
            options_dict(o, without=skip) | {"attention_threshold": self._threshold},
            o.seed,
            {"images": relative_to_folder(o.images, o.out), "support": relative_to_folder(o.support, o.out)},
            {"segmenter": {"source": self.segmenter.name, "fingerprint": self.segmenter.fingerprint}},
            versions(),
        )

    def plan(self) -> Plan:
        """One group per class: Algorithm 1 pools all images of a class, whatever prompt they came from.

        Raises:
            FolderError: there is no synthetic image.
        """
        records = read_records(self.options.images)
        if not records:
            raise FolderError("holds no image", self.options.images, "Run `aligndiff generate` to its end first")
        problems = self._load_support()
        groups = []
        for cls in sorted({record.cls for record in records.values()}):
            own = sorted((record for record in records.values() if record.cls == cls), key=lambda record: record.id)
            if cls in self._real:
                groups.append(self._group(cls, own))
            else:
                what = f"the class {cls!r} has synthetic images but no usable support pair"
                problems.append(InputError(what, self.options.support, "Add an image with its mask"))
        return Plan(groups, problems)

    def _load_support(self) -> list[InputError]:
        """Keep the pairs that can be used; return what cannot."""
        scan = scan_support(self.options.support, self.options.support_masks)
        problems = list(scan.problems)
        for pair, _ in load_usable(scan.pairs, problems):
            self._real.setdefault(pair.cls, []).append(pair)
        return problems

    def _group(self, cls: str, records: Sequence[Record]) -> list[Item]:
        """The items of a class. What one mask becomes depends on all images of its class, and on its real pairs."""
        files = {record.id: self._files(record.id) for record in records}
        images = {item_id: joint_digest({n: file_digest(p) for n, p in own.items()}) for item_id, own in files.items()}
        real = {
            f"{p.cls}/{p.stem}": joint_digest({"image": file_digest(p.image), "mask": file_digest(p.mask)})
            for p in self._real[cls]
        }
        pooled = {"set of images of its class": joint_digest(images), "set of support pairs": joint_digest(real)}
        return [Item(item_id, cls, {"image and coarse mask": digest, **pooled}) for item_id, digest in images.items()]

    def _files(self, item_id: str) -> dict[str, Path]:
        return {
            kind: contained(self.options.images, f"{kind}/{item_id}.png") for kind in (layout.IMAGES, layout.COARSE)
        }

    def units(self, group: Sequence[Item]) -> int:
        """Images."""
        return len(group)

    def run(self, group: Sequence[Item], wanted: Set[str], advance: Callable[..., None]) -> Iterator[Made]:
        """Algorithm 1 over the images of one class."""
        o = self.options
        real = [load_pair(pair) for pair in self._real[group[0].cls]]
        images = Lazy([item.id for item in group], lambda item_id: read_image(self._files(item_id)[layout.IMAGES]))
        coarse = Lazy([item.id for item in group], self._coarse)
        results = refine(
            self.segmenter,
            real,
            images,
            coarse,
            alpha=o.consensus_iou,
            keep=o.keep,  # type: ignore[arg-type]  # checked above
            max_supports=o.max_supports,
        )
        for index, result in results:
            if group[index].id in wanted:
                yield self._write(group[index], result)
            advance(1, group[index].cls)

    def _coarse(self, item_id: str) -> np.ndarray:
        return read_soft(self._files(item_id)[layout.COARSE]) >= self._threshold

    def _write(self, item: Item, result: Refined) -> Made:
        name = f"{layout.MASKS}/{item.id}.png"
        write_png(self.out / name, result.mask.astype(np.uint8) * 255)
        measured = {
            "consensus_iou": round(result.iou, 4),
            "accepted": result.accepted,
            "round": result.round,
            "area": round(float(result.mask.mean()), 5),
        }
        return Made(item, [name], measured)

    def finish(self, records: Mapping[str, Record]) -> Summary:
        """An overlay sheet and a line of the table for each class."""
        rows, pictures = [], []
        for cls in sorted({record.cls for record in records.values()}):
            own = sorted((record for record in records.values() if record.cls == cls), key=lambda record: record.id)
            accepted = [record for record in own if record.measured["accepted"]]
            estimated = [record for record in own if not record.measured["accepted"]]
            path = self.out / layout.PICTURES / f"{cls}.png"
            groups = {"good: kept by consensus": accepted, "bad: re-estimated": estimated}
            write_png(path, mask_sheet(cls, {name: map(self._shown, some[:SHOWN]) for name, some in groups.items()}))
            pictures.append(path)
            agreement = sum(record.measured["consensus_iou"] for record in own) / len(own)
            empty = sum(record.measured["area"] == 0 for record in own)
            rows.append([cls, str(len(own)), f"{agreement:.2f}", str(len(accepted)), str(len(estimated)), str(empty)])
        columns = ["class", "images", "mean consensus IoU", "good", "re-estimated", "empty"]
        following = f"aligndiff compose --foregrounds {self.out} --base base/ --out scenes/"
        return Summary(columns, rows, pictures, following)

    def _shown(self, record: Record) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        image = read_image(self._files(record.id)[layout.IMAGES])
        refined = read_soft(contained(self.out, f"{layout.MASKS}/{record.id}.png")) >= 0.5
        return image, self._coarse(record.id), refined, record.measured["consensus_iou"]
