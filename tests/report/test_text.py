"""Words fit their place and lose as little as the font allows."""

from __future__ import annotations

import pytest

from aligndiff_cli.report.text import drawable, font, shortened, width_of, wrapped


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain words_1.png", "plain words_1.png"),
        ("crème brûlée", "creme brulee"),
        ("cre\u0300me", "creme"),
        ("a – b × c…", "a - b x c..."),
        ("line\nbreak\tand  gaps", "line break and gaps"),
        ("猫", "?"),
        ("", ""),
    ],
)
def test_drawable(text: str, expected: str) -> None:
    assert drawable(text) == expected


@pytest.mark.parametrize("width", [20, 60, 120])
def test_shortened_fits(width: int) -> None:
    text = "a name that is far too long for this"
    short = shortened(text, 13, width)
    assert width_of(short, 13) <= width
    assert short.endswith("...")
    assert text.startswith(short[:-3])
    assert shortened("abc", 13, 200) == "abc"


@pytest.mark.parametrize("text", ["one two three four five six seven eight nine", "w" * 90, "a " + "b" * 90 + " c"])
def test_wrapped_lines_fit_and_lose_nothing_but_the_end(text: str) -> None:
    lines = wrapped(text, 13, 100, 3)
    assert 1 < len(lines) <= 3
    assert all(width_of(line, 13) <= 100 for line in lines)
    joined = "".join(lines).removesuffix("...").replace(" ", "")
    assert text.replace(" ", "").startswith(joined)


def test_wrapped_keeps_what_fits() -> None:
    assert wrapped("short", 13, 100, 2) == ["short"]
    assert wrapped("", 13, 100, 2) == []
    assert wrapped("alpha beta", 13, width_of("alpha", 13) + 1, 2) == ["alpha", "beta"]


def test_font_has_a_size() -> None:
    assert font(26).getlength("aligndiff") == pytest.approx(2 * font(13).getlength("aligndiff"), rel=0.1)
