"""Pictures in and out of files: photographs, masks, soft maps.

What comes in is made canonical here, so that nothing behind this module meets a mode, a palette or an EXIF tag:
an image is uint8 (H, W, 3) RGB, a mask bool (H, W), a soft map float32 (H, W) in [0, 1].

How a file becomes an image:

- EXIF orientation is applied: rows and columns are those a viewer shows. A damaged EXIF block counts as none.
- Transparency (RGBA, LA, or a transparent palette entry) is laid on white, as pages and most cut-outs have it.
- 16-bit grey is scaled by the format's range (65535 becomes 255), never by what the picture happens to contain;
  floating point grey must lie in [0, 1]; whole numbers of 32 bits are refused.
- CMYK and the like are converted by Pillow without a colour profile; of an animation the first frame counts.

How a file becomes a mask is told in :mod:`aligndiff_cli.disk.mask_rules`.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aligndiff_cli.disk.atomic import atomic_write
from aligndiff_cli.disk.decoding import EXPORT, decode, turned_by_exif
from aligndiff_cli.disk.mask_rules import Kinds, kinds_of_colours, kinds_of_indices, kinds_of_levels
from aligndiff_cli.errors import InputError
from aligndiff_cli.labels import FOREGROUND, IGNORE

ImageArray = NDArray[np.uint8]
MaskArray = NDArray[np.bool_]
SoftArray = NDArray[np.float32]

PNG_LEVEL = 6
# a speck is no object: with fewer pixels than this the foreground is taken for a slip of the brush
MIN_FOREGROUND = 4


def read_image(path: Path) -> ImageArray:
    """Read a picture as RGB, upright.

    Returns:
        uint8 (H, W, 3).

    Raises:
        InputError: the file is missing, truncated, too large or no picture.
    """
    picture, _ = decode(path)
    if _is_deep(picture):
        levels, top = _levels(picture, path)
        grey = np.rint(levels * (255 / top)).astype(np.uint8)
        return np.repeat(grey[:, :, None], 3, axis=2)
    if _has_alpha(picture):
        rgba = _converted(picture, "RGBA", path)
        return np.array(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"))
    return np.array(_converted(picture, "RGB", path))


def read_mask(path: Path) -> MaskArray:
    """Read a mask, upright; see :mod:`aligndiff_cli.disk.mask_rules` for what counts as foreground.

    Returns:
        bool (H, W); it may be empty or full: :func:`check_pair` refuses those.

    Raises:
        InputError: the file cannot be read, is a photograph rather than a mask, or is too dark to be one.
    """
    return _read_kinds(path) == FOREGROUND


def read_ignored(path: Path) -> MaskArray:
    """The pixels that a mask file marks as "ignore" (VOC's 255); see :mod:`aligndiff_cli.disk.mask_rules`.

    Returns:
        bool (H, W); false throughout in a mask of two values.

    Raises:
        InputError: as :func:`read_mask`.
    """
    return _read_kinds(path) == IGNORE


def _read_kinds(path: Path) -> Kinds:
    picture, lossy = decode(path)
    if picture.mode == "1":
        return np.array(picture).astype(np.uint8)
    if picture.mode == "P" and not _alpha_varies(picture):
        return kinds_of_indices(np.array(picture), _palette(picture), path)
    if _alpha_varies(picture):
        # a cut-out: its colours are the object's, its alpha is the mask
        return kinds_of_levels(np.array(picture.convert("RGBA"))[:, :, 3], 255, lossy, path)
    if _is_grey(picture):
        return kinds_of_levels(*_levels(picture, path), lossy, path)
    return kinds_of_colours(np.array(_converted(picture, "RGB", path)), lossy, path)


def read_soft(path: Path) -> SoftArray:
    """Read a soft map, 8- or 16-bit grey: full scale is 1.

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        InputError: the file cannot be read, or is not grey.
    """
    picture, _ = decode(path)
    if not _is_grey(picture):
        raise InputError(
            f"expected a grey soft map (one channel), got a picture of mode {picture.mode}",
            path,
            "Save it as 8- or 16-bit greyscale PNG",
        )
    levels, top = _levels(picture, path)
    return (levels / top).astype(np.float32)


def check_pair(image: ImageArray, mask: MaskArray, image_path: Path, mask_path: Path) -> None:
    """Refuse a mask that does not belong to its image or says nothing.

    Args:
        image: uint8 (H, W, 3).
        mask: bool (H, W).
        image_path, mask_path: where they came from, for the message.

    Raises:
        InputError: the sizes differ, or the mask is empty, full, or a mere speck.
    """
    if image.shape[:2] != mask.shape:
        raise _size_error(image, mask, image_path, mask_path)
    count = int(mask.sum())
    if count == 0:
        raise InputError("the mask is empty: no pixel is foreground", mask_path, "Paint the object non-zero on 0")
    if count == mask.size:
        raise InputError(
            "the mask is full: no pixel is background", mask_path, "Paint the background 0; both are needed"
        )
    if count < MIN_FOREGROUND:
        raise InputError(
            f"expected at least {MIN_FOREGROUND} foreground pixels, got {count}", mask_path, "Paint the whole object"
        )


def write_png(path: Path, array: NDArray, palette: ImageArray | None = None) -> None:
    """Write a PNG atomically; the same array gives the same bytes.

    Args:
        path: file to write; its folder is made if need be.
        array: uint8 (H, W, 3) image; bool (H, W) mask, written as 0 / 255; uint8 (H, W) grey values or labels;
            or float (H, W) soft map in [0, 1], written as 8 bits.
        palette: uint8 (n, 3) colours that make a uint8 (H, W) array a palette PNG of labels.

    Raises:
        FolderError: no space is left, or the folder cannot be written to.
        ValueError: the array is none of these.
    """
    picture = Image.fromarray(_eight_bit(array))
    if palette is not None:
        if picture.mode != "L":
            raise ValueError(f"a palette needs a uint8 (H, W) array, got {array.dtype} {array.shape}")
        picture.putpalette(np.asarray(palette, np.uint8).tobytes())
    _save(path, picture, "PNG", compress_level=PNG_LEVEL)


def write_jpeg(path: Path, image: ImageArray, quality: int = 95) -> None:
    """Write a JPEG atomically, without chroma subsampling; the same image gives the same bytes.

    Raises:
        FolderError: no space is left, or the folder cannot be written to.
    """
    _save(path, Image.fromarray(_eight_bit(image)), "JPEG", quality=quality, subsampling=0)


def _save(path: Path, picture: Image.Image, kind: str, **options: int) -> None:
    # encoded in memory first: an error while writing is then the disk's, and never Pillow's
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    with atomic_write(path) as file:
        file.write(buffer.getbuffer())


def _eight_bit(array: NDArray) -> NDArray[np.uint8]:
    if array.dtype == np.bool_ and array.ndim == 2:
        return array.astype(np.uint8) * 255
    if array.dtype == np.uint8 and (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        return np.ascontiguousarray(array)
    if np.issubdtype(array.dtype, np.floating) and array.ndim == 2 and array.min() >= 0 and array.max() <= 1:
        return np.rint(array * 255).astype(np.uint8)
    raise ValueError(
        "expected a bool or uint8 (H, W), a uint8 (H, W, 3) or a float (H, W) array in [0, 1], "
        f"got {array.dtype} {array.shape}"
    )


def _has_alpha(picture: Image.Image) -> bool:
    return picture.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in picture.info


def _alpha_varies(picture: Image.Image) -> bool:
    if _is_deep(picture) or not _has_alpha(picture):
        return False
    low, high = picture.convert("RGBA").getchannel("A").getextrema()
    return low != high


def _is_deep(picture: Image.Image) -> bool:
    """More than 8 bits per value: I (32-bit), I;16 and its kin, F (floating point)."""
    return picture.mode[0] in "IF"


def _is_grey(picture: Image.Image) -> bool:
    if picture.mode in ("1", "L", "LA", "La") or _is_deep(picture):
        return True
    if picture.mode not in ("RGB", "RGBA", "RGBX"):
        return False
    red, green, blue = np.moveaxis(np.array(picture)[:, :, :3], 2, 0)
    return bool((red == green).all() and (green == blue).all())


def _levels(picture: Image.Image, path: Path) -> tuple[NDArray, int]:
    """Grey values, unsigned (H, W), and the value that is white."""
    if not _is_deep(picture):
        if picture.mode == "1":
            return np.array(picture).astype(np.uint8) * 255, 255
        return np.array(picture)[:, :, 0] if len(picture.getbands()) > 1 else np.array(picture), 255
    values = np.array(picture)
    top = 1.0 if picture.mode == "F" else 65535
    if not (np.isfinite(values).all() and values.min() >= 0 and values.max() <= top):
        raise InputError(
            f"expected values from 0 to {top:g}, got {values.min():g} to {values.max():g}",
            path,
            "Save it with 8 or 16 bits per channel",
        )
    return np.rint(values.astype(np.float64) * (65535 / top)).astype(np.uint16), 65535


def _palette(picture: Image.Image) -> NDArray[np.uint8]:
    """All 256 colours of a palette picture; entries the file leaves out are black."""
    colours = np.zeros((256, 3), np.uint8)
    given = np.array(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)[:256]
    colours[: len(given)] = given
    return colours


def _converted(picture: Image.Image, mode: str, path: Path) -> Image.Image:
    try:
        return picture.convert(mode)
    except ValueError as error:
        raise InputError(f"has colours of a kind that is not read ({picture.mode})", path, EXPORT) from error


def _size_error(image: ImageArray, mask: MaskArray, image_path: Path, mask_path: Path) -> InputError:
    height, width = image.shape[:2]
    what = (
        f"expected a mask of the size of '{image_path.name}', {width} x {height} (width x height), "
        f"got {mask.shape[1]} x {mask.shape[0]}"
    )
    if mask.shape == (width, height) and turned_by_exif(mask_path):
        remedy = (
            f"'{mask_path.name}' is shown turned by an EXIF orientation that its photograph has not; "
            "save the mask upright, without the tag"
        )
    else:
        remedy = "Draw the mask on this very image, or scale it to the same size"
    return InputError(what, mask_path, remedy)
