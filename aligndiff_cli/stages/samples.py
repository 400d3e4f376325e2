"""The synthetic samples of a chain, as later stages see them: which image, which mask, how it was conditioned."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.manifest import Record, contained, read_records
from aligndiff_cli.disk.run_file import input_folder, require_run
from aligndiff_cli.errors import FolderError
from aligndiff_cli.evaluation.support_sets import INVERTED, TEXT

__all__ = ["INVERTED", "TEXT", "Sample", "read_samples"]


@dataclass(frozen=True)
class Sample:
    """One synthetic image with the record of its mask.

    Attributes:
        id: e.g. ``"dog/text-0003"``.
        cls: class name.
        kind: "inverted" or "text".
        image, coarse, mask: files; the mask is the refined one.
        measured: what `aligndiff mask` measured.
    """

    id: str
    cls: str
    kind: str
    image: Path
    coarse: Path
    mask: Path
    measured: dict[str, Any]


def read_samples(masks: Path) -> list[Sample]:
    """All samples of a masks folder, with the images it refers to, sorted by id.

    Raises:
        FolderError: not a masks folder, an empty one, or its images are gone.
    """
    run = require_run(masks, "mask", "the masks folder")
    synth = input_folder(masks, run, "images")
    generated = read_records(synth)
    samples = list(_joined(masks, synth, read_records(masks), generated))
    if not samples:
        raise FolderError("holds no masks", masks, "Run `aligndiff mask` to its end first")
    return sorted(samples, key=lambda sample: sample.id)


def _joined(masks: Path, synth: Path, refined: dict[str, Record], generated: dict[str, Record]) -> Iterator[Sample]:
    for item_id, record in refined.items():
        if item_id in generated:
            image, coarse = (contained(synth, f"{kind}/{item_id}.png") for kind in (layout.IMAGES, layout.COARSE))
            mask = contained(masks, f"{layout.MASKS}/{item_id}.png")
            kind = generated[item_id].parameters["kind"]
            yield Sample(item_id, record.cls, kind, image, coarse, mask, dict(record.measured))
