"""Base scenes, whatever form they have: VOC's layout, COCO's instances, or photographs without labels."""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np

from aligndiff_cli.disk import voc
from aligndiff_cli.disk.class_folders import IMAGE_SUFFIXES
from aligndiff_cli.disk.coco_base import find_instances, open_coco
from aligndiff_cli.disk.decoding import Orientation
from aligndiff_cli.disk.digest import file_digest
from aligndiff_cli.disk.images import read_image
from aligndiff_cli.disk.support import MASK_ENDING
from aligndiff_cli.errors import FolderError, InputError, UsageError

FORMS = (
    "Give a folder in VOC's layout (JPEGImages/, SegmentationClass/, ImageSets/Segmentation/train.txt), or COCO's "
    "instances JSON or the folder that holds it; compose --unlabelled takes any folder of photographs"
)


class BaseFolder(Protocol):
    """Labelled scenes, opened; see :class:`aligndiff_cli.disk.voc.VocFolder`."""

    @property
    def root(self) -> Path: ...
    @property
    def stems(self) -> list[str]: ...
    @property
    def classes(self) -> list[str] | None: ...
    @property
    def problems(self) -> Sequence[InputError]: ...
    def picture(self, stem: str) -> Path: ...
    def present(self, stem: str) -> set[int]: ...
    def load(self, stem: str) -> tuple[np.ndarray, np.ndarray]: ...
    def digests(self, stem: str) -> dict[str, str]: ...


@dataclass(frozen=True)
class PhotoFolder:
    """Photographs without labels: all of each is background.

    Attributes:
        root: the folder.
        stems: paths of the pictures within it.
        problems: what had to be left out.
    """

    root: Path
    stems: list[str]
    problems: Sequence[InputError]
    classes: list[str] | None = field(default_factory=list)

    def picture(self, stem: str) -> Path:
        """Where a photograph is."""
        return self.root / stem

    def present(self, stem: str) -> set[int]:
        """No class."""
        return set()

    def load(self, stem: str) -> tuple[np.ndarray, np.ndarray]:
        """A photograph, uint8 (H, W, 3), and zeros (H, W); InputError if it cannot be read."""
        image = read_image(self.picture(stem))
        return image, np.zeros(image.shape[:2], np.uint8)

    def digests(self, stem: str) -> dict[str, str]:
        """Of the picture (InputError if it cannot be read)."""
        return {"picture": file_digest(self.picture(stem))}


def open_base(path: Path, *, unlabelled: bool = False, orientation: Orientation = "auto") -> BaseFolder:
    """Open base scenes.

    Args:
        path: a VOC folder (split ``train``), an instances file, the folder of one, or any folder.
        unlabelled: take every photograph below the folder, and no labels.
        orientation: what the labels were drawn on, see :func:`aligndiff_cli.disk.decoding.turned_alike`.

    Raises:
        UsageError: ``unlabelled`` is asked for, and there are labels.
        FolderError: it is none of these.
    """
    if not path.exists():
        raise FolderError("there is no such folder", path, FORMS)
    labelled = [(path / name).is_dir() for name in (voc.PICTURES, voc.LABELS)]
    if unlabelled:
        if all(labelled):
            raise UsageError(f"--unlabelled: there are labels in {voc.LABELS}/", path, "Leave out --unlabelled")
        return open_photographs(path)
    if path.is_file():
        return open_coco(path, orientation)
    instances = None if all(labelled) else find_instances(path)
    if instances is None and any(labelled):
        return voc.open_voc(path, orientation=orientation)
    if instances is None:
        raise FolderError(
            "expected labelled scenes, found neither VOC's folders nor a JSON file of COCO's", path, FORMS
        )
    return open_coco(instances, orientation)


def open_photographs(folder: Path) -> PhotoFolder:
    """All pictures below a folder, those that look like the masks of others left out.

    Raises:
        FolderError: there is none.
    """
    if not folder.is_dir():
        raise FolderError("expected a folder of photographs, got a file", folder, FORMS)
    inside = (path for path in sorted(folder.rglob("*")) if path.suffix.lower() in IMAGE_SUFFIXES and not path.is_dir())
    names = [path.relative_to(folder) for path in inside]
    names = [name for name in names if not any(part.startswith(".") for part in name.parts)]
    stems = {kind: {n.with_suffix("") for n in names if kind or n.suffix.lower() != ".png"} for kind in (False, True)}
    masks = {
        name for name in names if name.suffix.lower() == ".png" and _is_mask(name.with_suffix(""), *stems.values())
    }
    problems = []
    if masks:
        what = (
            f"{len(masks)} pictures look like the masks of others, and are left out, such as '{min(masks).as_posix()}'"
        )
        problems = [InputError(what, folder, "Give a folder of photographs alone")]
    photographs = [name.as_posix() for name in names if name not in masks]
    if not photographs:
        raise FolderError("holds no photograph", folder, FORMS)
    return PhotoFolder(folder, photographs, problems)


def _is_mask(stem: Path, photographs: Set[Path], pictures: Set[Path]) -> bool:
    """Whether a PNG is named as a support folder's masks are.

    Args:
        stem: its path without ending.
        photographs, pictures: those of the pictures that are no PNG, and of all.
    """
    image = stem.name.removesuffix(MASK_ENDING)
    return stem in photographs or (image not in ("", stem.name) and stem.with_name(image) in pictures)
