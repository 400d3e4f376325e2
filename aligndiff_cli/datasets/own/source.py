"""Annotations, whatever form they have: which one it is, and which files they are in."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aligndiff_cli.datasets.own import voc, yolo
from aligndiff_cli.datasets.own.coco import KEYS, read_coco
from aligndiff_cli.datasets.own.labelme import read_labelme
from aligndiff_cli.datasets.own.records import Source
from aligndiff_cli.disk.digest import file_digest, joint_digest
from aligndiff_cli.disk.regular import regular
from aligndiff_cli.disk.voc import LABELS
from aligndiff_cli.errors import AligndiffError, FolderError

FORMS = (
    "Give COCO's instances JSON or the folder that holds it, a folder of LabelMe's JSON files, a folder in VOC's "
    "layout (JPEGImages/, SegmentationClass/), or a YOLO folder (data.yaml, images/, labels/)"
)
JSON_PLACES = ("annotations/*.json", "*.json", "*/*.json")


@dataclass(frozen=True)
class Found:
    """Annotations that were found.

    Attributes:
        files: what they are in.
        open: images, boxes -> the source; see the readers.
    """

    files: Sequence[Path]
    open: Callable[[Path | None, bool], Source]

    def digest(self) -> str:
        """Of all the files (InputError if one cannot be read)."""
        return joint_digest({str(n): file_digest(path) for n, path in enumerate(self.files)})


def find_annotations(path: Path) -> Found:
    """Say which form annotations have.

    Args:
        path: a file or a folder.

    Raises:
        FolderError: they have none that is read.
    """
    if not path.exists():
        raise FolderError("there is no such file or folder", path, FORMS)
    if path.is_file():
        if path.suffix.lower() in (".yaml", ".yml"):
            return _yolo(path.parent, path)
        return _json([path], path)
    if (path / LABELS).is_dir() or any(path.glob(f"{voc.BOXES}/*.xml")):
        return _voc(path)
    listing = yolo.name_list(path)
    if listing is not None and yolo.label_files(path):
        return _yolo(path, listing)
    for place in JSON_PLACES:
        files = sorted(found for found in path.glob(place) if not found.name.startswith("."))
        if files:
            return _json(files, path)
    if yolo.label_files(path):
        raise FolderError("holds labels/ and no file that names the classes", path, yolo.NAMES)
    nested = [folder for folder in sorted(path.iterdir()) if (folder / LABELS).is_dir()]
    if len(nested) == 1:
        return _voc(nested[0])
    raise FolderError("holds no annotations of a form that is read", path, FORMS)


def _voc(root: Path) -> Found:
    listing = voc.label_list(root)
    folders = [root / name for name in (LABELS, voc.OBJECTS, voc.BOXES)]
    files = [p for folder in folders if folder.is_dir() for p in sorted(folder.iterdir()) if p.is_file()]
    return Found([*([listing] if listing else []), *files], lambda images, boxes: voc.read_voc(root, images))


def _yolo(root: Path, listing: Path) -> Found:
    files = [listing, *yolo.label_files(root)]
    return Found(files, lambda images, boxes: yolo.read_yolo(root, listing, images))


def _json(files: Sequence[Path], where: Path) -> Found:
    """COCO's files, where one is, and of these those that tell of instances in their name; else LabelMe's."""
    contents = list(map(frozenset, _contents(files)))
    if any(set(KEYS) & keys for keys in contents):
        instances = [path for path in files if "instances" in path.stem.lower()] or list(files)
        return Found(instances, lambda images, boxes: read_coco(instances, images))
    if any("shapes" in keys for keys in contents):
        return Found(files, lambda images, boxes: read_labelme(files, images, boxes=boxes))
    if not contents:
        raise FolderError("cannot be read as JSON", where, FORMS)
    names = ", ".join(sorted(map(str, contents[0]))[:6])
    raise FolderError(f"is JSON of no form that is read (it has {names or 'nothing'})", where, FORMS)


def _contents(files: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """The JSON objects that files hold; those that cannot be read are passed over."""
    for path in files:
        try:
            content = json.loads(regular(path).read_text(encoding="utf-8-sig"))
        except (OSError, ValueError, RecursionError, AligndiffError):
            continue
        if isinstance(content, dict):
            yield content
