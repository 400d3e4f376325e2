"""What is written beside the work: order, records after their files, errors, and what an abrupt end leaves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence, Set
from functools import partial
from pathlib import Path

import pytest

from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.disk.digest import file_digest
from aligndiff_cli.engine import writer as module
from aligndiff_cli.engine.manifest import Record, read_records
from aligndiff_cli.engine.stage import Item, Made
from aligndiff_cli.engine.writer import Writer
from aligndiff_cli.errors import FolderError
from tests.engine.letters import Killed, Letters, contents, go


class WrittenLater(Letters):
    """Letters whose files are written by the writer's thread."""

    full = ""
    """The letter at which the disk is full."""

    def run(self, group: Sequence[Item], wanted: Set[str], advance: Callable[..., None]) -> Iterator[Made]:
        batch = "".join(item.id for item in group)
        self.batches.append(batch)
        for item in group:
            if item.id in wanted:
                yield Made(item, measured={"length": 1}, write=partial(self._write, item.id, batch))
                self.kill_after -= 1
                if self.kill_after == 0:
                    raise Killed

    def _write(self, letter: str, batch: str) -> tuple[list[str], dict[str, int]]:
        assert threading.current_thread() is not threading.main_thread()
        if letter == self.full:
            raise FolderError("no space left on the device", self.out, "Free some space")
        write_text(self.out / f"{letter}.txt", f"{letter} of {batch}, {self.flavour}{self.hand}")
        return [f"{letter}.txt"], {}


def test_what_is_written_later_has_the_bytes_of_what_is_written_at_once(tmp_path: Path) -> None:
    go(Letters(tmp_path / "at once"))
    assert go(WrittenLater(tmp_path / "later")).made == 5
    assert contents(tmp_path / "later") == contents(tmp_path / "at once")


@pytest.mark.parametrize("kill_after", [1, 3])
def test_what_was_made_before_an_abrupt_end_is_kept(tmp_path: Path, kill_after: int) -> None:
    go(WrittenLater(tmp_path / "whole"))
    with pytest.raises(Killed):
        go(WrittenLater(tmp_path / "torn", kill_after=kill_after))
    assert list(read_records(tmp_path / "torn")) == list("abcde"[:kill_after])
    assert go(WrittenLater(tmp_path / "torn")).made == 5 - kill_after
    assert contents(tmp_path / "torn") == contents(tmp_path / "whole")


def test_a_failure_in_the_thread_ends_the_run_as_the_same_error(tmp_path: Path) -> None:
    stage = WrittenLater(tmp_path)
    stage.full = "c"
    with pytest.raises(FolderError, match="no space left") as told:
        go(stage)
    assert (told.value.where, told.value.remedy) == (tmp_path, "Free some space")
    assert list(read_records(tmp_path)) == ["a", "b"], "nothing after it is written, though d could be"
    assert not (tmp_path / "d.txt").exists()
    assert go(WrittenLater(tmp_path)).made == 3


def test_records_come_in_order_and_after_their_files(tmp_path: Path) -> None:
    committed: list[Record] = []

    def commit(record: Record) -> None:
        assert all(file_digest(tmp_path / name) == digest for name, digest in record.outputs.items())
        committed.append(record)

    def write(letter: str) -> tuple[list[str], dict[str, str]]:
        write_text(tmp_path / f"{letter}.txt", letter)
        return [f"{letter}.txt"], {"written": letter}

    with Writer(tmp_path, commit) as writer:
        for letter in "dbac":
            writer.put(Made(Item(letter, "cls", {}), measured={"made": 1}, write=partial(write, letter)))
    assert [record.id for record in committed] == list("dbac")
    assert committed[1].measured == {"made": 1, "written": "b"}
    assert list(committed[1].outputs) == ["b.txt"]


def test_no_more_wait_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WAITING", 2)
    gate, put = threading.Event(), []

    def write() -> tuple[list[str], dict[str, int]]:
        assert gate.wait(10)
        return [], {}

    def work() -> None:
        with Writer(tmp_path, lambda record: None) as writer:
            for number in range(6):
                writer.put(Made(Item(str(number), "", {}), write=write))
                put.append(number)

    worker = threading.Thread(target=work)
    worker.start()
    worker.join(0.3)
    assert len(put) <= 3, "one being written, two waiting"
    gate.set()
    worker.join(10)
    assert len(put) == 6
