"""Run files: what hand edits make of them, and whose folder it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from aligndiff_cli.engine import run_file
from aligndiff_cli.engine.run_file import RunFile, own_run, read_run, require_run, write_run
from aligndiff_cli.errors import FolderError

WHOLE = RunFile(
    "generate",
    {"mask_threshold": 0.5},
    0,
    {"bank": "../bank"},
    {"diffusion": {"source": "x", "fingerprint": "y"}},
    {"torch": "2"},
)


def edited(folder: Path, **fields: object) -> None:
    """A run file with some fields replaced, or left out where None."""
    write_run(folder, WHOLE)
    data = {**yaml.safe_load((folder / "run.yaml").read_text()), **fields}
    (folder / "run.yaml").write_text(yaml.safe_dump({k: v for k, v in data.items() if v is not None}))


def test_round_trip(tmp_path: Path) -> None:
    assert read_run(tmp_path) is None
    write_run(tmp_path, WHOLE)
    assert read_run(tmp_path) == WHOLE


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"command": 5}, "command: expected text, got 5"),
        ({"command": None}, "command is missing"),
        ({"options": ["a"]}, r"options: expected values by name, got \['a'\]"),
        ({"options": {1: 2}}, "options: expected values by name"),
        ({"seed": True}, "seed: expected a whole number, got True"),
        ({"seed": "0"}, "seed: expected a whole number, got '0'"),
        ({"inputs": {"bank": None}}, "inputs: expected texts by name"),
        ({"inputs": {"bank": "a\0b"}}, "inputs: expected texts by name"),
        ({"inputs": None}, "inputs is missing"),
        ({"models": {"diffusion": "x"}}, "models: expected facts of models by name"),
        ({"models": {"diffusion": {"source": 5}}}, "models: expected facts of models by name"),
        ({"versions": 5}, "versions: expected values by name"),
        ({"more": 5}, "'more' is no field of it"),
        ({"schema": 2}, "expected schema 1, got 2"),
        ({"schema": None}, "expected schema 1, got None"),
    ],
)
def test_a_field_that_was_edited_is_named(tmp_path: Path, fields: dict, message: str) -> None:
    edited(tmp_path, **fields)
    with pytest.raises(FolderError, match=message) as found:
        read_run(tmp_path)
    assert found.value.where == tmp_path / "run.yaml"


@pytest.mark.parametrize("text", ["[1, 2]\n", "just words\n", "", "a: [\n", "a: 2020-13-45\n", "[" * 5000, "\0"])
def test_a_file_that_is_no_run_file_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "run.yaml").write_text(text)
    with pytest.raises(FolderError, match="is not a run file"):
        read_run(tmp_path)


def test_a_folder_in_its_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.yaml").mkdir()
    with pytest.raises(FolderError, match="is not a run file"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"options": {}}, "options.mask_threshold is missing"),
        ({"options": {"mask_threshold": "0.5"}}, "options.mask_threshold: expected a number from 0 to 1, got '0.5'"),
        ({"options": {"mask_threshold": 5}}, "options.mask_threshold: expected a number from 0 to 1, got 5"),
    ],
)
def test_what_another_stage_needs_of_it_is_checked(tmp_path: Path, fields: dict, message: str) -> None:
    edited(tmp_path, **fields)
    with pytest.raises(FolderError, match=message):
        require_run(tmp_path, "generate", "--images")


def test_a_folder_is_free_if_it_holds_nothing_that_shows(tmp_path: Path) -> None:
    assert own_run(tmp_path / "new", "generate") is None
    (tmp_path / ".lock").touch()
    assert own_run(tmp_path, "generate") is None
    write_run(tmp_path, WHOLE)
    assert own_run(tmp_path, "generate") == WHOLE


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("classes.txt", "holds 'classes.txt' and no run.yaml, so no stage made it"),
        ("manifest.jsonl", "holds records but no run.yaml, so nobody can say how they were made"),
        ("manifest.2-of-3.jsonl", "holds records but no run.yaml"),
    ],
)
def test_a_folder_that_nobody_known_made_is_not_written_to(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(FolderError, match=message):
        own_run(tmp_path, "generate")


def test_the_folder_of_another_command_is_not_written_to(tmp_path: Path) -> None:
    write_run(tmp_path, WHOLE)
    with pytest.raises(FolderError, match="was made by another command, generate, so mask writes nothing there") as e:
        own_run(tmp_path, "mask", "--grounding")
    assert "--force" not in str(e.value)
    assert "another folder with --grounding" in str(e.value)
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="cannot be read as a folder"):
        own_run(tmp_path / "file", "mask")


def test_a_worker_that_begins_while_another_looks_is_no_stranger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def then_another_begins(folder: Path) -> RunFile | None:
        found = read_run(folder)
        write_run(folder, WHOLE)
        (folder / "manifest.1-of-2.jsonl").touch()
        return found

    monkeypatch.setattr(run_file, "read_run", then_another_begins)
    assert own_run(tmp_path, "generate") is None
    assert own_run(tmp_path, "generate") == WHOLE


def test_what_is_told_and_not_compared_may_be_missing(tmp_path: Path) -> None:
    """As in a folder of an older version."""
    write_run(tmp_path, WHOLE)
    text = (tmp_path / "run.yaml").read_text()
    assert "told: {}\n" in text
    (tmp_path / "run.yaml").write_text(text.replace("told: {}\n", ""))
    assert read_run(tmp_path) == WHOLE
