from __future__ import annotations

import logging
from pathlib import Path

import pytest

from aligndiff_cli.disk.split_lists import read_split
from aligndiff_cli.errors import FolderError

PICTURES = {"a", "b", "photo 1", "c.d", "café"}


@pytest.mark.parametrize(
    ("text", "stems"),
    [
        ("a\nb\n", ["a", "b"]),
        ("\ufeffa\r\n\r\nb \r\na\r\n", ["a", "b"]),
        ("a.jpg\nb.PNG\n", ["a", "b"]),
        ("c.d\nc.d.jpeg\n", ["c.d"]),
        # named, though it is not there, so that it can be said
        ("ghost.jpg\n", ["ghost.jpg"]),
        # VOC's lists of a class: 1 shows it, -1 does not, 0 is not to be counted
        ("a  1\nb -1\nphoto 1  0\ncafé  1\n", ["a", "café"]),
        ("a.jpg 1\nb.jpg -1\n", ["a"]),
        # pictures that are called so are no class list
        ("photo 1\n", ["photo 1"]),
        ("photo 1\na 1\n", ["photo 1", "a 1"]),
        ("a 1\nb\n", ["a 1", "b"]),
        ("cafe\u0301\n", ["cafe\u0301"]),
    ],
)
def test_forms_of_a_list(tmp_path: Path, text: str, stems: list[str]) -> None:
    path = tmp_path / "train.txt"
    path.write_text(text, encoding="utf-8", newline="")
    assert read_split(path, PICTURES) == stems


def test_a_list_of_one_class_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "aligndiff_cli")
    (tmp_path / "dog_train.txt").write_text("a  1\nb -1\n")
    read_split(tmp_path / "dog_train.txt", PICTURES)
    assert "is a list of one class: 1 of its 2 pictures are in it (1)" in caplog.text


@pytest.mark.parametrize("text", ["", "a -1\nb -1\n"])
def test_a_list_of_nothing_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "train.txt").write_text(text)
    with pytest.raises(FolderError, match="the list is empty"):
        read_split(tmp_path / "train.txt", PICTURES)
