"""Records: torn lines, paths that leave the folder, several workers, canonical order."""

from __future__ import annotations

from pathlib import Path

import pytest

from aligndiff_cli.engine import manifest as _manifest
from aligndiff_cli.engine.manifest import ManifestWriter, Record, contained, read_records, rewrite, torn_records
from aligndiff_cli.engine.run_file import RunFile, write_run
from aligndiff_cli.errors import FolderError


def record(item_id: str, output: str = "masks/a.png", **measured: float) -> Record:
    return Record(item_id, "dög", {"in": "00"}, {output: "11"}, {"seed": 1}, measured)


def test_round_trip(tmp_path: Path) -> None:
    with ManifestWriter(tmp_path) as manifest:
        manifest.commit(record("b"))
        manifest.commit(record("a", iou=0.25))
    assert read_records(tmp_path) == {"b": record("b"), "a": record("a", iou=0.25)}


def test_records_share_the_texts_that_they_have_in_common(tmp_path: Path) -> None:
    rewrite(tmp_path, [record("a"), record("b")])
    one, other = read_records(tmp_path).values()
    assert one.cls is other.cls
    assert [name for name in one.parameters if not any(name is same for same in other.parameters)] == []
    assert next(iter(one.outputs.values())) is next(iter(other.outputs.values()))


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
        '{"id": "a", "cls": "", "inputs": {"a": 1}, "outputs": {}}\n',
        '{"id": "a", "cls": "", "inputs": {}, "outputs": {"a.png": null}}\n',
        '{"id": "a", "cls": "", "inputs": {}, "outputs": {}, "measured": []}\n',
        '{"id": "a", "cls": "", "inputs": {}, "outputs": {"' + "a" * 256 + '.png": "1"}}\n',
        '{"id": "a", "cls": "", "inputs": {}, "outputs": {"\\ud800.png": "1"}}\n',
        '{"id": "a", "cls": "", "inputs": {}, "outputs": {}, "parameters": {"prompt": "\\ud800"}}\n',
    ],
)
def test_a_whole_line_that_is_no_record_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "manifest.jsonl").write_text(record("a").to_line() + line)
    with pytest.raises(FolderError, match="line 2 is not a record"):
        read_records(tmp_path)


TEXT = {"kind": "text"}


@pytest.mark.parametrize(
    ("command", "own", "parameters", "measured", "message"),
    [
        ("mask", False, TEXT, {}, "measured.area is missing"),
        (
            "mask",
            False,
            {"kind": "text"},
            {"area": "large"},
            "measured.area: expected a number from 0 to 1, got 'large'",
        ),
        ("mask", False, TEXT, {"area": True}, "measured.area: expected a number from 0 to 1, got True"),
        (
            "mask",
            False,
            {"kind": "text"},
            {"area": float("nan")},
            "measured.area: expected a number from 0 to 1, got nan",
        ),
        (
            "mask",
            True,
            {"kind": "text"},
            {"area": 0.5, "consensus_iou": 0.5, "accepted": 1},
            "measured.accepted: expected true or",
        ),
        ("generate", False, {"kind": "plain"}, {}, """parameters.kind: expected "inverted" or "text", got 'plain'"""),
        ("generate", True, {"kind": "text"}, {}, "measured.coarse_area is missing"),
        ("invert", True, {}, {"initial": {"total": 1}}, "measured.initial.foreground is missing"),
        ("invert", True, {}, {"initial": 1}, "measured.initial.total is missing"),
        ("compose", True, {"base": "a", "objects": [1]}, {}, "parameters.objects: expected a list of objects"),
        ("export", True, {}, {}, "measured.dropped is missing"),
    ],
)
def test_a_record_that_lacks_what_its_command_writes_is_named_with_file_record_and_field(
    tmp_path: Path, command: str, own: bool, parameters: dict, measured: dict, message: str
) -> None:
    write_run(tmp_path, RunFile(command, {"format": "coco"}, 0))
    bad = Record("dog/text-1", "dog", {}, {}, parameters, measured)
    (tmp_path / "manifest.jsonl").write_text(bad.to_line())
    with pytest.raises(FolderError) as found:
        read_records(tmp_path, own=own)
    assert found.value.what.startswith("line 1 is not a record ('dog/text-1') (" + message)
    assert found.value.where == tmp_path / "manifest.jsonl"


def test_only_the_stage_that_made_a_folder_needs_the_figures_of_its_table(tmp_path: Path) -> None:
    write_run(tmp_path, RunFile("generate", {}, 0))
    with ManifestWriter(tmp_path) as manifest:
        manifest.commit(Record("dog/text-1", "dog", {}, {}, {"kind": "text"}))
    assert set(read_records(tmp_path)) == {"dog/text-1"}


def test_a_manifest_that_is_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").mkdir()
    with pytest.raises(FolderError, match=r"manifest\.jsonl: cannot be read"):
        read_records(tmp_path)


def test_a_copy_that_somebody_made_of_a_manifest_is_neither_read_nor_removed(tmp_path: Path) -> None:
    with ManifestWriter(tmp_path) as manifest:
        manifest.commit(record("a", iou=0.5))
    for name in ("manifest.old.jsonl", "manifest-copy.jsonl", "manifest.1-of-2.old.jsonl"):
        (tmp_path / name).write_text(record("a", iou=0.25).to_line() + record("b").to_line())
    assert read_records(tmp_path) == {"a": record("a", iou=0.5)}
    rewrite(tmp_path, [record("a")])
    assert len(list(tmp_path.iterdir())) == 4


@pytest.mark.parametrize(
    ("line", "item"),
    [
        (Record('dog/te"xt-1', "dög", {}, {}).to_line()[:-9], "'dog/te\"xt-1' counts as not done"),
        ('{"cls": "dog", "id": "dog/te', "'an item' counts as not done"),
    ],
)
def test_a_torn_last_line_of_another_commands_manifest_is_told(tmp_path: Path, line: str, item: str) -> None:
    write_run(tmp_path, RunFile("generate", {}, 0))
    (tmp_path / "manifest.jsonl").write_text(record("a").to_line())
    assert torn_records(tmp_path) == []
    (tmp_path / "manifest.1-of-2.jsonl").write_text(line)
    (told,) = torn_records(tmp_path)
    assert item in told.what
    assert told.where == tmp_path / "manifest.1-of-2.jsonl"
    assert f"Run `aligndiff generate --out {tmp_path}` again" in str(told.remedy)
    with ManifestWriter(tmp_path) as manifest:
        manifest.path.open("a").write(line)
        assert len(torn_records(tmp_path)) == 1  # that manifest is being written to


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
