"""One HTML page of a whole chain, without scripts: classes as rows, tables, settings and commands.

Pictures lie beside the page and are loaded when they come into sight. Every name and word is escaped.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aligndiff_cli.report.chain_style import STYLE
from aligndiff_cli.report.page import relative_address, table_html
from aligndiff_cli.table import Block, Table

Sizes = Mapping[str, tuple[int, int]]
"""Path of a picture relative to the page -> its width and height in pixels."""
NOT_THERE = "cannot be shown"


@dataclass(frozen=True)
class Shot:
    """A picture.

    Attributes:
        path: relative to the page.
        alt: words that stand for it.
        caption: words below it.
    """

    path: str
    alt: str
    caption: str = ""


@dataclass(frozen=True)
class Cell:
    """One cell of a class's row.

    Attributes:
        heading: words, and the colour of the mask that is outlined, as CSS has it.
        shots: the first is shown large.
        instead: words where there is no picture.
    """

    heading: str
    shots: Sequence[Shot]
    colour: str = ""
    instead: str = "not made yet"


@dataclass(frozen=True)
class Group:
    """Pictures that are folded away: a heading and a line of words above them."""

    heading: str
    words: str
    shots: Sequence[Shot]
    of_scenes: bool = False


@dataclass(frozen=True)
class ClassRow:
    """A class: facts as (value, words), the cells of its row, and all its pictures."""

    name: str
    facts: Sequence[tuple[str, str]]
    cells: Sequence[Cell]
    groups: Sequence[Group] = ()


@dataclass(frozen=True)
class Rows:
    """The classes of one chain; the heading says which, where there are several."""

    heading: str
    rows: Sequence[ClassRow]


@dataclass(frozen=True)
class Result:
    """One folder of results: its title, tables and words, and charts."""

    heading: str
    where: str
    blocks: Sequence[Block]
    charts: Sequence[Shot] = ()


@dataclass(frozen=True)
class Settings:
    """One stage folder's settings: tables under their names; ``changed`` are the options not at their default."""

    heading: str
    tables: Sequence[Table]
    changed: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ChainPage:
    """All that is on the page.

    Attributes:
        title: name of the folder.
        lead: one sentence.
        steps: (count, words) of each stage of the chain; an empty count where it is not made.
        missing: (what is missing, command), most urgent first.
        notes: what was found wrong.
        stages: the table of folders.
        commands: shell lines in order.
        where: what the commands' paths are seen from.
    """

    title: str
    lead: str
    steps: Sequence[tuple[str, str]]
    missing: Sequence[tuple[str, str]]
    notes: Sequence[str]
    chains: Sequence[Rows]
    results: Sequence[Result]
    stages: Table
    settings: Sequence[Settings]
    commands: Sequence[str]
    where: str


GENERATOR = '<meta name="generator" content="aligndiff report">'
"""By which a page of ours is known."""


def chain_page(page: ChainPage, sizes: Sizes) -> str:
    """The page as HTML.

    Args:
        sizes: of the pictures that are there; a box of words stands for others.

    Raises:
        ValueError: a picture's path leaves the page's folder.
    """
    title = html.escape(page.title)
    parts = [_missing(page), *_classes(page, sizes), _results(page, sizes), _stages(page), _commands(page)]
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n{GENERATOR}\n'
        f'<title>{title}</title>\n<link rel="icon" href="data:,">\n<style>\n{STYLE}\n</style>\n</head>\n<body>\n'
        f'<header>\n<h1>{title}</h1>\n<p class="lead">{html.escape(page.lead)}</p>\n{_steps(page.steps)}\n'
        f"{_contents(page)}\n</header>\n<main>\n" + "\n".join(filter(None, parts)) + "\n</main>\n"
        "<footer><p>Made by <code>aligndiff report</code> from the folders alone.</p></footer>\n</body>\n</html>\n"
    )


def _steps(steps: Sequence[tuple[str, str]]) -> str:
    items = [
        f"<li><b>{html.escape(count)}</b><span>{html.escape(words)}</span></li>"
        if count
        else f'<li class="none"><b>–</b><span>{html.escape(words)}</span></li>'
        for count, words in steps
    ]
    return f'<ul class="steps">{"".join(items)}</ul>'


def _contents(page: ChainPage) -> str:
    links = [("missing", "What is missing")] if page.missing or page.notes else []
    links += [("classes", "Classes")] if page.chains else []
    links += [("results", "Results")] if page.results else []
    links += [("stages", "Settings"), ("commands", "Commands")] if page.stages.rows else []
    lines = ["<nav>" + "".join(f'<a href="#{name}">{words}</a>' for name, words in links) + "</nav>"]
    names = [(_anchor(c, r), row.name) for c, rows in enumerate(page.chains) for r, row in enumerate(rows.rows)]
    if len(names) > 1 and len(page.chains) == 1:
        own = "".join(f'<a href="#{anchor}">{html.escape(name)}</a>' for anchor, name in names)
        lines.append(f'<nav class="many" aria-label="Classes">{own}</nav>')
    return "\n".join(lines)


def _anchor(chain: int, row: int) -> str:
    return f"class-{chain}-{row}"


