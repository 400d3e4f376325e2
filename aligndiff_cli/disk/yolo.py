"""The segmentation form that Ultralytics' trainers read (beyond the paper).

::

    data.yaml                   train, val, names: 0 -> first class (paths beside it, so the folder can be moved)
    images/<split>/<stem>.jpg
    labels/<split>/<stem>.txt   one line per object: class, then x y x y ... of its polygon, as shares of the sides

A line is one polygon: parts and holes are joined by bridges of no width (`polygons.outline`). Pixels to be ignored, and
crowds, have no counterpart.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.disk.images import read_image, write_jpeg
from aligndiff_cli.disk.polygons import Outline, area, fill, outline, trace

PICTURES, LABELS, DATA = "images", "labels", "data.yaml"


def write_item(
    root: Path, split: str, stem: str, image: np.ndarray, objects: Sequence[tuple[int, Outline]]
) -> tuple[Path, Path]:
    """Write one picture and its objects.

    Args:
        split: "train" or "val".
        image: uint8 (H, W, 3).
        objects: class, from 1, and outline of each.

    Returns:
        The two files written, picture first.
    """
    picture, label_file = root / PICTURES / split / f"{stem}.jpg", root / LABELS / split / f"{stem}.txt"
    size = np.array([image.shape[1], image.shape[0]])
    lines = [_line(number - 1, line.corners / size) for number, line in objects]
    write_jpeg(picture, image)
    write_text(label_file, "".join(lines))
    return picture, label_file


def _line(number: int, corners: np.ndarray) -> str:
    return " ".join([str(number), *(f"{value:.6f}" for value in corners.ravel())]) + "\n"


def outlines(
    labels: np.ndarray, objects: Sequence[tuple[int, np.ndarray]], min_area: int, ignore: int
) -> tuple[list[tuple[int, Outline]], int]:
    """Objects as outlines: those that were pasted, then each connected part of what the base's labels say.

    Args:
        labels: uint8 (H, W).
        objects: class and visible part, bool (H, W).
        min_area: fewest pixels of an object.
        ignore: the label of pixels that belong to nothing.

    Returns:
        Class and outline of each, and how many were left out for having fewer pixels.
    """
    height, width = labels.shape
    pasted = np.zeros(labels.shape, bool)
    masks: list[tuple[int, np.ndarray, bool]] = []
    for number, visible in objects:
        pasted |= visible
        masks.append((number, visible, False))
    rest = np.where(pasted, 0, labels)
    for number in np.unique(rest[(rest != 0) & (rest != ignore)]).tolist():
        masks.append((number, rest == number, True))
    found, dropped = [], 0
    for number, mask, apart in masks:
        parts = trace(mask)
        for rings in [[part] for part in parts] if apart else [parts] if parts else [[]]:
            together = [ring for part in rings for ring in part]
            line = outline(together, height, width) if area(together) >= max(1, min_area) else None
            if line is not None and len(line.corners) >= 3:
                found.append((number, line))
            else:
                dropped += 1
    return found, dropped


def read_item(root: Path, split: str, stem: str) -> tuple[np.ndarray, np.ndarray]:
    """A picture uint8 (H, W, 3) and its label map (H, W) as the polygons draw it, later ones over earlier ones."""
    image = read_image(root / PICTURES / split / f"{stem}.jpg")
    height, width = image.shape[:2]
    labels = np.zeros((height, width), np.uint8)
    for line in (root / LABELS / split / f"{stem}.txt").read_text(encoding="utf-8").splitlines():
        number, *numbers = line.split()
        corners = np.array(numbers, np.float64).reshape(-1, 2) * [width, height]
        labels[fill([corners], height, width)] = int(number) + 1
    return image, labels


def write_data(root: Path, names: Sequence[str], *, val: bool, license: str) -> None:
    """Write data.yaml.

    Args:
        names: of classes 1, 2, ..., which are 0, 1, ... here.
        val: whether there are pictures to validate on; without, trainers are shown the training ones.
        license: the user's words, or "".
    """
    data: dict[str, object] = {
        "train": f"{PICTURES}/train",
        "val": f"{PICTURES}/{'val' if val else 'train'}",
        "names": dict(enumerate(names)),
    }
    if license:
        data["license"] = license
    write_text(root / DATA, yaml.safe_dump(data, sort_keys=False, allow_unicode=True))
