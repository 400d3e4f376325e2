"""The forms in which a training set leaves the house: VOC's layout, COCO's instances beside it, Hugging Face's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aligndiff_cli.disk import coco, imagefolder, voc
from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.disk.images import read_image
from aligndiff_cli.engine.manifest import Record

INSTANCES = "annotations/instances_train.json"
PARTS = "annotations/scenes"


class VocFormat:
    """JPEGImages/, SegmentationClass/ and the list of the split ``train``.

    Args:
        out: folder of the set.
    """

    name = "voc"

    def __init__(self, out: Path) -> None:
        self.out = out

    def write(
        self, stem: str, image: np.ndarray, labels: np.ndarray, objects: Sequence[tuple[int, np.ndarray]]
    ) -> tuple[list[str], dict[str, Any]]:
        """Write one picture.

        Args:
            image, labels: uint8 (H, W, 3) and (H, W).
            objects: class and visible part, bool (H, W), of each object that is one instance.

        Returns:
            The files written, relative to the folder, and what belongs into the item's record.
        """
        return self._relative(voc.write_item(self.out, stem, image, labels)), {}

    def read(self, stem: str) -> tuple[np.ndarray, np.ndarray]:
        """A picture and its labels as they were written."""
        picture, label_map = self.out / voc.PICTURES / f"{stem}.jpg", self.out / voc.LABELS / f"{stem}.png"
        return read_image(picture), voc.read_label_map(label_map)

    def finish(self, records: Mapping[str, Record], names: Sequence[str], about: str) -> None:
        """Write what makes the folder a data set.

        Args:
            records: stem -> record of each picture.
            names: of classes 1, 2, ...
            about: a paragraph: how the set was made.
        """
        voc.write_classes(self.out, names)
        voc.write_split(self.out, "train", sorted(records))

    def _relative(self, paths: Sequence[Path]) -> list[str]:
        return [path.relative_to(self.out).as_posix() for path in paths]


class CocoFormat(VocFormat):
    """VOC's layout and an instances file beside it.

    Args:
        min_area: fewest pixels of an instance.
    """

    name = "coco"

    def __init__(self, out: Path, min_area: int) -> None:
        super().__init__(out)
        self._min_area = min_area

    def write(
        self, stem: str, image: np.ndarray, labels: np.ndarray, objects: Sequence[tuple[int, np.ndarray]]
    ) -> tuple[list[str], dict[str, Any]]:
        files, _ = super().write(stem, image, labels, objects)
        found, dropped = coco.scene_annotations(labels, objects, self._min_area)
        height, width = labels.shape
        part = {"file_name": f"{stem}.jpg", "height": height, "width": width, "annotations": found}
        files.append(f"{PARTS}/{stem}.json")
        write_text(self.out / files[-1], json.dumps(part))
        return files, {"instances": len(found), "dropped": dropped}

    def finish(self, records: Mapping[str, Record], names: Sequence[str], about: str) -> None:
        super().finish(records, names, about)
        coco.write_coco(self.out / INSTANCES, lambda: self._parts(sorted(records)), names)

    def _parts(self, stems: Sequence[str]) -> Iterator[coco.CocoScene]:
        """What the file is assembled from, one picture at a time."""
        for stem in stems:
            yield coco.CocoScene(**json.loads((self.out / PARTS / f"{stem}.json").read_text(encoding="utf-8")))


class HfFormat(VocFormat):
    """Hugging Face's imagefolder form, with a dataset card."""

    name = "hf"

    def write(
        self, stem: str, image: np.ndarray, labels: np.ndarray, objects: Sequence[tuple[int, np.ndarray]]
    ) -> tuple[list[str], dict[str, Any]]:
        files = self._relative(imagefolder.write_item(self.out, stem, image, labels))
        return files, {"classes": np.unique(labels).tolist()}

    def read(self, stem: str) -> tuple[np.ndarray, np.ndarray]:
        train = self.out / imagefolder.TRAIN
        picture, label_map = train / imagefolder.PICTURES / f"{stem}.jpg", train / imagefolder.LABELS / f"{stem}.png"
        return read_image(picture), voc.read_label_map(label_map)

    def finish(self, records: Mapping[str, Record], names: Sequence[str], about: str) -> None:
        shown = [(stem, records[stem].measured["classes"]) for stem in sorted(records)]
        imagefolder.write_metadata(self.out, shown, names)
        imagefolder.write_names(self.out, names)
        imagefolder.write_card(self.out, self.out.resolve().name, about, names, len(records))


def make_format(name: str, out: Path, min_area: int) -> VocFormat:
    """The format that --format names."""
    return {"voc": VocFormat(out), "coco": CocoFormat(out, min_area), "hf": HfFormat(out)}[name]


def opening(name: str, out: Path) -> str:
    """How a set is opened, in the words of its own readers."""
    return {
        "voc": f"train on {out} (VOC layout)",
        "coco": f"pycocotools.coco.COCO('{out / INSTANCES}'), pictures in {out / voc.PICTURES}",
        "hf": f"datasets.load_dataset('imagefolder', data_dir='{out}')",
    }[name]
