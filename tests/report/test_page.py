"""The page is well formed, escapes what it is told, and points nowhere outside its folder."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from aligndiff_cli.report.page import Picture, Section, report_page
from aligndiff_cli.table import Table

HOSTILE = '<script>alert("1")</script> & "crème"'


class Outline(HTMLParser):
    """Checks that tags are closed in order, and gathers tags and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def test_everything_is_escaped() -> None:
    section = Section(HOSTILE, HOSTILE, Table([HOSTILE], [[HOSTILE]]), [Picture("a.png", HOSTILE)])
    page = Outline(report_page(HOSTILE, [section]))
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.words.count(HOSTILE) == 7  # title twice, heading, text, two cells, caption
    assert ("alt", HOSTILE) in [item for tag, a in page.tags if tag == "img" for item in a.items()]


def test_arrays_are_embedded_whole() -> None:
    image = np.arange(6 * 9 * 3, dtype=np.uint8).reshape(6, 9, 3)
    page = report_page("t", [Section("s", pictures=[Picture(image, "c")])])
    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert np.array_equal(np.array(Image.open(io.BytesIO(base64.b64decode(data)))), image)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("pictures/dog.png", "./pictures/dog.png"),
        ("pictures/a b#1?.png", "./pictures/a%20b%231%3F.png"),
        ("crème.png", "./cr%C3%A8me.png"),
        ("javascript:alert(1)", "./javascript%3Aalert%281%29"),
    ],
)
def test_paths_become_relative_addresses(path: str, address: str) -> None:
    assert f'src="{address}"' in report_page("t", [Section("s", pictures=[Picture(path, "c")])])


@pytest.mark.parametrize("path", ["/etc/passwd", "../x.png", "a/../../x.png"])
def test_paths_stay_in_the_folder(path: str) -> None:
    with pytest.raises(ValueError, match="inside the page's folder"):
        report_page("t", [Section("s", pictures=[Picture(path, "c")])])


def test_number_columns_are_set_to_the_right() -> None:
    table = Table(["class", "IoU", "spread", "note"], [["1st", "61.3", "1.2 ± 0.1", "7"], ["b", "-", "88%", "x"]])
    page = Outline(report_page("t", [Section("s", table=table)]))
    assert [attributes.get("class") for tag, attributes in page.tags if tag == "th"] == [None, "number", "number", None]


def test_paragraphs() -> None:
    page = Outline(report_page("t", [Section("s", "one\n\ntwo\n\n\n")]))
    assert [tag for tag, _ in page.tags].count("p") == 2
