"""The scenes that a class was pasted into, and what is shown of them."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from aligndiff_cli.disk import imagefolder, layout, voc
from aligndiff_cli.disk.split_lists import read_lines
from aligndiff_cli.engine.manifest import Record, contained
from aligndiff_cli.errors import AligndiffError
from aligndiff_cli.method.prompts import class_words
from aligndiff_cli.report.chain_page import Shot
from aligndiff_cli.stages.reporting.chains import StageFolder
from aligndiff_cli.stages.reporting.pictures import Pictures

SEEN_WELL = 0.7
"""Scale of a pasted object that is neither small nor cut off by the frame: scenes near it are shown first."""


class Scenes:
    """The scenes of a chain.

    Args:
        folders: made by `aligndiff compose`.
        pictures: where pictures are asked for.
    """

    def __init__(self, folders: Sequence[StageFolder], pictures: Pictures) -> None:
        self._folders, self._pictures = folders, pictures

    @property
    def count(self) -> int:
        """How many there are."""
        return sum(len(stage.records) for stage in self._folders)

    @cached_property
    def _by_class(self) -> dict[str, list[tuple[float, str, StageFolder, Record]]]:
        found: dict[str, list[tuple[float, str, StageFolder, Record]]] = defaultdict(list)
        for stage in self._folders:
            for record in stage.records.values():
                scales: dict[str, list[float]] = defaultdict(list)
                for cls, scale in map(_class_and_scale, record.parameters.get("objects", [])):
                    scales[cls].append(abs(math.log(scale / SEEN_WELL)))
                for cls, distances in scales.items():
                    found[cls].append((min(distances), record.id, stage, record))
        return found

    def of(self, cls: str) -> list[Shot]:
        """The scenes that show a class, those that show it well first; its contour is drawn."""
        ranked = sorted(self._by_class.get(cls, []), key=lambda found: found[:2])
        return [self._shot(cls, stage, record) for _, _, stage, record in ranked]

    def many(self, cls: str) -> int:
        """How many show a class."""
        return len(self._by_class.get(cls, []))

    def _shot(self, cls: str, stage: StageFolder, record: Record) -> Shot:
        picture, labels = scene_files(stage.path, record.outputs)
        number = self._numbers(stage.path).get(class_words(cls), 0)
        path = self._pictures.scene(picture, labels, number) if picture else ""
        return Shot(path, f"{record.id}, with {cls}", record.id)

    def _numbers(self, folder: Path) -> dict[str, int]:
        if folder not in self._known:
            self._known[folder] = class_numbers(folder)
        return self._known[folder]

    @cached_property
    def _known(self) -> dict[Path, dict[str, int]]:
        return {}


def _class_and_scale(pasted: Mapping[str, Any]) -> tuple[str, float]:
    """Of an object in a scene's record; its sample is called ``<class>/<id>`` or ``real/<class>/<stem>``."""
    scale = pasted.get("scale")
    return str(pasted["sample"]).rpartition("/")[0].rpartition("/")[2], (
        float(scale) if isinstance(scale, (int, float)) and scale > 0 else 1.0
    )


def class_numbers(folder: Path) -> dict[str, int]:
    """The words of each class -> its number in the label maps of a folder of scenes; empty where it does not say."""
    try:
        if (folder / layout.CLASSES).exists():
            return {class_words(name): n for n, name in enumerate(read_lines(folder / layout.CLASSES), 1)}
        named = json.loads((folder / imagefolder.NAMES).read_text(encoding="utf-8"))
        return {class_words(name): int(number) for number, name in named.items()}
    except (AligndiffError, OSError, ValueError, AttributeError):
        return {}


def scene_files(folder: Path, outputs: Mapping[str, str]) -> tuple[Path | None, Path | None]:
    """A scene's picture and its label map, among the files of its record; None for what there is none of."""
    maps = (voc.LABELS, imagefolder.LABELS)
    labels = [name for name in outputs if name.endswith(".png") and Path(name).parent.name in maps]
    images = [name for name in outputs if name not in labels and name.endswith((".jpg", ".jpeg", ".png"))]
    image, label_map = (contained(folder, names[0]) if names else None for names in (images, labels))
    return image, label_map
