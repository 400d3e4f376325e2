"""Refine the coarse masks of synthetic images (paper 3.6), by Algorithm 1 or by one of its baselines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.digest import file_digest, has_digest, joint_digest
from aligndiff_cli.disk.images import read_image, read_soft, write_png
from aligndiff_cli.disk.lazy import Lazy
from aligndiff_cli.engine.lock import tell_if_in_use
from aligndiff_cli.engine.manifest import Record, contained, read_records, torn_records
from aligndiff_cli.engine.run_file import require_run
from aligndiff_cli.engine.stage import Item, Made, Plan, Stage, Summary
from aligndiff_cli.errors import FolderError, InputError
from aligndiff_cli.method.attention import coarse_threshold
from aligndiff_cli.method.consensus import Refined
from aligndiff_cli.report.sheets import mask_sheet
from aligndiff_cli.stages.common import POCKET
from aligndiff_cli.stages.drawing import draw_unless_same
from aligndiff_cli.stages.marks import USE_MARKED, without_marked
from aligndiff_cli.stages.masking.coarse import CoarseMasks
from aligndiff_cli.stages.masking.mask_methods import (
    SET_OF_IMAGES,
    AttentionRefiner,
    ClassImages,
    ConsensusRefiner,
    NoiseRefiner,
    Refiner,
)
from aligndiff_cli.stages.masking.sharpening import Sharpener
from aligndiff_cli.stages.options.mask import MaskOptions

SHOWN = 8
"""Images of each kind on an overlay sheet."""


def make_refiner(o: MaskOptions, made_by: str) -> Refiner:
    """The refiner that --segmenter names.

    Args:
        made_by: source of the model that made the images.

    Raises:
        FolderError: a folder it needs is not what it should be.
    """
    if o.segmenter == "attention":
        return AttentionRefiner()
    if o.segmenter == "grounding":
        from aligndiff_cli.stages.masking.grounding import GroundingRefiner  # loads torch

        return GroundingRefiner(o, made_by)
    return NoiseRefiner(o) if o.segmenter == "noise-learning" else ConsensusRefiner(o)


class MaskStage(Stage[MaskOptions]):
    """synth/ (+ support/) -> masks/masks/<class>/<id>.png."""

    def __init__(self, options: MaskOptions) -> None:
        super().__init__(options)
        made = require_run(options.images, "generate", "--images")
        asked = options.attention_threshold
        threshold = float(made.options["mask_threshold"]) if asked is None else asked
        self._threshold = coarse_threshold(threshold, options.coarse_cut)
        self._coarse = CoarseMasks(options.images, options.coarse, self._threshold)
        self.refiner = make_refiner(options, made.models.get("diffusion", {}).get("source", POCKET))
        asked_sam = options.sharpen
        self.sharpener = Sharpener(asked_sam, options.sharpen_iou, options.device) if asked_sam else None
        self.unit = self.refiner.unit
        self.notes = self.refiner.notes

    def verify(self) -> None:
        """Load the networks that may refuse what is asked of them."""
        self.refiner.verify()
        if self.sharpener:
            _ = self.sharpener.sam

    def resolved(self) -> MaskOptions:
        """The options with what suits the segmenter filled in."""
        return self.refiner.resolved(self.options)

    def facts(self) -> dict[str, Any]:
        """Where the maps are cut in the end, for the stages that do the same, and which segmenter it came to be."""
        return {"attention_threshold": self._threshold, "segmenter": self.refiner.model()["source"]}

    def told(self) -> dict[str, Any]:
        """Whether marked images are used, for the stages that read their masks."""
        return {USE_MARKED: True} if self.options.use_marked else {}

    def models(self) -> dict[str, dict[str, str]]:
        """The segmenter, and what sharpens its masks."""
        sam = {"sam": self.sharpener.model()} if self.sharpener else {}
        return {"segmenter": self.refiner.model()} | sam

    def plan(self) -> Plan:
        """One group per class: Algorithm 1 pools all images of a class, whatever prompt they came from.

        Raises:
            FolderError: there is no synthetic image.
        """
        tell_if_in_use(self.options.images)
        records = read_records(self.options.images)
        if not records:
            raise FolderError("holds no image", self.options.images, "Run `aligndiff generate` to its end first")
        self._coarse.read(records.values())
        problems = [*torn_records(self.options.images), *self.refiner.check()]
        if not self.options.use_marked:
            records = without_marked(records, self.options.images, problems)
        groups = []
        for cls in sorted({record.cls for record in records.values()}):
            own = sorted((record for record in records.values() if record.cls == cls), key=lambda record: record.id)
            try:
                groups.append(self._group(cls, own, self._usable(own, problems)))
            except InputError as error:
                problems.append(error)
        return Plan([group for group in groups if group], problems)

    def _usable(self, records: Sequence[Record], problems: list[InputError]) -> dict[str, str]:
        """Id -> digest of the images that can be used; why the others cannot is added to ``problems``."""
        images = {}
        for record in records:
            try:
                images[record.id] = self._digest(record)
            except InputError as error:
                problems.append(error)
        return images

    def _digest(self, record: Record) -> str:
        """Of an image and its coarse mask's files, which are read unless they are as they were written.

        Raises:
            InputError: they cannot be used.
        """
        files = {layout.IMAGES: self._image(record.id), **self._coarse.files(record.id)}
        digests = {kind: file_digest(path) for kind, path in files.items()}
        recorded = {kind: record.outputs.get(f"{kind}/{record.id}.png") for kind in files}
        if not all(digests[kind] == recorded[kind] or has_digest(files[kind], recorded[kind]) for kind in files):
            self._coarse.check(record.id, read_image(files[layout.IMAGES]).shape[:2])
        return joint_digest(digests)

    def _group(self, cls: str, records: Sequence[Record], images: Mapping[str, str]) -> list[Item]:
        """The items of a class, given the digest of each image that can be used."""
        pooled = self.refiner.inputs(cls, images) if images else {}
        return [
            Item(
                record.id,
                cls,
                {"image and coarse mask": images[record.id], **pooled},
                {"kind": record.parameters["kind"], "coarse": self._coarse.of(record.id)},
                of_group=frozenset({SET_OF_IMAGES}),
                retouchable=True,
            )
            for record in records
            if record.id in images
        ]

    def _image(self, item_id: str) -> Path:
        return contained(self.options.images, f"{layout.IMAGES}/{item_id}.png")

    def preparation(self, groups: Sequence[Sequence[Item]]) -> int:
        """Those of the refiner, if there is anything to refine."""
        return self.refiner.preparation() if groups else 0

    def prepare(self, groups: Sequence[Sequence[Item]], advance: Callable[..., None]) -> None:
        """Train what the refiner needs, if there is anything to refine."""
        if groups:
            self.refiner.prepare(advance)

    def units(self, group: Sequence[Item]) -> int:
        """Those of the class."""
        return self.refiner.units(len(group))

    def run(self, group: Sequence[Item], wanted: Set[str], advance: Callable[..., None]) -> Iterator[Made]:
        """Refine the masks of one class."""
        ids = [item.id for item in group]
        images = Lazy(ids, lambda item_id: read_image(self._image(item_id)))
        for index, result in self.refiner.refine(
            ClassImages(group[0].cls, ids, images, Lazy(ids, self._coarse.mask)), advance
        ):
            if group[index].id in wanted:
                item, found = group[index], self._sharpened(images, index, result)
                yield Made(item, measured=self.refiner.measured(), write=partial(self._write, item.id, *found))

    def _sharpened(self, images: Sequence[np.ndarray], index: int, result: Refined) -> tuple[Refined, dict[str, Any]]:
        """The result with sharper edges where that is asked for and found, and what was measured on the way."""
        if not self.sharpener:
            return result, {}
        found = self.sharpener.sharpen(images[index], result.mask)
        return replace(result, mask=found.mask), {"sharpened": found.accepted, "sharpen_iou": round(found.iou, 4)}

    def _write(self, item_id: str, result: Refined, more: Mapping[str, Any]) -> tuple[list[str], dict[str, Any]]:
        """Write a mask; its file, and what was measured."""
        name = f"{layout.MASKS}/{item_id}.png"
        write_png(self.out / name, result.mask.astype(np.uint8) * 255)
        measured = {
            "consensus_iou": round(result.iou, 4),
            "accepted": result.accepted,
            "round": result.round,
            "area": round(float(result.mask.mean()), 5),
            **more,
        }
        return [name], measured

    def finish(self, records: Mapping[str, Record]) -> Summary:
        """An overlay sheet and a line of the table for each class."""
        rows, pictures = [], []
        words = self.refiner.words
        most = self.refiner.most_shown
        for cls in sorted({record.cls for record in records.values()}):
            own = sorted((record for record in records.values() if record.cls == cls), key=lambda record: record.id)
            kept = [record for record in own if record.measured["accepted"]]
            rest = [record for record in own if not record.measured["accepted"]]
            path = self.out / layout.PICTURES / f"{cls}.png"
            groups = {words.kept_heading: kept[:SHOWN], words.rest_heading: rest[:SHOWN]}
            of = {name: [self._facts_shown(record) for record in some] for name, some in groups.items()}
            draw_unless_same(path, [cls, self._threshold, of], partial(self._sheet, cls, groups))
            pictures.append(path)
            agreement = sum(record.measured["consensus_iou"] for record in own) / len(own)
            empty = sum(record.measured["area"] == 0 for record in own)
            kept_count = str(len(kept)) if most is None or len(kept) <= most else f"{len(kept)}, {most} shown"
            rows.append([cls, str(len(own)), f"{agreement:.2f}", kept_count, str(len(rest)), str(empty)])
            if self.options.coarse != "attention":
                rows[-1].append(str(sum(record.parameters["coarse"] != "attention" for record in own)))
            if self.sharpener:
                rows[-1].append(str(sum(record.measured["sharpened"] for record in own)))
        columns = ["class", "images", "mean consensus IoU", words.kept, words.rest, "empty"]
        columns += ["with a real coarse mask"] if self.options.coarse != "attention" else []
        columns += ["sharpened"] if self.sharpener else []
        following = f"aligndiff compose --foregrounds {self.out} --base base/ --out scenes/"
        return Summary(columns, rows, pictures, following)

    def _sheet(self, cls: str, groups: Mapping[str, Sequence[Record]]) -> np.ndarray:
        return mask_sheet(cls, {name: map(self._shown, some) for name, some in groups.items()})

    def _facts_shown(self, record: Record) -> list[Any]:
        """What the sheet's row of a record depends on; its mask may have been changed by hand."""
        mask = file_digest(contained(self.out, f"{layout.MASKS}/{record.id}.png"))
        coarse = self._coarse.of(record.id), record.inputs["image and coarse mask"]
        return [record.id, mask, *coarse, record.measured["consensus_iou"]]

    def _shown(self, record: Record) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
        image, coarse = read_image(self._image(record.id)), self._coarse.mask(record.id)
        refined = read_soft(contained(self.out, f"{layout.MASKS}/{record.id}.png")) >= 0.5
        return image, coarse, refined, record.measured["consensus_iou"]
