"""Picture files decoded, upright, with a plain word about those that cannot be.

EXIF orientation is applied: rows and columns are those a viewer shows. A damaged EXIF block counts as none.
"""

from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from aligndiff_cli.disk.regular import regular
from aligndiff_cli.errors import InputError

log = logging.getLogger(__name__)

Orientation = Literal["auto", "shown", "stored"]
"""What a mask was drawn on, where its photograph has an EXIF orientation: see :func:`turned_alike`."""

# EPS, PDF and other formats that run foreign interpreters are not opened at all
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF")
SUFFIXES = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp", "BMP": ".bmp", "TIFF": ".tif"}
LOSSY = frozenset({"JPEG", "MPO", "WEBP"})
MAX_PIXELS = 100_000_000
"""Larger pictures are refused before they are decoded: 100 megapixels are 300 MB of memory."""
EXPORT = "Open it in an image viewer and export it as PNG, or remove it"
_TAG = ExifTags.Base.Orientation
_TURNED = range(2, 9)
"""The orientations that are not upright; from 5 on rows and columns change places."""


def decode(path: Path) -> tuple[Image.Image, bool]:
    """The decoded, upright picture, and whether its format is a lossy one.

    Raises:
        InputError: the file is missing, truncated, too large or no picture.
    """
    picture, _ = load_picture(path)
    lossy = picture.format in LOSSY
    if _orientation(picture) in _TURNED:
        picture.info.pop("exif", None)  # which would be written anew, and may be damaged
        picture = ImageOps.exif_transpose(picture)
    return picture, lossy


def load_picture(
    path: Path, *, formats: tuple[str, ...] = FORMATS, coarsely: bool = False
) -> tuple[Image.Image, tuple[int, int]]:
    """The decoded picture as it is stored, and its width and height, which coarsely are not the decoded one's.

    Raises:
        InputError: as :func:`decode`.
    """
    try:
        data = regular(path).read_bytes()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path) from error
    if not data:
        raise InputError("is empty (0 bytes)", path, "Copy it again from where it came, or remove it")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's remarks on size and EXIF; what matters is raised below
        try:
            picture = Image.open(io.BytesIO(data), formats=formats)
            size = picture.size
            _check_size(size, path)
            if picture.format == "TIFF" and picture.mode == "I":  # of 16 bits it would be I;16
                what = "has 32 bits for each value, so that nobody can say which of them is white"
                raise InputError(what, path, "Save it with 8 or 16 bits per channel")
            if coarsely:
                picture.draft(None, (1, 1))  # a JPEG in eighths; other formats take no notice
            picture.load()
        except InputError:
            raise
        except Image.DecompressionBombError as error:
            raise _bomb("far more", path) from error
        except UnidentifiedImageError as error:
            expected = "PNG, JPEG, WebP, BMP or TIFF"
            raise InputError(f"is no picture that can be read (expected {expected})", path, EXPORT) from error
        except Exception as error:  # damaged bytes make Pillow's decoders raise nearly anything
            reason = str(error) or type(error).__name__
            raise InputError(f"is damaged or cut short ({reason})", path, EXPORT) from error
        _orientation(picture)  # its EXIF block is read here, where remarks on it are not shown
    return picture, size


def _check_size(size: tuple[int, int], path: Path) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise _bomb(f"{width} x {height} pixels", path)


def _bomb(reason: str, path: Path) -> InputError:
    limit = f"at most {MAX_PIXELS // 1_000_000} megapixels"
    return InputError(f"is too large to open: expected {limit}, got {reason}", path, "Scale it down, or remove it")


def _orientation(picture: Image.Image) -> int:
    try:
        return int(picture.getexif().get(_TAG, 1))
    except Exception:  # a damaged EXIF block must not cost the picture
        return 1


def checked_size(path: Path) -> tuple[int, int]:
    """Rows and columns of a picture as it is shown, if it can be decoded to its end.

    Of a JPEG only every eighth row and column is made, which takes less than half the time.

    Raises:
        InputError: as :func:`decode`.
    """
    picture, (width, height) = load_picture(path, coarsely=True)
    return (width, height) if _orientation(picture) >= 5 else (height, width)


def stored_size(path: Path) -> tuple[int, int]:
    """Width and height of a picture's stored pixels, whatever its EXIF orientation; only its head is read.

    Raises:
        InputError: it is no picture.
    """
    try:
        with Image.open(regular(path), formats=FORMATS) as picture:
            return picture.size
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise InputError("is no picture that can be read", path, EXPORT) from error


def suffix_of(data: bytes, where: Path) -> str:
    """The ending of a file with a picture's bytes; only their head is read.

    Args:
        where: what holds them.

    Raises:
        InputError: they are no picture.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
            return SUFFIXES.get(picture.format or "", ".jpg")  # MPO is JPEG's with more pictures behind the first
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        remedy = "Save its picture beside it, as a PNG or JPEG file of the same name"
        raise InputError("holds no picture that can be read", where, remedy) from error


def turned_by_exif(path: Path) -> bool:
    """Whether a file's EXIF orientation swaps its rows and columns."""
    return _orientation_of(path) >= 5


def turned_alike(
    drawn: NDArray, shape: tuple[int, int], image_path: Path, drawn_path: Path, orientation: Orientation = "auto"
) -> NDArray:
    """What was drawn on a photograph's stored pixels, turned as its EXIF orientation turns the photograph.

    Several labelling tools pass over the orientation. Where the drawing fits the unturned photograph and not the turned
    one, it is turned too; where it fits both (a square, half a turn, a mirror), it is taken as drawn on the photograph
    as it is shown. A line in the log says which was done. What has an orientation of its own is upright already.

    Args:
        drawn: bool or uint8 (H, W), a mask or a label map.
        shape: (H, W) of the photograph as it is shown.
        image_path, drawn_path: where both came from.
        orientation: on which of the two it was drawn, if that is known.

    Returns:
        The same, or turned.
    """
    tag = _orientation_of(image_path)
    stored = shape[::-1] if tag >= 5 else shape
    if tag not in _TURNED or orientation == "shown" or drawn.shape != stored:
        return drawn
    if _orientation_of(drawn_path) in _TURNED:
        return drawn
    if orientation == "auto" and drawn.shape == shape:
        log.info(
            "%s fits %s as it is shown and as it is stored, which its EXIF orientation turns: it is taken as drawn on "
            "what is shown; --mask-orientation stored turns it with the photograph",
            drawn_path,
            image_path.name,
        )
        return drawn
    if orientation == "auto":
        log.info("%s is drawn on the unturned pixels of %s: it is turned with it", drawn_path, image_path.name)
    turned = Image.fromarray(drawn.astype(np.uint8))
    turned.getexif()[_TAG] = tag
    return np.array(ImageOps.exif_transpose(turned)).astype(drawn.dtype)


def _orientation_of(path: Path) -> int:
    try:
        with Image.open(regular(path), formats=FORMATS) as picture:
            return _orientation(picture)
    except (OSError, ValueError, InputError, Image.DecompressionBombError):
        return 1
