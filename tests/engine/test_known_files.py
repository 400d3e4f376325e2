"""What a folder knows of its files: believed while size and times stay, and never what decides that work is done."""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path

import pytest

from aligndiff_cli.disk import layout
from aligndiff_cli.engine.manifest import read_records
from aligndiff_cli.engine.runner import run_stage
from aligndiff_cli.engine.status import look
from aligndiff_cli.engine.workers import Share, Team
from aligndiff_cli.errors import FolderError
from tests.engine.letters import Killed, Letters, Silent, contents, go

DAY = 86_400 * 10**9


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A finished folder, whose files are older than what it knows of them."""
    go(Letters(tmp_path / "out"))
    return settled(tmp_path / "out")


def settled(out: Path) -> Path:
    known = out / layout.FILES
    os.utime(known, ns=(known.stat().st_mtime_ns + DAY,) * 2)
    return out


def forge(out: Path, name: str = "a.txt") -> None:
    """Let the folder know a wrong digest: who believes it says that the file was changed."""
    known = out / layout.FILES
    time = known.stat().st_mtime_ns
    lines = [json.loads(line) for line in known.read_text().splitlines()]
    for line in lines:
        if line[0] == name:
            line[4] = "f" * 64
    known.write_text("".join(json.dumps(line) + "\n" for line in lines))
    os.utime(known, ns=(time, time))


def test_a_file_is_not_read_again_while_its_size_and_times_stay_unless_that_is_asked_for(out: Path) -> None:
    forge(out)
    with pytest.raises(FolderError, match="was changed after it was made"):
        go(Letters(out))
    assert look(out).changed == ["a.txt"]
    assert run_stage(Letters(out), Silent(), verify=True).made == 0
    assert not look(out, verify=True).changed


def test_a_file_is_read_again_where_it_may_have_changed_within_a_tick(out: Path) -> None:
    forge(out)
    latest = max((out / "a.txt").stat().st_mtime_ns, (out / "a.txt").stat().st_ctime_ns)
    os.utime(out / layout.FILES, ns=(latest, latest))
    assert not look(out).changed


@pytest.mark.parametrize("back", [False, True], ids=["as it comes", "with its time set back"])
def test_a_change_of_equal_length_is_seen(out: Path, back: bool) -> None:
    path = out / "a.txt"
    time = path.stat().st_mtime_ns
    path.write_text(path.read_text().replace("plain", "mints"))
    if back:
        os.utime(path, ns=(time, time))
    assert look(out).changed == ["a.txt"]
    with pytest.raises(FolderError, match="was changed after it was made"):
        go(Letters(out))


def test_it_moves_with_the_folder(out: Path) -> None:
    forge(out)
    moved = out.rename(out.with_name("moved"))
    assert look(moved).changed == ["a.txt"]


@pytest.mark.parametrize("text", ["", "{", "[]\n[1, 2]\n", '["a.txt", "1", null, 3, 4]\n', '["a.txt"]\n7\n', "\udcff"])
def test_one_that_cannot_be_read_costs_reading_the_files(out: Path, text: str) -> None:
    (out / layout.FILES).write_bytes(text.encode(errors="surrogateescape"))
    settled(out)
    assert go(Letters(out)).made == 0
    assert not look(out).changed


def test_it_is_no_part_of_what_was_made(out: Path) -> None:
    before = contents(out)
    (out / layout.FILES).unlink()
    assert go(Letters(out)).made == 0
    assert contents(out) == before
    assert not any("mtime" in line or re.search(r"\d{19}", line) for line in before["manifest.jsonl"].decode().split())


def test_an_interrupted_run_leaves_what_it_knows(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        go(Letters(tmp_path / "out", kill_after=2))
    names = [json.loads(line)[0] for line in (tmp_path / "out" / layout.FILES).read_text().splitlines()]
    assert names == ["a.txt", "b.txt"]


def test_a_run_alone_brings_together_what_shards_know(tmp_path: Path) -> None:
    out = tmp_path / "out"
    for number in range(2):
        run_stage(Letters(out), Silent(), team=Team(Share(number, 2)))
    assert len(layout.with_workers(out, layout.FILES)) == 2
    for path in layout.with_workers(out, layout.FILES):
        os.utime(path, ns=(0, 0))  # as if within a tick: all files are read again
    assert go(Letters(out)).made == 0
    assert [path.name for path in layout.with_workers(out, layout.FILES)] == [layout.FILES]
    assert len((out / layout.FILES).read_text().splitlines()) == 5


def test_a_folder_of_a_former_version_is_gone_on_with_by_its_own_kind_of_digest(tmp_path: Path) -> None:
    out = tmp_path / "out"
    go(Letters(out, "abc"))
    manifest = out / layout.MANIFEST
    text = manifest.read_text()
    for digest in re.findall(r"[0-9a-f]{64}", text):
        name = next(n for n in "abc" if hashlib.sha256((out / f"{n}.txt").read_bytes()).hexdigest() == digest)
        former = hashlib.blake2b((out / f"{name}.txt").read_bytes(), digest_size=16).hexdigest()
        text = text.replace(digest, former)
    manifest.write_text(text)
    (out / layout.FILES).unlink()

    assert not look(out).changed
    assert go(Letters(out, "abc")).made == 0
    assert manifest.read_text() == text
    assert go(Letters(out, "abcdef")).made == 3
    assert {len(d) for record in read_records(out).values() for d in record.outputs.values()} == {32}
    (out / "b.txt").write_text("b of hb, plain")
    with pytest.raises(FolderError, match="was changed after it was made"):
        go(Letters(out, "abcdef"))
    go(Letters(out, "abcdef"), force=True)
    assert {len(d) for record in read_records(out).values() for d in record.outputs.values()} == {64}
