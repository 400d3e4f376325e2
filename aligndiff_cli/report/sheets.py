"""Contact sheets: what a stage made, at a glance.

:func:`contact_sheet` lays tiles out in rows; the functions below it are the sheets of the stages. All of them give
uint8 (H, W, 3), take a bounded number of tiles however many they are offered, and draw the same bytes every time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from aligndiff_cli.disk.images import ImageArray, MaskArray, SoftArray
from aligndiff_cli.disk.voc import voc_palette
from aligndiff_cli.report import paint
from aligndiff_cli.report.text import drawable, font, shortened, width_of, wrapped

CELL = 192
"""Longer side of a picture on a sheet, in pixels."""
COLUMNS = 8
ROWS = 12
GAP, MARGIN, BORDER = 12, 24, 4
TITLE, HEADING, CAPTION = 24, 17, 13
CAPTION_LINES = 2
LINE = 1.35
"""Line height, in font sizes."""
GROUND: paint.Colour = (255, 255, 255)


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet.

    Attributes:
        image: uint8 (H, W, 3), of any size and proportion.
        caption: words below it; long ones are wrapped and cut.
        border: colour of a frame, or None.
    """

    image: ImageArray
    caption: str = ""
    border: paint.Colour | None = None


@dataclass(frozen=True)
class Row:
    """Tiles side by side, under a heading if there is one."""

    tiles: Sequence[Tile]
    heading: str = ""


Legend = Sequence[tuple[str, paint.Colour]]


def contact_sheet(
    rows: Sequence[Row | Sequence[Tile]], title: str = "", *, legend: Legend = (), cell: int = CELL
) -> ImageArray:
    """Lay tiles out in rows under a title.

    Args:
        rows: tiles, top to bottom and left to right; rows may differ in length.
        title: words at the top.
        legend: what the colours mean, beneath the title.
        cell: pictures are scaled until their longer side is this many pixels, and centred in their column.

    Returns:
        uint8 (H, W, 3).
    """
    lines = [row if isinstance(row, Row) else Row(row) for row in rows]
    columns = max((len(row.tiles) for row in lines), default=1)
    width = 2 * MARGIN + max(columns, 2) * (cell + GAP) - GAP
    head = _head_lines(title, legend, width - 2 * MARGIN)
    height = MARGIN + head.height + sum(_row_height(row, cell) for row in lines) + MARGIN - GAP
    sheet = Image.new("RGB", (width, height), GROUND)
    draw = ImageDraw.Draw(sheet)
    top = _draw_head(draw, head)
    for row in lines:
        _draw_row(sheet, draw, row, top, cell)
        top += _row_height(row, cell)
    return np.array(sheet)


def inversion_sheet(name: str, image: ImageArray, mask: MaskArray, generated: Iterable[ImageArray]) -> ImageArray:
    """What an embedding generates, beside the pair it was learnt from.

    Args:
        name: class and stem.
        image, mask: the source.
        generated: images generated with v*.
    """
    border = paint.fitted_mask(mask, CELL)
    source = Tile(paint.outline(paint.fitted(image, CELL), border, paint.YELLOW), border=paint.BLUE)
    row = [source, *(Tile(picture) for picture in islice(generated, COLUMNS - 1))]
    legend = [("source", paint.BLUE), ("its mask", paint.YELLOW)]
    return contact_sheet([row], f"{name}: source, and what its embedding generates", legend=legend)


