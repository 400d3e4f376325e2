"""The pictures beside a page: drawn once, and known again by what they were drawn from.

A picture is called by a digest of its inputs' bytes and of how it is drawn, so that a second run draws only what is
new, a file that was changed by hand is seen, and the same folders give the same bytes.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from aligndiff_cli.disk.digest import file_digest, joint_digest
from aligndiff_cli.disk.images import ImageArray, read_image, read_mask, read_soft, write_jpeg
from aligndiff_cli.disk.support import PairFiles, load_pair
from aligndiff_cli.disk.voc import read_label_map
from aligndiff_cli.engine.workers import Progress
from aligndiff_cli.errors import AligndiffError, InputError
from aligndiff_cli.report import paint, thumbnails

FOLDER = "thumbs"
DRAWING = "1"
"""Change it with how pictures are drawn, so that old ones are not taken for new."""
LARGE, SMALL = 320, 192
"""Longer side in pixels: of a picture in a class's row, and of each in a strip."""
QUALITY = 88
_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{30}\.jpg")


@dataclass(frozen=True)
class SampleFiles:
    """A synthetic sample; what is None is not made yet.

    Attributes:
        cut: from where the coarse map is foreground.
    """

    image: Path
    coarse: Path | None
    mask: Path | None
    cut: float


class Pictures:
    """The pictures that a page asks for; :meth:`draw` makes those that are not there.

    Args:
        folder: of the page.

    Attributes:
        problems: what cannot be read, each file once.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._jobs: dict[str, Callable[[], ImageArray]] = {}
        self._digests: dict[Path, str] = {}
        self.problems: dict[str, AligndiffError] = {}

    def pair(self, pair: PairFiles) -> str:
        """A real picture with its mask; what is given back is its path relative to the page."""
        files = {"image": pair.image, "mask": pair.mask}
        return self._add(f"pair {pair.orientation}", files, lambda: thumbnails.real_pair(*load_pair(pair), LARGE))

    def image(self, path: Path, cell: int = LARGE) -> str:
        """A picture as it is; one that is smaller than ``cell`` is enlarged."""
        return self._add(f"image {cell}", {"image": path}, lambda: paint.fitted(read_image(path), cell))

    def chart(self, path: Path) -> str:
        """A chart or a sheet in its own size."""
        return self._add("chart", {"image": path}, lambda: read_image(path))

    def coarse(self, sample: SampleFiles) -> str:
        """The coarse map over its picture."""
        assert sample.coarse
        files = {"image": sample.image, "coarse": sample.coarse}
        return self._add(f"coarse {sample.cut:g}", files, lambda: _drawn(sample, LARGE)[1])

    def refined(self, sample: SampleFiles) -> str:
        """The refined mask over its picture."""
        assert sample.mask
        return self._add("refined", {"image": sample.image, "mask": sample.mask}, lambda: _drawn(sample, LARGE)[-1])

    def strip(self, sample: SampleFiles) -> str:
        """Picture, coarse map and refined mask side by side, as far as they are made."""
        files = {"image": sample.image, "coarse": sample.coarse, "mask": sample.mask}
        there = {name: path for name, path in files.items() if path is not None}
        return self._add(f"strip {sample.cut:g}", there, lambda: thumbnails.side_by_side(_drawn(sample, SMALL)))

    def scene(self, image: Path, labels: Path | None, number: int) -> str:
        """A scene with the contours of its labels, if it has a map of them, above all of class ``number``."""
        if labels is None:
            return self.image(image)
        return self._add(
            f"scene {number}",
            {"image": image, "labels": labels},
            lambda: thumbnails.scene(*_alike(read_image(image), read_label_map(labels), labels), number, LARGE),
        )

    def _add(self, drawing: str, files: Mapping[str, Path], draw: Callable[[], ImageArray]) -> str:
        try:
            digests = {name: self._digest(path) for name, path in files.items()}
        except InputError as error:
            self.problems.setdefault(str(error), error)
            return f"{FOLDER}/none"
        name = joint_digest({"drawing": f"{DRAWING} {drawing}", **digests})
        path = f"{FOLDER}/{name[:2]}/{name[2:]}.jpg"
        self._jobs[path] = draw
        return path

    def _digest(self, path: Path) -> str:
        if path not in self._digests:
            self._digests[path] = file_digest(path)
        return self._digests[path]

    def draw(self, progress: Progress, *, force: bool = False) -> tuple[dict[str, tuple[int, int]], int]:
        """Draw what is not there, several at a time, and remove what no page asks for any more.

        Returns:
            Path -> (width, height) of all that are there, and how many were drawn now.
        """
        sizes = {} if force else {path: size for path in self._jobs if (size := self._size(path))}
        new = [path for path in self._jobs if path not in sizes]
        progress.start(len(new), "pictures")
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            try:
                for path, drawn in zip(new, pool.map(self._draw, new), strict=True):
                    if isinstance(drawn, InputError):
                        self.problems.setdefault(str(drawn), drawn)
                    else:
                        sizes[path] = drawn
                    progress.advance(1)
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
        self._clear()
        return sizes, sum(path in sizes for path in new)

    def _draw(self, path: str) -> tuple[int, int] | InputError:
        try:
            picture = self._jobs[path]()
        except InputError as error:
            return error
        write_jpeg(self._folder / path, picture, QUALITY)
        return picture.shape[1], picture.shape[0]

    def _size(self, path: str) -> tuple[int, int] | None:
        try:
            with Image.open(self._folder / path) as picture:
                return picture.size
        except OSError:
            return None

    def _clear(self) -> None:
        for path in sorted((self._folder / FOLDER).glob("*/*.jpg")):
            name = path.relative_to(self._folder / FOLDER).as_posix()
            if _NAME.fullmatch(name) and f"{FOLDER}/{name}" not in self._jobs:
                path.unlink(missing_ok=True)


def _drawn(sample: SampleFiles, cell: int) -> list[ImageArray]:
    """The picture, its coarse map and its refined mask, as far as they are made.

    Raises:
        InputError: a file cannot be read, or is of another size than its picture.
    """
    image = read_image(sample.image)
    drawn = [paint.fitted(image, cell)]
    if sample.coarse:
        soft = _alike(image, read_soft(sample.coarse), sample.coarse)[1]
        drawn.append(thumbnails.coarse_map(image, soft, sample.cut, cell))
    if sample.mask:
        drawn.append(thumbnails.refined_mask(image, _alike(image, read_mask(sample.mask), sample.mask)[1], cell))
    return drawn


def _alike(image: ImageArray, other: np.ndarray, path: Path) -> tuple[ImageArray, np.ndarray]:
    if image.shape[:2] != other.shape:
        expected, got = (f"{shape[1]} x {shape[0]}" for shape in (image.shape, other.shape))
        raise InputError(f"expected {expected} (width x height), the size of its picture, got {got}", path)
    return image, other
