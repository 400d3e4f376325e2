"""Diversity of the classes of a synth folder, computed once for a set of pictures and kept in ``diversity.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.disk.digest import joint_digest
from aligndiff_cli.disk.images import read_image
from aligndiff_cli.engine.manifest import Record, contained
from aligndiff_cli.method.diversity import LOOK, NEAR, diversity, look


@dataclass(frozen=True)
class Figures:
    """Of the pictures of a class.

    Attributes:
        of: digest of the set of pictures.
        mean: distance of two pictures, see ``method.diversity``.
        near: pairs nearer than the threshold.
        pairs: ids of some of them.
    """

    of: str
    mean: float
    near: int
    pairs: tuple[tuple[str, str], ...] = ()


class Looks:
    """The figures of a folder's classes.

    Args:
        folder: synth/.
        records: of the pictures that count.
    """

    def __init__(self, folder: Path, records: Mapping[str, Record]) -> None:
        self._folder = folder
        self._records: dict[str, list[Record]] = {}
        for record in sorted(records.values(), key=lambda record: record.id):
            self._records.setdefault(record.cls, []).append(record)
        kept = _read(folder / layout.DIVERSITY)
        self.figures = {cls: kept[cls] for cls in self._records if cls in kept and kept[cls].of == self._set(cls)}

    def _set(self, cls: str) -> str:
        return joint_digest({r.id: r.outputs.get(f"{layout.IMAGES}/{r.id}.png", "") for r in self._records[cls]})

    def pending(self) -> int:
        """Pictures to look at: those of classes whose set is another than before."""
        return sum(len(own) for cls, own in self._records.items() if cls not in self.figures)

    def update(self, advance: Callable[..., None]) -> None:
        """Look at them, a class at a time, of which looks are held and never pictures."""
        for cls, own in self._records.items():
            if cls in self.figures:
                continue
            looks = np.empty((len(own), LOOK), np.float32)
            for place, record in enumerate(own):
                looks[place] = look(read_image(contained(self._folder, f"{layout.IMAGES}/{record.id}.png")))
                advance(1, f"diversity of {cls}")
            found = diversity(looks)
            pairs = tuple((own[i].id, own[j].id) for i, j in found.first)
            self.figures[cls] = Figures(self._set(cls), round(found.mean, 4), found.near, pairs)
            _write(self._folder / layout.DIVERSITY, self.figures)


def _write(path: Path, figures: Mapping[str, Figures]) -> None:
    classes = {cls: vars(figures[cls]) for cls in sorted(figures)}
    write_text(path, json.dumps({"near": NEAR, "classes": classes}, indent=1, ensure_ascii=False) + "\n")


def _read(path: Path) -> dict[str, Figures]:
    """What was found before; nothing where the file is not whole or another version's, since it can be made again."""
    try:
        data: Any = json.loads(path.read_text(encoding="utf-8"))
        if data["near"] != NEAR:
            return {}
        return {
            cls: Figures(str(o["of"]), float(o["mean"]), int(o["near"]), tuple((str(a), str(b)) for a, b in o["pairs"]))
            for cls, o in data["classes"].items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
