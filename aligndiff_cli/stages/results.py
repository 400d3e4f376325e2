"""A results folder: counts per class as they come in, then metrics.json, table.md and report.html."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.engine.manifest import Record, contained
from aligndiff_cli.evaluation.tables import to_text
from aligndiff_cli.report.page import Picture, Section, Table, report_page

PARTS = "classes"
"""Folder of the counts per class; ratios are taken from their sums at the end."""


def write_part(out: Path, item_id: str, data: Mapping[str, Any]) -> str:
    """Write the counts of one item; returns the path relative to the folder."""
    name = f"{PARTS}/{item_id}.json"
    write_text(out / name, to_text(data))
    return name


def read_parts(out: Path, records: Iterable[Record]) -> dict[str, Any]:
    """Item -> what :func:`write_part` wrote."""
    return {
        record.id: json.loads(contained(out, name).read_text(encoding="utf-8"))
        for record in sorted(records, key=lambda record: record.id)
        for name in record.outputs
    }


def write_results(
    out: Path, title: str, document: Mapping[str, Any], markdown: str, pictures: Sequence[tuple[str, str]] = ()
) -> None:
    """Write the three files people and programs read.

    Args:
        document: what goes into metrics.json.
        markdown: tables and remarks, what goes into table.md.
        pictures: path relative to the folder, and caption.
    """
    write_text(out / layout.METRICS, to_text(document))
    shown = "".join(f"\n![{caption}]({name})\n" for name, caption in pictures)
    write_text(out / layout.TABLE, f"# {title}\n\n{markdown}{shown}")
    sections = [*_sections(markdown), Section("Pictures", pictures=[Picture(*picture) for picture in pictures])]
    write_text(out / layout.REPORT, report_page(title, sections if pictures else sections[:-1]))


def markdown_rows(markdown: str) -> list[list[str]]:
    """The cells of the first table in a Markdown text, headings first."""
    for block in _blocks(markdown):
        if block[0].startswith("|"):
            return [_cells(line) for line in block if not line.startswith("| :--")]
    return []


def _blocks(markdown: str) -> list[list[str]]:
    """Tables and paragraphs: what stands between empty lines, line by line."""
    return [block.splitlines() for block in markdown.split("\n\n") if block.strip()]


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("\\|", "|") for cell in line.strip("| ").replace(" | ", "\n").split("\n")]


def _sections(markdown: str) -> list[Section]:
    """The page's sections: one per table, with the remarks that follow it."""
    sections: list[Section] = []
    for block in _blocks(markdown):
        if block[0].startswith("|"):
            head, *rows = markdown_rows("\n".join(block))
            sections.append(Section(head[0].capitalize(), table=Table(head, rows)))
        else:
            sections.append(Section("Notes", "\n\n".join(block)))
    return sections
