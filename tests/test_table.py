"""Tables as values."""

from __future__ import annotations

import pytest

from aligndiff_cli.table import Table, markdown


def test_bars_stay_inside_a_cell() -> None:
    assert Table(["class", "IoU"], [["a|b", "1.0"]]).markdown() == "| class | IoU |\n| :-- | --: |\n| a\\|b | 1.0 |\n"


def test_tables_and_paragraphs() -> None:
    table = Table(["a"], [["1"]])
    assert markdown([table, "Said.", table]) == "| a |\n| :-- |\n| 1 |\n\nSaid.\n\n| a |\n| :-- |\n| 1 |\n"


def test_a_row_must_fit() -> None:
    with pytest.raises(ValueError, match="expected 2 cells, got 1"):
        Table(["a", "b"], [["1"]])
