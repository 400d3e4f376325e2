"""One matrix out of a MATLAB file (level 5, the format of SBD's label maps), without MATLAB or SciPy.

A file is a head of 128 bytes, then elements: type and size, 4 bytes each, then the content, padded to 8 bytes. Content
of up to 4 bytes takes the place of the size, which is then found in the upper half of the type. An array is an element
made of elements: flags (whose lowest byte is the class), sizes, name, then its values, or, of a struct, the length of a
field's name, the names, and one array per field. A compressed element holds a deflated one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aligndiff_cli.disk.regular import regular
from aligndiff_cli.errors import InputError

HEAD = 128
ARRAY, COMPRESSED = 14, 15
STRUCT = 2
VALUES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}


def read_mat(path: Path, variable: str, field: str) -> NDArray:
    """A matrix that is a field of a struct, e.g. ``GTcls.Segmentation``.

    Args:
        path: the file.
        variable: name of the struct, 1 x 1.
        field: name of its field.

    Returns:
        The matrix (rows, columns), as stored.

    Raises:
        InputError: unreadable, of another version, or without such a matrix.
    """
    try:
        data = regular(path).read_bytes()
        order = {b"IM": "<", b"MI": ">"}[data[126:128]]
        for kind, content in _elements(data[HEAD:], order):
            if kind == ARRAY and (found := _field(content, order, variable, field)) is not None:
                return found
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path) from error
    except (KeyError, IndexError, ValueError, struct.error, zlib.error) as error:
        remedy = "Copy it again from its archive; files of MATLAB 7.3 (HDF5) are not read"
        raise InputError(f"is damaged, or not a MATLAB file of level 5 ({error})", path, remedy) from error
    raise InputError(f"holds no {variable}.{field}", path)


def _elements(data: bytes, order: str) -> Iterator[tuple[int, bytes]]:
    """Type and content of one element after another; compressed ones unpacked."""
    at = 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if kind >> 16:
            yield kind & 0xFFFF, data[at + 4 : at + 4 + (kind >> 16)]
            at += 8
            continue
        content = data[at + 8 : at + 8 + size]
        if len(content) < size:
            raise ValueError("it is cut short")
        if kind == COMPRESSED:
            yield from _elements(zlib.decompress(content), order)
            at += 8 + size
        else:
            yield kind, content
            at += 8 + size + -size % 8


def _field(array: bytes, order: str, variable: str, field: str) -> NDArray | None:
    """The field of an array, if it is that struct and has it."""
    (_, flags), _, (_, name), *rest = _elements(array, order)
    if name.decode() != variable or struct.unpack_from(f"{order}I", flags)[0] & 0xFF != STRUCT:
        return None
    (_, length), (_, names), *fields = rest
    width = struct.unpack_from(f"{order}i", length)[0]
    known = [names[at : at + width].split(b"\0")[0].decode() for at in range(0, len(names), width)]
    return _matrix(fields[known.index(field)][1], order) if field in known else None


def _matrix(array: bytes, order: str) -> NDArray:
    """A matrix of numbers, which MATLAB stores column by column."""
    _, (_, sizes), _, (kind, values) = list(_elements(array, order))[:4]
    shape = struct.unpack(f"{order}{len(sizes) // 4}i", sizes)
    return np.frombuffer(values, f"{order}{VALUES[kind]}").reshape(shape, order="F")
