"""One HTML page without scripts: words, tables and pictures, readable on a phone and when printed.

Pictures given as arrays are embedded, so the page can be sent around alone; those given as paths are referred to
relative to the page, which suits large sheets that lie beside it.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from urllib.parse import quote

from PIL import Image

from aligndiff_cli.disk.images import ImageArray
from aligndiff_cli.table import Table

_STYLE = """
:root { color-scheme: light; }
body { margin: 0 auto; padding: 1rem; max-width: 75rem; font: 16px/1.5 system-ui, sans-serif; color: #1c1e22;
  background: #fff; overflow-wrap: break-word; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.25rem; margin-top: 2.2rem; }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; border-bottom: 1px solid #dfe2e6; text-align: left; white-space: nowrap; }
th { background: #f3f5f7; } .number { text-align: right; }
figure { margin: 1rem 0; } img { max-width: 100%; height: auto; }
figcaption { color: #5b6068; font-size: .9rem; }
""".strip()


@dataclass(frozen=True)
class Picture:
    """A picture and the words below it, which also stand for it where it cannot be seen.

    Attributes:
        source: uint8 (H, W, 3) to embed, or a path relative to the page.
        caption: words.
    """

    source: ImageArray | str
    caption: str


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs (divided by empty lines), a table and pictures; what is not given is left out."""

    heading: str
    text: str = ""
    table: Table | None = None
    pictures: Sequence[Picture] = ()


def report_page(title: str, sections: Sequence[Section]) -> str:
    """The page as HTML; every name and word is escaped.

    Raises:
        ValueError: a picture's path leaves the page's folder.
    """
    body = "\n".join(_section(section) for section in sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{html.escape(title)}</title>\n<style>\n{_STYLE}\n</style>\n</head>\n"
        f"<body>\n<h1>{html.escape(title)}</h1>\n{body}\n</body>\n</html>\n"
    )


def _section(section: Section) -> str:
    parts = [f"<section>\n<h2>{html.escape(section.heading)}</h2>"]
    parts += [f"<p>{html.escape(p.strip())}</p>" for p in section.text.split("\n\n") if p.strip()]
    if section.table is not None:
        parts.append(table_html(section.table))
    parts += [_figure(picture) for picture in section.pictures]
    return "\n".join([*parts, "</section>"])


def table_html(table: Table, changed: Collection[str] = ()) -> str:
    """A table that scrolls sideways where it is too wide; columns whose cells all are numbers are set to the right.

    Args:
        changed: rows that begin with one of these are marked.
    """
    kinds = [
        ' class="number"' if table.rows and all(_is_number(row[n]) for row in table.rows) else ""
        for n in range(len(table.columns))
    ]
    head = "".join(f"<th{kind}>{html.escape(name)}</th>" for kind, name in zip(kinds, table.columns, strict=True))
    lines = [
        ('<tr class="changed">' if row[0] in changed else "<tr>")
        + "".join(f"<td{kind}>{html.escape(cell)}</td>" for kind, cell in zip(kinds, row, strict=True))
        + "</tr>"
        for row in table.rows
    ]
    inner = "\n".join([f"<thead><tr>{head}</tr></thead>", "<tbody>", *lines, "</tbody>"])
    return f'<div class="wide"><table>\n{inner}\n</table></div>'


def _is_number(cell: str) -> bool:
    """Whether a cell is numbers: one, perhaps with a percent sign, a spread or a difference; a dash stands for none."""
    words = cell.translate(str.maketrans("±()", "   ")).replace("%", " ").replace("−", "-").replace(",", "").split()
    try:
        return bool(words) and all(word in ("-", "–", "—") or float(word) is not None for word in words)
    except ValueError:
        return False


def _figure(picture: Picture) -> str:
    caption = html.escape(picture.caption)
    if isinstance(picture.source, str):
        address = html.escape(relative_address(picture.source))
    else:
        buffer = io.BytesIO()
        Image.fromarray(picture.source).save(buffer, "PNG")
        address = "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<figure><img src="{address}" alt="{caption}" loading="lazy"><figcaption>{caption}</figcaption></figure>'


def relative_address(path: str) -> str:
    """A path relative to the page as an address, quoted (ValueError if it leaves the page's folder)."""
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts:
        raise ValueError(f"expected a path inside the page's folder, got {path!r}")
    # "./" first: a name with a colon in it would be taken for an address of another scheme
    return "./" + quote(str(pure))
