"""Records: torn lines, paths that leave the folder, several workers, canonical order."""

from __future__ import annotations

from pathlib import Path

import pytest

from aligndiff_cli.disk import manifest as _manifest
from aligndiff_cli.disk.manifest import ManifestWriter, Record, contained, read_records, rewrite
from aligndiff_cli.errors import FolderError


def record(item_id: str, output: str = "masks/a.png", **measured: float) -> Record:
    return Record(item_id, "dög", {"in": "00"}, {output: "11"}, {"seed": 1}, measured)


def test_round_trip(tmp_path: Path) -> None:
    with ManifestWriter(tmp_path) as manifest:
        manifest.commit(record("b"))
        manifest.commit(record("a", iou=0.25))
    assert read_records(tmp_path) == {"b": record("b"), "a": record("a", iou=0.25)}


def test_a_torn_last_line_is_ignored_and_then_dropped(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    whole = record("a").to_line()
    path.write_text(whole + '{"id": "b", "cl')
    assert set(read_records(tmp_path)) == {"a"}
    with ManifestWriter(tmp_path) as manifest:
        manifest.commit(record("c"))
    assert path.read_text() == whole + record("c").to_line()


def test_the_last_record_of_an_item_counts_and_all_workers_are_read(tmp_path: Path) -> None:
    for name, item in (("manifest.1-of-2.jsonl", record("a", iou=0.9)), ("manifest.jsonl", record("a", iou=0.1))):
        with ManifestWriter(tmp_path, name) as manifest:
            manifest.commit(item)
    assert read_records(tmp_path)["a"].measured == {"iou": 0.9}


def test_rewriting_sorts_by_id(tmp_path: Path) -> None:
    path = tmp_path / "manifest.jsonl"
    rewrite(tmp_path, [record("b"), record("a")])
    assert path.read_text() == record("a").to_line() + record("b").to_line()


@pytest.mark.parametrize(
    "line",
    [
        "nonsense\n",
        "[1]\n",
        '{"id": "a"}\n',
        '{"id": "a", "more": 1}\n',
        '{"id": "a", "cls": "", "inputs": {}, "outputs": 5}\n',
        '{"id": ["a"], "cls": "", "inputs": {}, "outputs": {}}\n',
        '{"id": "a", "cls": "", "inputs": null, "outputs": {}}\n',
        '{"id": "../../a", "cls": "", "inputs": {}, "outputs": {}}\n',
        '{"id": "a", "cls": "../..", "inputs": {}, "outputs": {}}\n',
        '{"id": "a", "cls": "", "inputs": {}, "outputs": {"a\\u0000b": "1"}}\n',
        "[" * 100_000 + "\n",
    ],
)
def test_a_whole_line_that_is_no_record_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "manifest.jsonl").write_text(record("a").to_line() + line)
    with pytest.raises(FolderError, match="line 2 is not a record"):
        read_records(tmp_path)


@pytest.mark.parametrize("path", ["../x.png", "masks/../../x.png", "/etc/passwd"])
def test_paths_that_leave_the_folder_are_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "manifest.jsonl").write_text(record("a", path).to_line())
    with pytest.raises(FolderError, match="leaves the folder"):
        read_records(tmp_path)


def test_a_link_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    folder, outside = tmp_path / "bank", tmp_path / "outside"
    folder.mkdir()
    outside.mkdir()
    (folder / "masks").symlink_to(outside)
    with pytest.raises(FolderError, match="leaves the folder"):
        contained(folder, "masks/a.png")
    assert contained(folder, "other/a.png") == folder / "other" / "a.png"


def test_records_brought_together_while_they_are_read_are_all_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, item in (("manifest.jsonl", record("a")), ("manifest.1-of-2.jsonl", record("b"))):
        with ManifestWriter(tmp_path, name) as manifest:
            manifest.commit(item)
    read, waiting = _manifest._whole_lines, [True]

    def interrupted(path: Path):  # type: ignore[no-untyped-def]
        yield from list(read(path))
        if waiting and waiting.pop():  # another process, after the first file was read
            rewrite(tmp_path, [record("a"), record("b")])

    monkeypatch.setattr(_manifest, "_whole_lines", interrupted)
    assert set(read_records(tmp_path)) == {"a", "b"}
