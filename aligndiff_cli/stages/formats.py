"""The forms in which a training set leaves the house: VOC's, COCO's beside it, Hugging Face's, YOLO's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from aligndiff_cli.disk import coco, imagefolder, voc, yolo
from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.disk.images import read_image
from aligndiff_cli.engine.manifest import Record
from aligndiff_cli.labels import IGNORE
from aligndiff_cli.method.seeds import item_seed

TRAIN, VAL = "train", "val"
INSTANCES = "annotations/instances_train.json"
INSTANCES_VAL = "annotations/instances_val.json"
PARTS = "annotations/scenes"


class VocFormat:
    """JPEGImages/, SegmentationClass/ and the lists of the splits.

    Args:
        out: folder of the set.
        min_area: fewest pixels of an instance, in the forms that have instances.
        val_share: share of the pictures that become the split ``val``.
        license: the user's words, "" for none.
    """

    name = "voc"

    def __init__(self, out: Path, min_area: int, val_share: float, license: str) -> None:
        self.out, self.min_area = out, min_area
        self.val_share, self.license = val_share, license

    def split_of(self, stem: str) -> str:
        """A picture's split: its name alone decides, so that a larger set moves none from one to the other."""
        return VAL if item_seed(0, f"split/{stem}") % 10_000 < round(self.val_share * 10_000) else TRAIN

    def splits(self, records: Mapping[str, Record]) -> dict[str, list[str]]:
        """Stems of each split in order; ``val`` is left out where none is asked for."""
        wanted = (TRAIN, VAL) if self.val_share else (TRAIN,)
        return {split: [stem for stem in sorted(records) if self.split_of(stem) == split] for split in wanted}

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
        for split, stems in self.splits(records).items():
            voc.write_split(self.out, split, stems)

    def _relative(self, paths: Sequence[Path]) -> list[str]:
        return [path.relative_to(self.out).as_posix() for path in paths]


class CocoFormat(VocFormat):
    """VOC's layout and an instances file beside it."""

    name = "coco"

    def write(
        self, stem: str, image: np.ndarray, labels: np.ndarray, objects: Sequence[tuple[int, np.ndarray]]
    ) -> tuple[list[str], dict[str, Any]]:
        files, _ = super().write(stem, image, labels, objects)
        found, dropped = coco.scene_annotations(labels, objects, self.min_area)
        height, width = labels.shape
        part = {"file_name": f"{stem}.jpg", "height": height, "width": width, "annotations": found}
        files.append(f"{PARTS}/{stem}.json")
        write_text(self.out / files[-1], json.dumps(part))
        return files, {"instances": len(found), "dropped": dropped}

    def finish(self, records: Mapping[str, Record], names: Sequence[str], about: str) -> None:
        super().finish(records, names, about)
        for split, stems in self.splits(records).items():
            path = self.out / (INSTANCES if split == TRAIN else INSTANCES_VAL)
            coco.write_coco(path, partial(self._parts, stems), names, about, self.license)

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
        files = self._relative(imagefolder.write_item(self.out, stem, image, labels, self._folder(stem)))
        return files, {"classes": np.unique(labels).tolist()}

    def read(self, stem: str) -> tuple[np.ndarray, np.ndarray]:
        own = self.out / self._folder(stem)
        picture, label_map = own / imagefolder.PICTURES / f"{stem}.jpg", own / imagefolder.LABELS / f"{stem}.png"
        return read_image(picture), voc.read_label_map(label_map)

    def finish(self, records: Mapping[str, Record], names: Sequence[str], about: str) -> None:
        counts = {}
        for split, stems in self.splits(records).items():
            if stems:
                counts[_HF_SPLITS[split]] = len(stems)
                shown = [(stem, records[stem].measured["classes"]) for stem in stems]
                imagefolder.write_metadata(self.out, shown, names, _HF_SPLITS[split])
        imagefolder.write_names(self.out, names)
        imagefolder.write_card(self.out, self.out.resolve().name, about, names, counts, self.license)

    def _folder(self, stem: str) -> str:
        return _HF_SPLITS[self.split_of(stem)]


_HF_SPLITS = {TRAIN: imagefolder.TRAIN, VAL: imagefolder.VALIDATION}


class YoloFormat(VocFormat):
    """Ultralytics' pictures, polygons and data.yaml (beyond the paper)."""

    name = "yolo"

    def write(
        self, stem: str, image: np.ndarray, labels: np.ndarray, objects: Sequence[tuple[int, np.ndarray]]
    ) -> tuple[list[str], dict[str, Any]]:
        found, dropped = yolo.outlines(labels, objects, self.min_area, IGNORE)
        files = self._relative(yolo.write_item(self.out, self.split_of(stem), stem, image, found))
        worst = round(min((line.iou for _, line in found), default=1.0), 4)
        return files, {"instances": len(found), "dropped": dropped, "polygon_iou": worst}

    def read(self, stem: str) -> tuple[np.ndarray, np.ndarray]:
        return yolo.read_item(self.out, self.split_of(stem), stem)

    def finish(self, records: Mapping[str, Record], names: Sequence[str], about: str) -> None:
        voc.write_classes(self.out, names)
        yolo.write_data(self.out, names, val=bool(self.splits(records).get(VAL)), license=self.license)


def make_format(name: str, out: Path, min_area: int, val_share: float, license: str) -> VocFormat:
    """The format that --format names."""
    forms = {form.name: form for form in (VocFormat, CocoFormat, HfFormat, YoloFormat)}
    return forms[name](out, min_area, val_share, license)


def opening(name: str, out: Path) -> str:
    """How a set is opened, in the words of its own readers."""
    return {
        "voc": f"train on {out} (VOC layout)",
        "coco": f"pycocotools.coco.COCO('{out / INSTANCES}'), pictures in {out / voc.PICTURES}",
        "yolo": f"yolo segment train data={out / yolo.DATA}",
        "hf": f"datasets.load_dataset('imagefolder', data_dir='{out}')",
    }[name]
