"""A table as a value. What is to be read is a sequence of tables and paragraphs, which each place shows in its way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """Cells as text, under headings.

    Raises:
        ValueError: a row does not fit the columns.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"expected {len(self.columns)} cells, got {len(row)}: {list(row)}")

    def markdown(self) -> str:
        """As Markdown; the first column is aligned left, the others right."""
        lines = [self.columns, [":--"] + ["--:"] * (len(self.columns) - 1), *self.rows]
        return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


Block = Table | str
"""A table, or a paragraph."""


def markdown(blocks: Sequence[Block]) -> str:
    """Tables and paragraphs as Markdown."""
    return "\n".join(block.markdown() if isinstance(block, Table) else f"{block}\n" for block in blocks)


def read_markdown(text: str) -> list[Block]:
    """The tables and paragraphs that :func:`markdown` wrote; each paragraph is one line."""
    blocks: list[Block] = []
    rows: list[list[str]] = []
    for line in [*text.splitlines(), ""]:
        if line.startswith("| ") and line.endswith(" |"):
            rows.append([cell.replace("\\|", "|") for cell in re.split(r" (?<!\\)\| ", line[2:-2])])
            continue
        if len(rows) > 1:
            width = len(rows[0])
            blocks.append(Table(rows[0], [[*row, *[""] * width][:width] for row in rows[2:]]))
        rows = []
        if line.strip():
            blocks.append(line)
    return blocks
