"""Bad and odd input, written by functions so that every test can make its own.

All pictures are non-square, and the object lies off centre, so that a swap of rows and columns or a missed turn shows.
"""

from __future__ import annotations

import io
import os
import struct
import unicodedata
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HEIGHT, WIDTH = 24, 36
ACCENTED = unicodedata.normalize("NFC", "crème brûlée à part")


def image_and_mask(height: int = HEIGHT, width: int = WIDTH) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """A red block towards the upper left of a blue-green gradient, and its mask."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, :, 1] = np.linspace(0, 120, width, dtype=np.uint8)
    image[:, :, 2] = np.linspace(60, 200, height, dtype=np.uint8)[:, None]
    mask = np.zeros((height, width), bool)
    mask[height // 8 : height // 2, width // 6 : width // 2] = True
    image[mask] = (230, 30, 20)
    return image, mask


def save(path: Path, array: NDArray, mode_or_format: str | None = None) -> Path:
    """Save an array by the path's suffix, folders made; bool becomes 0 / 255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    array = array.astype(np.uint8) * 255 if array.dtype == np.bool_ else array
    Image.fromarray(array).save(path, mode_or_format)
    return path


def good_pair(folder: Path, stem: str, image_suffix: str = ".jpg", mask_name: str | None = None) -> Path:
    """A pair as it should be, ``<stem>.jpg`` and ``<stem>.png`` unless told otherwise; returns the image."""
    image, mask = image_and_mask()
    save(folder / (mask_name or f"{stem}.png"), mask)
    return save(folder / (stem + image_suffix), image)


# images


def exif_turned(path: Path, image: NDArray[np.uint8], orientation: int = 6) -> Path:
    """A photograph whose EXIF tag asks viewers to turn it; shown, it looks like ``image`` (for 1, 3, 6 and 8)."""
    turns = {1: 0, 3: 2, 6: 1, 8: 3}[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(np.rot90(image, turns))).save(path, exif=exif, quality=95)
    return path


def grey_16bit(path: Path, levels: NDArray[np.uint16]) -> Path:
    """A 16-bit greyscale PNG or TIFF."""
    return save(path, levels.astype(np.uint16))


def rgba(path: Path, image: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> Path:
    """A picture with transparency."""
    return save(path, np.dstack([image, alpha]))


def cmyk_jpeg(path: Path, image: NDArray[np.uint8]) -> Path:
    """A JPEG in printing inks."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).convert("CMYK").save(path, quality=95)
    return path


# masks


def bilevel_mask(path: Path, mask: NDArray[np.bool_]) -> Path:
    """One bit per pixel."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return path


def palette_mask(path: Path, labels: NDArray[np.uint8], colours: list[tuple[int, int, int]] | None = None) -> Path:
    """A palette PNG of labels; without colours, in VOC's first ones, and VOC's ignore colour at 255."""
    path.parent.mkdir(parents=True, exist_ok=True)
    palette = np.zeros((256, 3), np.uint8)
    palette[:4] = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0)]
    palette[255] = (224, 224, 192)
    if colours is not None:
        palette[: len(colours)] = colours
    picture = Image.fromarray(labels)
    picture.putpalette(palette.tobytes())
    picture.save(path)
    return path


def jpeg_smeared(mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A 0 / 255 mask after a pass through JPEG: values near 0 and near 255."""
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(buffer, "JPEG", quality=40)
    return np.array(Image.open(buffer))


# damage


def cut_short(path: Path, keep: float = 0.6) -> Path:
    """Cut the end off a file that exists, as a broken download does."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


def zero_bytes(path: Path) -> Path:
    """An empty file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    return path


def text_file(path: Path) -> Path:
    """Words under any name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("these are words\n")
    return path


def pipe(path: Path) -> Path:
    """A pipe that nobody writes to: whoever opens it waits for ever."""
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    return path


def bomb(path: Path, side: int = 60_000) -> Path:
    """A PNG of a few bytes that claims side x side pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    )
    return path


def nasty_support(root: Path) -> tuple[set[tuple[str, str]], set[tuple[str, str]], int]:
    """A support folder with everything that goes wrong.

    Returns:
        (class, stem) of the pairs that load; of the pairs that are found but do not load; and how many problems
        a scan finds.
    """
    image, mask = image_and_mask()
    empty = np.zeros_like(mask)

    good_pair(root / "cat", "plain")
    good_pair(root / "cat", "png", ".png", "png_mask.png")
    good_pair(root / "cat", "LOUD", ".JPG", "LOUD.PNG")
    good_pair(root / ACCENTED, "à la carte")
    exif_turned(root / "cat" / "turned.jpg", image)
    save(root / "cat" / "turned.png", mask)
    save(root / "cat" / "deep.jpg", image)
    grey_16bit(root / "cat" / "deep.png", mask.astype(np.uint16) * 65535)
    save(root / "cat" / "voc.jpg", image)
    palette_mask(root / "cat" / "voc.png", mask.astype(np.uint8) * 15)
    save(root / "cat" / "alpha.jpg", image)
    rgba(root / "cat" / "alpha.png", image, mask.astype(np.uint8) * 255)
    exif_turned(root / "cat" / "unturned-mask.jpg", image)
    save(root / "cat" / "unturned-mask.png", np.ascontiguousarray(np.rot90(mask)))
    loads = {("cat", s) for s in ("plain", "png", "LOUD", "turned", "deep", "voc", "alpha", "unturned-mask")}
    loads.add((ACCENTED, "à la carte"))

    for stem, bad in (("empty", empty), ("full", ~empty), ("other-size", mask[:-2])):
        save(root / "dog" / f"{stem}.jpg", image)
        save(root / "dog" / f"{stem}.png", bad)
    cut_short(good_pair(root / "dog", "cut-image"))
    good_pair(root / "dog", "cut-mask")
    cut_short(root / "dog" / "cut-mask.png")
    good_pair(root / "dog", "zero")
    zero_bytes(root / "dog" / "zero.jpg")
    good_pair(root / "dog", "words")
    text_file(root / "dog" / "words.jpg")
    good_pair(root / "dog", "bomb", ".png", "bomb_mask.png")
    bomb(root / "dog" / "bomb.png")
    stems = ("empty", "full", "other-size", "cut-image", "cut-mask", "zero", "words", "bomb")
    fails = {("dog", s) for s in stems}

    save(root / "bird" / "no-mask.jpg", image)
    save(root / "bird" / "no-image_mask.png", mask)
    good_pair(root / "bird", "twice")
    save(root / "bird" / "twice.jpeg", image)
    zero_bytes(root / "bird" / "phone.heic")
    save(root / "bird" / "nested" / "deep.jpg", image)
    save(root / "loose.jpg", image)
    for ignored in (".DS_Store", "Thumbs.db", "readme.txt", "._plain.jpg"):
        text_file(root / "cat" / ignored)
    return loads, fails, 6