def generation_sheet(cls: str, samples: Iterable[tuple[ImageArray, SoftArray, str]]) -> ImageArray:
    """Generated images of a class, each above its coarse map as heat.

    Args:
        cls: class name.
        samples: image, coarse map of the same size, and id.
    """
    rows: list[Row] = []
    for chunk in _chunks(islice(samples, COLUMNS * ROWS // 2)):
        rows.append(Row([Tile(image) for image, _, _ in chunk]))
        maps = [
            Tile(paint.heat(paint.fitted(image, CELL), paint.fitted_soft(soft, CELL)), caption.rpartition("/")[2])
            for image, soft, caption in chunk
        ]
        rows.append(Row(maps))
    return contact_sheet(rows, f"{cls}: images and coarse masks")


def mask_sheet(cls: str, groups: Mapping[str, Iterable[tuple[ImageArray, MaskArray, MaskArray, float]]]) -> ImageArray:
    """How masks were refined: contour of the coarse mask, refined mask filled.

    Args:
        cls: class name.
        groups: heading (good, bad, re-estimated) -> image, coarse mask, refined mask, consensus IoU.
    """
    rows = []
    for heading, samples in groups.items():
        tiles = [_mask_tile(*sample) for sample in islice(samples, COLUMNS)]
        rows.append(Row(tiles, heading if tiles else f"{heading}: none"))
    legend = [("coarse", paint.YELLOW), ("refined", paint.CYAN)]
    return contact_sheet(rows, f"{cls}: coarse and refined masks", legend=legend)


def scene_sheet(
    scenes: Iterable[tuple[ImageArray, NDArray[np.uint8]]], names: Sequence[str] = (), title: str = "Scenes"
) -> ImageArray:
    """Scenes above their labels in VOC's colours.

    Args:
        scenes: image and label map (0 background, 255 ignore) of the same size.
        names: names of classes 1, 2, ...; those that appear make the legend.
        title: words at the top.
    """
    rows: list[Row] = []
    seen: set[int] = set()
    cell = CELL * 4 // 3
    for chunk in _chunks(islice(scenes, COLUMNS * ROWS // 4), COLUMNS // 2):
        rows.append(Row([Tile(image) for image, _ in chunk]))
        painted = [
            paint.painted_labels(paint.fitted(image, cell), paint.fitted_labels(labels, cell))
            for image, labels in chunk
        ]
        rows.append(Row([Tile(picture) for picture in painted]))
        seen.update(int(value) for _, labels in chunk for value in np.unique(labels))
    colours = voc_palette()
    shown = [value for value in sorted(seen) if 0 < value <= len(names)]
    legend = [(names[value - 1], (int(r), int(g), int(b))) for value in shown for r, g, b in [colours[value]]]
    return contact_sheet(rows, title, legend=legend, cell=cell)


def _mask_tile(image: ImageArray, coarse: MaskArray, refined: MaskArray, consensus: float) -> Tile:
    large = paint.overlay(paint.fitted(image, CELL), paint.fitted_mask(refined, CELL), paint.CYAN)
    return Tile(paint.outline(large, paint.fitted_mask(coarse, CELL), paint.YELLOW), f"IoU {consensus:.2f}")


def _chunks(items: Iterable, size: int = COLUMNS) -> Iterable[list]:
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk


@dataclass(frozen=True)
class _Head:
    """Title lines, legend entries with their place (x, line), and the height of both in pixels."""

    title: list[str]
    legend: list[tuple[str, paint.Colour, int, int]]
    height: int


def _head_lines(title: str, legend: Legend, width: int) -> _Head:
    lines = wrapped(title, TITLE, width, 2)
    placed, x, line = [], 0, 0
    for words, colour in legend:
        name = shortened(drawable(words), CAPTION, width - 24)
        length = 24 + width_of(name, CAPTION)
        if x and x + length > width:
            x, line = 0, line + 1
        placed.append((name, colour, x, line))
        x += length + 20
    height = _leading(TITLE) * len(lines) + (_leading(CAPTION) * (line + 1) + 4 if placed else 0)
    return _Head(lines, placed, height + GAP if height else 0)


def _draw_head(draw: ImageDraw.ImageDraw, head: _Head) -> int:
    """Draw title and legend; returns where the rows begin."""
    top = MARGIN
    for line in head.title:
        draw.text((MARGIN, top), line, paint.INK, font(TITLE))
        top += _leading(TITLE)
    for name, colour, x, row in head.legend:
        y = top + 4 + row * _leading(CAPTION)
        draw.rounded_rectangle((MARGIN + x, y + 1, MARGIN + x + 16, y + 13), 3, colour)
        draw.text((MARGIN + x + 22, y), name, paint.INK, font(CAPTION))
    return MARGIN + head.height


def _row_height(row: Row, cell: int) -> int:
    heading = _leading(HEADING) + 4 if row.heading else 0
    if not row.tiles:
        return heading + GAP
    captions = max(len(_caption(tile, cell)) for tile in row.tiles)
    return heading + _picture_height(row, cell) + (4 + captions * _leading(CAPTION) if captions else 0) + GAP


def _picture_height(row: Row, cell: int) -> int:
    return max(round(cell * min(1.0, tile.image.shape[0] / tile.image.shape[1])) for tile in row.tiles)


def _caption(tile: Tile, cell: int) -> list[str]:
    return wrapped(tile.caption, CAPTION, cell, CAPTION_LINES)


def _draw_row(sheet: Image.Image, draw: ImageDraw.ImageDraw, row: Row, top: int, cell: int) -> None:
    if row.heading:
        words = shortened(drawable(row.heading), HEADING, sheet.width - 2 * MARGIN)
        draw.text((MARGIN, top), words, paint.INK, font(HEADING))
        top += _leading(HEADING) + 4
    for column, tile in enumerate(row.tiles):
        left = MARGIN + column * (cell + GAP)
        room = _picture_height(row, cell)
        picture = Image.fromarray(paint.fitted(tile.image, cell))
        x, y = left + (cell - picture.width) // 2, top + (room - picture.height) // 2
        sheet.paste(picture, (x, y))
        if tile.border is not None:
            box = (x - BORDER, y - BORDER, x + picture.width + BORDER - 1, y + picture.height + BORDER - 1)
            draw.rectangle(box, outline=tile.border, width=BORDER)
        for number, line in enumerate(_caption(tile, cell)):
            place = (left + (cell - width_of(line, CAPTION)) // 2, top + room + 4 + number * _leading(CAPTION))
            draw.text(place, line, paint.INK, font(CAPTION))


def _leading(size: int) -> int:
    return round(size * LINE)
