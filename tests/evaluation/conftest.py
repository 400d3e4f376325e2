"""A world of flat colours, and a few-shot segmenter for it that can be followed by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from aligndiff_cli.disk.images import write_png
from aligndiff_cli.disk.support import PairFiles
from aligndiff_cli.evaluation.support_sets import MaskFile, SampleFiles
from aligndiff_cli.method.consensus import Pair

RED, BLUE, GREY = (200, 0, 0), (0, 0, 200), (90, 90, 90)
H, W = 6, 10


class ColourSegmenter:
    """Remembers the colour of each support's first foreground pixel; each votes for the pixels of that colour."""

    batch = 3

    def __init__(self) -> None:
        self.conditioned: list[int] = []
        self.seen = 0

    def condition(self, pairs: Sequence[Pair]) -> list[tuple[int, ...]]:
        self.conditioned.append(len(pairs))
        return [tuple(image[mask][0].tolist()) for image, mask in pairs]

    def see(self, images: Sequence[np.ndarray]) -> list[np.ndarray]:
        self.seen += len(images)
        return list(images)

    def join(self, states: Sequence[list[tuple[int, ...]]]) -> list[tuple[int, ...]]:
        return [colour for state in states for colour in state]

    def predict(self, state: list[tuple[int, ...]], images: Sequence[np.ndarray]) -> list[np.ndarray]:
        maps = []
        for image in images:
            votes = np.sum([(image == colour).all(axis=2) for colour in state], axis=0).astype(np.float32)
            maps.append(votes / max(votes.max(), 1))
        return maps


def picture(red: int, blue: int) -> np.ndarray:
    """Grey, with that many red columns at the left and blue ones at the right."""
    image = np.full((H, W, 3), GREY, dtype=np.uint8)
    image[:, :red] = RED
    if blue:
        image[:, -blue:] = BLUE
    return image


class World:
    """Writes pairs and samples into a folder. The true object is red; blue is something else."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def pair(self, stem: str, red: int, blue: int = 0, cls: str = "dog") -> PairFiles:
        image, mask = self.root / cls / f"{stem}.png", self.root / cls / f"{stem}_mask.png"
        write_png(image, picture(red, blue))
        truth = np.zeros((H, W), dtype=bool)
        truth[:, :red] = True
        write_png(mask, truth)
        return PairFiles(cls, stem, image, mask)

    def sample(self, name: str, *, good: bool = True, coarse: np.ndarray | None = None) -> SampleFiles:
        """A sample that shows 4 red and 3 blue columns; its refined mask marks the red or the blue ones."""
        kind = name.partition("-")[0]
        paths = [self.root / folder / f"{name}.png" for folder in ("images", "refined", "coarse")]
        write_png(paths[0], picture(4, 3))
        refined = np.zeros((H, W), dtype=bool)
        if good:
            refined[:, :4] = True
        else:
            refined[:, -3:] = True
        write_png(paths[1], refined)
        write_png(paths[2], refined.astype(np.float32) * 0.6 if coarse is None else coarse)
        return SampleFiles(
            f"dog/{name}", kind, paths[0], {"refined": MaskFile(paths[1]), "coarse": MaskFile(paths[2], 0.4)}
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def segmenter() -> ColourSegmenter:
    return ColourSegmenter()
