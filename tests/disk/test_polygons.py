from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from aligndiff_cli.disk.polygons import area, fill, joined, outline, simplified, trace


def rings_of(mask: np.ndarray) -> list[np.ndarray]:
    return [ring for part in trace(mask) for ring in part]


def test_one_pixel_is_a_square_gone_round_clockwise() -> None:
    mask = np.zeros((3, 5), bool)
    mask[1, 2] = True

    [[ring]] = trace(mask)

    assert ring.tolist() == [[2, 1], [3, 1], [3, 2], [2, 2]]
    assert area([ring]) == 1


def test_a_hole_belongs_to_its_part_and_counts_against_it() -> None:
    mask = np.zeros((6, 9), bool)
    mask[1:5, 1:6] = True
    mask[2, 3] = False
    mask[4, 8] = True

    parts = trace(mask)

    assert [len(part) for part in parts] == [2, 1]
    assert [area(part) for part in parts] == [19, 1]
    assert area([parts[0][1]]) == -1


def test_pixels_that_touch_at_a_corner_are_one_part() -> None:
    assert len(trace(np.eye(3, 4, dtype=bool))) == 1
    assert len(trace(np.eye(3, 4, dtype=bool)[:, ::-1])) == 1


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_filling_what_was_traced_gives_the_mask_back(share: float) -> None:
    mask = np.random.default_rng(3).random((17, 29)) < share

    assert (fill(rings_of(mask), *mask.shape) == mask).all()
    assert (fill([joined(rings_of(mask))], *mask.shape) == mask).all()


def test_nothing_has_no_outline() -> None:
    assert trace(np.zeros((2, 3), bool)) == []
    assert not fill([], 2, 3).any()


def test_simplified_keeps_within_its_tolerance() -> None:
    ring = np.array([[0, 0], [4, 0.3], [8, 0], [8, 6], [0, 6]], float)

    assert simplified(ring, 0.5).tolist() == [[0, 0], [8, 0], [8, 6], [0, 6]]
    assert simplified(ring, 0.2).tolist() == ring.tolist()


def ellipse(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    mask = ((x - width / 2) / (0.4 * width)) ** 2 + ((y - height / 2) / (0.45 * height)) ** 2 < 1
    mask[height // 3 : height // 2, width // 3 : width // 2] = False  # a hole
    mask[:4, : width // 4] = True  # another part, at the border
    return mask


@pytest.mark.parametrize("size", [(64, 48), (300, 512)])
def test_the_outline_drawn_by_another_program_agrees_with_the_mask(size: tuple[int, int]) -> None:
    mask = ellipse(*size)

    line = outline(rings_of(mask), *size)

    grown = 8  # Pillow paints the borders of a polygon as well: drawn large, that is little
    canvas = Image.new("L", (size[1] * grown, size[0] * grown))
    ImageDraw.Draw(canvas).polygon([(x * grown - 0.5, y * grown - 0.5) for x, y in line.corners.tolist()], fill=1)
    drawn = np.asarray(canvas)[grown // 2 :: grown, grown // 2 :: grown].astype(bool)
    assert (drawn & mask).sum() / (drawn | mask).sum() > 0.95
    assert line.iou >= 0.98
    assert len(line.corners) < 300


def test_noise_is_told_roughly_but_told() -> None:
    mask = np.random.default_rng(0).random((200, 310)) < 0.5

    assert 3 <= len(outline(rings_of(mask), *mask.shape).corners) < 12_000
