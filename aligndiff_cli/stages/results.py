"""A results folder: counts per class as they come in, then metrics.json, table.md and report.html."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.engine.manifest import Record, contained
from aligndiff_cli.engine.stage import Summary
from aligndiff_cli.evaluation.tables import to_text
from aligndiff_cli.report.page import Picture, Section, report_page
from aligndiff_cli.table import Block, Table, markdown

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
    out: Path,
    title: str,
    document: Mapping[str, Any],
    blocks: Sequence[Block],
    pictures: Sequence[tuple[str, str]] = (),
) -> Summary:
    """Write the three files people and programs read; what the stage then shows is the first table.

    Args:
        document: what goes into metrics.json.
        blocks: tables and paragraphs, what goes into table.md and report.html; a table comes first.
        pictures: path relative to the folder, and caption.
    """
    write_text(out / layout.METRICS, to_text(document))
    shown = "".join(f"\n![{caption}]({name})\n" for name, caption in pictures)
    write_text(out / layout.TABLE, f"# {title}\n\n{markdown(blocks)}{shown}")
    sections = [_section(block) for block in blocks]
    if pictures:
        sections.append(Section("Pictures", pictures=[Picture(*picture) for picture in pictures]))
    write_text(out / layout.REPORT, report_page(title, sections))
    first = blocks[0]
    assert isinstance(first, Table)
    return Summary(first.columns, first.rows, [out / layout.REPORT, *(out / name for name, _ in pictures)])


def _section(block: Block) -> Section:
    """A section of the page."""
    if isinstance(block, Table):
        return Section(block.columns[0].capitalize(), table=block)
    return Section("Notes", block)