def _missing(page: ChainPage) -> str:
    if not page.missing and not page.notes:
        return ""
    lines = [f"<p>{html.escape(what.capitalize())}.{_pre(line)}" for what, line in page.missing]
    lines += [f"<p>{html.escape(note)}</p>" for note in page.notes]
    return '<section id="missing" class="card missing"><h2>What is missing</h2>\n' + "\n".join(lines) + "</section>"


def _pre(line: str) -> str:
    return f" Next:</p>\n<pre>{_shell(line)}</pre>" if line else "</p>"


def _shell(line: str) -> str:
    """A shell line whose flags are not broken at their dashes."""
    return "<code>" + re.sub(r"(?<= )--[a-z-]+", r"<span>\g<0></span>", html.escape(line)) + "</code>"


def _classes(page: ChainPage, sizes: Sizes) -> list[str]:
    parts = []
    for number, chain in enumerate(page.chains):
        rows = "\n".join(_row(row, _anchor(number, n), sizes) for n, row in enumerate(chain.rows))
        name = ' id="classes"' if number == 0 else ""
        parts.append(f"<section{name}>\n<h2>{html.escape(chain.heading)}</h2>\n{rows}\n</section>")
    return parts


def _row(row: ClassRow, anchor: str, sizes: Sizes) -> str:
    facts = "".join(f"<span><b>{html.escape(value)}</b> {html.escape(words)}</span>" for value, words in row.facts)
    cells = "\n".join(_cell(cell, sizes) for cell in row.cells)
    groups = "\n".join(_group(group, sizes) for group in row.groups if group.shots)
    return (
        f'<article class="card" id="{anchor}">\n<h3>{html.escape(row.name)}</h3>\n<div class="facts">{facts}</div>\n'
        f'<div class="row">\n{cells}\n</div>\n{groups}\n</article>'
    )


def _cell(cell: Cell, sizes: Sizes) -> str:
    key = f'<span class="key" style="background:{cell.colour}"></span>' if cell.colour else ""
    head = f'<div class="cell"><h4>{key}{html.escape(cell.heading)}</h4>'
    if not cell.shots:
        return f'{head}<div class="none-yet">{html.escape(cell.instead)}</div></div>'
    more = "".join(_image(shot, sizes) for shot in cell.shots[1:])
    strip = f'<div class="strip">{more}</div>' if more else ""
    return f'{head}<div class="big">{_figure(cell.shots[0], sizes)}</div>{strip}</div>'


def _group(group: Group, sizes: Sizes) -> str:
    kind = " of-scenes" if group.of_scenes else ""
    figures = "\n".join(_figure(shot, sizes) for shot in group.shots)
    return (
        f'<details><summary>{html.escape(group.heading)}</summary>\n<p class="soft">{html.escape(group.words)}</p>\n'
        f'<div class="many-pictures{kind}">\n{figures}\n</div></details>'
    )


def _figure(shot: Shot, sizes: Sizes) -> str:
    caption = f"<figcaption>{html.escape(shot.caption)}</figcaption>" if shot.caption else ""
    return f"<figure>{_image(shot, sizes)}{caption}</figure>"


def _image(shot: Shot, sizes: Sizes) -> str:
    if shot.path not in sizes:
        return f'<div class="none-yet">{html.escape(shot.alt)}: {NOT_THERE}</div>'
    width, height = sizes[shot.path]
    address, alt = relative_address(shot.path), html.escape(shot.alt)
    return f'<img src="{address}" alt="{alt}" width="{width}" height="{height}" loading="lazy" decoding="async">'


def _results(page: ChainPage, sizes: Sizes) -> str:
    parts = []
    for result in page.results:
        blocks = [
            table_html(block) if isinstance(block, Table) else f"<p>{html.escape(block)}</p>" for block in result.blocks
        ]
        charts = "\n".join(_figure(shot, sizes) for shot in result.charts)
        shown = f'\n<div class="charts">\n{charts}\n</div>' if charts else ""
        head = f'<h3>{html.escape(result.heading)}</h3>\n<p class="soft">{html.escape(result.where)}</p>'
        parts.append(f'<article class="card">\n{head}\n' + "\n".join(blocks) + f"{shown}\n</article>")
    return '<section id="results">\n<h2>Results</h2>\n' + "\n".join(parts) + "\n</section>" if parts else ""


def _stages(page: ChainPage) -> str:
    if not page.stages.rows:
        return ""
    folded = "\n".join(_settings(settings) for settings in page.settings)
    return (
        f'<section id="stages">\n<h2>Stages and settings</h2>\n<div class="card">\n{table_html(page.stages)}\n'
        f'<p class="soft">Each folder\'s run.yaml; options in bold are not at their default.</p>\n{folded}\n</div>'
        "\n</section>"
    )


def _settings(settings: Settings) -> str:
    tables = "\n".join(table_html(table, settings.changed) for table in settings.tables)
    head = f"<details><summary>{html.escape(settings.heading)}</summary>"
    return f'{head}\n<div class="settings">{tables}</div>\n</details>'


def _commands(page: ChainPage) -> str:
    if not page.commands:
        return ""
    lines = "".join(_shell(line) for line in page.commands)
    return (
        '<section id="commands">\n<h2>Commands</h2>\n<div class="card">\n'
        f"<p>What made this, in order, {html.escape(page.where)}."
        f" Options at their default are left out; device and speed are not recorded.</p>\n<pre>{lines}</pre>\n</div>"
        "\n</section>"
    )
