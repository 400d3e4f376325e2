"""Lists of class names: byte order marks, other spellings, slips of the pen."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from aligndiff_cli.errors import FolderError
from aligndiff_cli.stages.names import matched, numbered, read_names

KNOWN = ["chess_queen", "dog", "abe's-flyingfish"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_list_is_read_with_and_without_a_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "ood.txt"
    decomposed = unicodedata.normalize("NFD", "crème")
    path.write_text(f"dog\r\n\n  chess queen \ndog\n{decomposed}", encoding=encoding, newline="")
    assert read_names(path) == ["dog", "chess queen", "crème"]


def test_names_are_those_of_the_folders(tmp_path: Path) -> None:
    assert matched(["abe's flyingfish", "chess-queen", "chess queen"], KNOWN, tmp_path) == [KNOWN[2], KNOWN[0]]
    assert matched([], KNOWN, tmp_path) == []


def test_a_misspelt_name_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"ood\.txt: names 'ches_queen', 'Xq'.*\(the nearest is 'chess queen'\)"):
        matched(["dog", "ches_queen", "Xq"], KNOWN, tmp_path / "ood.txt")
    with pytest.raises(FolderError, match=r"names 'Xq', and there is no such class\. Correct"):
        matched(["Xq"], KNOWN, tmp_path / "ood.txt")


def test_what_is_no_text_is_said(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("dog\n", encoding="utf-16")
    for path in (tmp_path / "a.txt", tmp_path, tmp_path / "none"):
        with pytest.raises(FolderError, match="cannot be read as UTF-8 text"):
            read_names(path)


def test_two_names_of_one_class_are_refused(tmp_path: Path) -> None:
    assert numbered(["dog", "chess_queen"], tmp_path) == {"dog": 1, "chess queen": 2}
    with pytest.raises(FolderError, match="names the class 'chess queen' twice"):
        numbered(["chess queen", "dog", "chess_queen"], tmp_path)
