"""Words in pictures: one font that comes with Pillow, so that a picture looks the same on every computer.

That font knows little more than ASCII. Accents it lacks are dropped (crème becomes creme) and signs it lacks become
a question mark; tables and pages keep the true names.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
ELLIPSIS = "..."
_PLAIN = {"–": "-", "—": "-", "−": "-", "×": "x", "≥": ">=", "≤": "<=", "’": "'", "“": '"', "”": '"', "…": ELLIPSIS}


@lru_cache
def font(size: int) -> Font:
    """The font at a size in pixels."""
    return ImageFont.load_default(size=size)


@lru_cache
def _is_known(sign: str) -> bool:
    missing = font(16).getmask("\uffff")
    return sign == " " or bytes(font(16).getmask(sign)) != bytes(missing)


def drawable(text: str) -> str:
    """The text in signs the font has; line breaks and tabs become spaces."""
    out = []
    for sign in unicodedata.normalize("NFC", " ".join(text.split())):
        if sign in _PLAIN:
            out.append(_PLAIN[sign])
        elif _is_known(sign):
            out.append(sign)
        else:
            base = "".join(c for c in unicodedata.normalize("NFKD", sign) if not unicodedata.combining(c))
            out.append(base if base and all(map(_is_known, base)) else "?")
    return "".join(out)


def width_of(text: str, size: int) -> int:
    """Width in pixels of one line of drawable text."""
    return int(font(size).getlength(text) + 0.999)


def shortened(text: str, size: int, width: int) -> str:
    """The text, cut with an ellipsis if it is wider than ``width`` pixels; at least the ellipsis is left."""
    if width_of(text, size) <= width:
        return text
    return text[: _fitting(text, size, width, ELLIPSIS)].rstrip() + ELLIPSIS


def wrapped(text: str, size: int, width: int, lines: int) -> list[str]:
    """The text in at most ``lines`` lines of ``width`` pixels, broken at spaces where possible; the last is cut."""
    words = drawable(text).split(" ")
    out: list[str] = []
    while words and words[0] and len(out) < lines - 1:
        line = words.pop(0)
        while words and width_of(f"{line} {words[0]}", size) <= width:
            line = f"{line} {words.pop(0)}"
        count = max(1, _fitting(line, size, width))
        out.append(line[:count])
        if line[count:]:
            words.insert(0, line[count:])
    rest = " ".join(words)
    return [*out, shortened(rest, size, width)] if rest else out


def _fitting(text: str, size: int, width: int, ending: str = "") -> int:
    """How many leading signs of the text fit into ``width`` pixels together with an ending; at least 0."""
    fits, too_many = 0, len(text) + 1
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if width_of(text[:middle].rstrip() + ending, size) <= width:
            fits = middle
        else:
            too_many = middle
    return fits
