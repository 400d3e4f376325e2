"""Sheets have the tiles they were given, in their place, and take no more than they can show."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from aligndiff_cli.report import paint
from aligndiff_cli.report.sheets import (
    CELL,
    COLUMNS,
    GAP,
    MARGIN,
    Row,
    Tile,
    contact_sheet,
    generation_sheet,
    inversion_sheet,
    mask_sheet,
    scene_sheet,
)


def flat(colour: tuple[int, int, int], height: int = 40, width: int = 60) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def count(sheet: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int((sheet == colour).all(axis=2).sum())


MASK = np.zeros((40, 60), bool)
MASK[10:30, 20:40] = True


def test_tiles_lie_in_their_columns_and_rows() -> None:
    sheet = contact_sheet([[Tile(flat((255, 0, 0))), Tile(flat((0, 255, 0)))], [Tile(flat((0, 0, 255)))]], cell=90)
    assert sheet.shape == (2 * MARGIN + 2 * 60 + GAP, 2 * MARGIN + 2 * 90 + GAP, 3)
    assert sheet[MARGIN, MARGIN].tolist() == [255, 0, 0]
    assert sheet[MARGIN + 59, MARGIN + 89].tolist() == [255, 0, 0]
    assert sheet[MARGIN + 30, MARGIN + 90 + GAP + 45].tolist() == [0, 255, 0]
    assert sheet[MARGIN + 60 + GAP, MARGIN].tolist() == [0, 0, 255]
    assert count(sheet, (0, 0, 255)) == 60 * 90


def test_narrow_pictures_are_centred() -> None:
    sheet = contact_sheet([[Tile(flat((255, 0, 0), 60, 20)), Tile(flat((0, 255, 0), 60, 60))]], cell=60)
    columns = np.flatnonzero((sheet == (255, 0, 0)).all(axis=2).any(axis=0))
    assert (columns[0], columns[-1]) == (MARGIN + 20, MARGIN + 39)


def test_title_legend_heading_caption_and_border_take_room() -> None:
    tiles = [Tile(flat((9, 9, 9)))]
    heights = [
        contact_sheet([tiles]).shape[0],
        contact_sheet([tiles], "title").shape[0],
        contact_sheet([tiles], "title", legend=[("mask", paint.RED)]).shape[0],
        contact_sheet([Row(tiles, "heading")], "title", legend=[("mask", paint.RED)]).shape[0],
        contact_sheet([Row([Tile(tiles[0].image, "caption")], "heading")], "title", legend=[("mask", paint.RED)]).shape[
            0
        ],
    ]
    assert heights == sorted(set(heights))
    framed = contact_sheet([[Tile(flat((9, 9, 9)), border=(1, 200, 1))]], cell=60)
    assert count(framed, (1, 200, 1)) == 68 * 48 - 60 * 40


def test_long_words_do_not_widen_the_sheet() -> None:
    long = "an endless name " * 40
    plain = contact_sheet([[Tile(flat((9, 9, 9)))] * 3])
    full = contact_sheet([Row([Tile(flat((9, 9, 9)), long)] * 3, long)], long, legend=[(long, paint.RED)] * 3)
    assert full.shape[1] == plain.shape[1]
    assert (full[:, :MARGIN] == 255).all()
    assert (full[:, -MARGIN + 1 :] == 255).all()


@pytest.mark.parametrize("rows", [[], [[]], [Row([], "none")]])
def test_nothing_to_show(rows: list) -> None:
    assert contact_sheet(rows, "nothing").shape[2] == 3


def test_inversion_sheet_shows_source_and_generated() -> None:
    sheet = inversion_sheet("crème/01", flat((50, 60, 70)), MASK, [flat((200, 1, 2)), flat((1, 200, 2))])
    assert count(sheet, (200, 1, 2)) == count(sheet, (1, 200, 2)) == CELL * CELL * 2 // 3
    assert count(sheet, paint.YELLOW) > 200
    assert sheet.shape[1] == 2 * MARGIN + 3 * (CELL + GAP) - GAP


def test_generation_sheet_has_images_over_maps() -> None:
    soft = np.zeros((40, 60), np.float32)
    sheet = generation_sheet("dog", [(flat((200, 1, 2)), soft, f"dog/text-{n:04d}") for n in range(COLUMNS + 1)])
    assert count(sheet, (200, 1, 2)) == (COLUMNS + 1) * CELL * CELL * 2 // 3
    dark = tuple(paint.heat(flat((200, 1, 2)), soft)[0, 0].tolist())
    assert count(sheet, dark) == count(sheet, (200, 1, 2))


def test_mask_sheet_has_all_groups() -> None:
    one = (flat((90, 90, 90)), MASK, np.roll(MASK, 9, 1), 0.5)
    sheet = mask_sheet("dog", {"good": [one] * 2, "bad": [], "re-estimated": [one]})
    single = mask_sheet("dog", {"good": [one]})
    legend = 2 * 17 * 13
    assert count(sheet, paint.YELLOW) > 2.5 * (count(single, paint.YELLOW) - legend)
    assert sheet.shape[0] > 2 * (single.shape[0] - 2 * MARGIN - 60)


def test_scene_sheet_names_only_what_is_seen() -> None:
    labels = np.zeros((40, 60), np.uint8)
    labels[5:20, 5:30] = 2
    scenes = [(flat((90, 90, 90)), labels)]
    named = scene_sheet(scenes, ["one", "two", "three"])
    assert count(named, (128, 0, 0)) == 0
    assert count(named, (0, 128, 0)) > count(scene_sheet(scenes), (0, 128, 0)) + 100


def test_endless_streams_are_cut() -> None:
    image, soft = flat((1, 2, 3)), np.zeros((40, 60), np.float32)
    labels = np.zeros((40, 60), np.uint8)
    for sheet in (
        generation_sheet("dog", itertools.repeat((image, soft, "a"))),
        inversion_sheet("dog", image, MASK, itertools.repeat(image)),
        mask_sheet("dog", {"good": itertools.repeat((image, MASK, MASK, 1.0))}),
        scene_sheet(itertools.repeat((image, labels))),
    ):
        assert max(sheet.shape) < 4000


def test_same_input_same_bytes() -> None:
    pair = (flat((90, 90, 90)), MASK, MASK, 0.5)
    assert np.array_equal(mask_sheet("dog", {"good": [pair]}), mask_sheet("dog", {"good": [pair]}))
