"""`aligndiff prepare own`: a user's annotations, masks of boxes by SAM or SAM 2, and the records. Beyond the paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from aligndiff_cli.datasets.own.choice import Candidate, score
from aligndiff_cli.datasets.own.drawing import Boxer
from aligndiff_cli.datasets.own.prepare import MASK, Own, Wanted, prepare_own, wanted_classes
from aligndiff_cli.datasets.own.records import Box, MaskArray
from aligndiff_cli.datasets.own.source import Found as Annotations
from aligndiff_cli.datasets.own.source import find_annotations
from aligndiff_cli.datasets.photographs import Report
from aligndiff_cli.disk import layout
from aligndiff_cli.disk.digest import file_digest, joint_digest
from aligndiff_cli.disk.images import read_image, read_mask, write_png
from aligndiff_cli.engine.manifest import Record, read_records, rewrite
from aligndiff_cli.errors import AligndiffError, UsageError
from aligndiff_cli.report import paint
from aligndiff_cli.report.sheets import CELL, COLUMNS, Row, Tile, contact_sheet
from aligndiff_cli.stages.options.prepare import PrepareOptions
from aligndiff_cli.table import Table

BOX_MASKS = "box_masks"
SHEET_CLASSES = 12


@dataclass(frozen=True)
class Found:
    """What a data set came to.

    Attributes:
        warnings: where it is not what was published.
        problems: what had to be left out.
        tables: what was found, counted.
        pictures: to look at.
    """

    warnings: Sequence[str] = ()
    problems: Sequence[AligndiffError] = ()
    tables: Sequence[Table] = ()
    pictures: Sequence[Path] = ()


class SamBoxer:
    """Asks a SAM for what is in boxes, a picture at a time.

    Each answer is kept in a folder by what it is the answer to, so that an interrupted run asks for no box twice.

    Args:
        source: folder or hub id.
        fingerprint: of its weights.
        device: where it runs.
        folder: of the answers.
    """

    def __init__(self, source: str, fingerprint: str, device: str, folder: Path) -> None:
        self._source, self._fingerprint, self._device, self._folder = source, fingerprint, device, folder

    @cached_property
    def _sam(self):  # type: ignore[no-untyped-def]
        from aligndiff_cli.models.device import pick_device
        from aligndiff_cli.models.sam import load_sam

        return load_sam(self._source, pick_device(self._device))

    def __call__(self, picture: Path, boxes: Sequence[Box]) -> list[MaskArray]:
        """A mask for each box, bool (H, W) as the picture is shown; may be empty."""
        about = {"picture": file_digest(picture), "model": self._fingerprint, "boxes": repr(list(boxes))}
        name = f"{picture.stem}-{joint_digest(about)[:12]}"
        paths = [self._folder / f"{name}-{number}.png" for number in range(len(boxes))]
        if all(path.exists() for path in paths):
            return [read_mask(path) for path in paths]
        masks: list[MaskArray] = self._sam.boxed(read_image(picture), boxes)
        for path, mask in zip(paths, masks, strict=True):
            write_png(path, mask)
        return masks


def annotations_of(o: PrepareOptions) -> Annotations:
    """The annotations that were asked for (FolderError if they have no form that is read)."""
    assert o.annotations is not None  # the options see to it
    return find_annotations(o.annotations)


def model_of_own(o: PrepareOptions) -> dict[str, dict[str, str]]:
    """The model that makes masks of boxes, where there is one."""
    if o.boxes is None:
        return {}
    from aligndiff_cli.models.fingerprints import network_fingerprint  # torch takes seconds, and few need it here

    return {"sam": {"source": o.boxes, "fingerprint": network_fingerprint(o.boxes)}}


def make_of_own(o: PrepareOptions, report: Report) -> Found:
    """Write the folders, the records of what was chosen, and a sheet of it.

    Raises:
        UsageError: a wanted class is not there, or the folder of pictures.
        FolderError: the annotations have no form that is read, or no wanted class has a picture that can be used.
        ModelError: the model for boxes cannot be loaded.
    """
    assert o.annotations is not None  # the options see to it
    if o.images is not None and not o.images.is_dir():
        raise UsageError("there is no such folder", o.images, "Give the folder of the pictures as --images")
    source = annotations_of(o).open(o.images, o.boxes is not None)
    classes = wanted_classes(o.classes or "", source.names, o.annotations)
    boxer: Boxer | None = None
    if o.boxes is not None:
        boxer = SamBoxer(o.boxes, model_of_own(o)["sam"]["fingerprint"], o.device, o.out / BOX_MASKS)
    wanted = Wanted(classes, o.shots, o.seed, o.min_object, o.mask_orientation)
    _clear(o.out)
    own = prepare_own(o.out, source, wanted, boxer, o.annotations, report)
    rewrite(o.out, _records(o.out, own))
    sheet = o.out / layout.PICTURES / "support.png"
    write_png(sheet, _sheet(o.out, own))
    note = f"{source.form}: {len(source.names)} classes, {source.total} pictures"
    return Found([note], own.problems, _tables(own), [sheet])


def _clear(out: Path) -> None:
    """Remove the pairs that an earlier run recorded: what is made again may be another choice."""
    for record in read_records(out).values():
        part, cls, stem = record.id.split("/")
        picture = f"{stem}{Path(str(record.parameters['picture'])).suffix.lower()}"
        names = [*record.outputs, f"{part}/{cls}/{picture}", f"{layout.SUPPORT_LABELS}/{cls}/{stem}.png"]
        for path in (out / name for name in names):
            path.unlink(missing_ok=True)
        for folder in (out / part / cls, out / layout.SUPPORT_LABELS / cls):
            with suppress(OSError):  # it holds others
                folder.rmdir()
    rewrite(out, [])


def describe_own(o: PrepareOptions) -> dict[str, str]:
    """What the folders hold."""
    parts = {
        layout.SUPPORT: f"up to {o.shots} pairs of each wanted class, the largest and cleanest",
        layout.SUPPORT_LABELS: "their label maps, for evaluate gfss",
        layout.QUERY: "the other pictures of the wanted classes, as pairs, for evaluate fss",
        layout.QUERY_SCENES: "the same with label maps of all classes (VOC layout, split val), for evaluate gfss",
        layout.BASE: "pictures of the other classes alone (VOC layout, split train)",
    }
    return {name: what for name, what in parts.items() if (o.out / name).is_dir()}


def _records(out: Path, own: Own) -> Iterator[Record]:
    """One of each pair: where it comes from, what was seen in it, and in support its rank and flaws."""
    for part, by_class in ((layout.SUPPORT, own.support), (layout.QUERY, own.query)):
        for cls, chosen in by_class.items():
            for rank, candidate in enumerate(chosen, 1):
                yield _record(out, part, cls, candidate, rank)


def _record(out: Path, part: str, cls: str, candidate: Candidate, rank: int) -> Record:
    photograph, shown = candidate.photograph, candidate.shown[cls]
    mask = f"{part}/{cls}/{photograph.stem}{MASK}"
    inputs = {"picture": file_digest(photograph.picture), "labels": file_digest(photograph.labels)}
    parameters: dict[str, Any] = {"picture": photograph.picture.name, "flaws": list(shown.flaws)}
    measured = {
        "area": round(shown.area, 5),
        "score": round(score(shown), 5),
        "pixels": shown.pixels,
        "objects": shown.objects,
    }
    if part == layout.SUPPORT:
        parameters["rank"] = rank
    return Record(f"{part}/{cls}/{photograph.stem}", cls, inputs, {mask: file_digest(out / mask)}, parameters, measured)


def _tables(own: Own) -> list[Table]:
    columns = ("class", "objects", "support", "of these clean", "query")
    rows = [
        (
            cls,
            str(own.objects[cls]),
            str(len(chosen)),
            str(sum(not candidate.shown[cls].flaws for candidate in chosen)),
            str(len(own.query[cls])),
        )
        for cls, chosen in own.support.items()
    ]
    rows.append((f"base: {len(own.base)} pictures of other classes", "", "", "", ""))
    reasons: list[tuple[str, str]] = [(kind, str(count)) for kind, count in sorted(own.left_out.counts.items())]
    if own.empty:
        reasons.append(("picture without an object", str(own.empty)))
    return [Table(columns, rows), Table(("left out", "times"), reasons)]


def _sheet(out: Path, own: Own) -> np.ndarray:
    """The support pairs, a class a row."""
    rows = []
    for cls, chosen in islice(own.support.items(), SHEET_CLASSES):
        tiles = []
        for candidate in chosen[:COLUMNS]:
            photograph, shown = candidate.photograph, candidate.shown[cls]
            image = read_image(photograph.picture)
            mask = read_mask(out / layout.SUPPORT / cls / f"{photograph.stem}{MASK}")
            picture = paint.overlay(paint.fitted(image, CELL), paint.fitted_mask(mask, CELL), paint.CYAN)
            tiles.append(Tile(picture, ", ".join(shown.flaws) or "clean"))
        rows.append(Row(tiles, cls if tiles else f"{cls}: none"))
    return contact_sheet(rows, "Support", legend=[("mask", paint.CYAN)])
