"""The loop: resume, refusal to mix, repair, and bad inputs, on a stage that writes text files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from aligndiff_cli.engine.lock import Claim
from aligndiff_cli.engine.manifest import Record, read_records, rewrite
from aligndiff_cli.engine.run_file import RunFile, read_run, write_run
from aligndiff_cli.engine.runner import run_stage
from aligndiff_cli.engine.workers import Progress
from aligndiff_cli.errors import FolderError
from tests.engine.letters import Killed, Letters, Silent, contents, go


def test_a_run_makes_everything_and_a_second_one_nothing(tmp_path: Path) -> None:
    first, second = Letters(tmp_path), Letters(tmp_path)
    assert (go(first).made, first.batches) == (5, ["ab", "cd", "e"])
    before = contents(tmp_path)
    outcome = go(second)
    assert (outcome.made, outcome.kept, second.batches) == (0, 5, [])
    assert contents(tmp_path) == before


@pytest.mark.parametrize("kill_after", [1, 2, 3, 4])
def test_a_killed_run_resumes_with_whole_batches_to_the_same_bytes(tmp_path: Path, kill_after: int) -> None:
    go(Letters(tmp_path / "whole"))
    with pytest.raises(Killed):
        go(Letters(tmp_path / "torn", kill_after=kill_after))
    go(Letters(tmp_path / "torn"))
    assert contents(tmp_path / "torn") == contents(tmp_path / "whole")


def test_more_items_may_be_asked_for_later(tmp_path: Path) -> None:
    go(Letters(tmp_path, word="ab"))
    stage = Letters(tmp_path, word="abcd")
    assert (go(stage).made, stage.batches) == (2, ["cd"])


def test_fewer_items_leave_the_others_and_name_them(tmp_path: Path) -> None:
    go(Letters(tmp_path, word="abcd"))
    outcome = go(Letters(tmp_path, word="ab"))
    assert outcome.stale == ["c", "d"]
    assert outcome.summary.rows == [["ab"]]
    assert set(read_records(tmp_path)) == set("abcd")


def test_other_options_are_refused_by_name(tmp_path: Path) -> None:
    go(Letters(tmp_path))
    with pytest.raises(FolderError, match="made with flavour = plain, now it is mint") as raised:
        go(Letters(tmp_path, flavour="mint"))
    assert str(raised.value.remedy).endswith("; --flavour plain goes on with this one")
    assert go(Letters(tmp_path, flavour="mint"), force=True).made == 5
    assert (tmp_path / "a.txt").read_text().endswith("mint")


def test_an_option_that_an_older_version_did_not_record_is_refused_as_that(tmp_path: Path) -> None:
    go(Letters(tmp_path))
    write_run(tmp_path, replace(Letters(tmp_path).describe(), options={}))
    with pytest.raises(FolderError, match="another version, which did not record flavour, now it is plain"):
        go(Letters(tmp_path))


def test_an_interrupted_forced_run_keeps_no_record_of_the_old_work(tmp_path: Path) -> None:
    go(Letters(tmp_path))
    with pytest.raises(Killed):
        go(Letters(tmp_path, flavour="mint", kill_after=1), force=True)
    assert go(Letters(tmp_path, flavour="mint")).made == 4
    assert all(path.read_text().endswith("mint") for path in tmp_path.glob("?.txt"))


def test_another_input_is_refused_by_name_and_leaves_the_run_file_alone(tmp_path: Path) -> None:
    go(Letters(tmp_path, source="../one"))
    with pytest.raises(FolderError, match="a was made from another word"):
        go(Letters(tmp_path, digest="1", source="../other"))
    run = read_run(tmp_path)
    assert run is not None
    assert run.inputs == {"source": "../one"}


def test_a_missing_output_is_made_again_and_a_changed_one_is_not_overwritten(tmp_path: Path) -> None:
    go(Letters(tmp_path))
    (tmp_path / "b.txt").unlink()
    assert go(Letters(tmp_path)).made == 1
    (tmp_path / "b.txt").write_text("mended by hand")
    with pytest.raises(FolderError, match=r"b\.txt: was changed after it was made"):
        go(Letters(tmp_path))
    assert (tmp_path / "b.txt").read_text() == "mended by hand"


def test_a_bad_input_is_named_and_the_rest_goes_on(tmp_path: Path) -> None:
    outcome = go(Letters(tmp_path, bad="c"))
    assert [str(problem) for problem in outcome.problems] == [
        "c is bad (so what is made together with it was not made)"
    ]
    assert set(read_records(tmp_path)) == set("abe")
    assert '"c is bad (' in (tmp_path / "failures.jsonl").read_text()
    assert go(Letters(tmp_path)).made == 2
    assert not (tmp_path / "failures.jsonl").exists()


def test_progress_counts_what_is_left(tmp_path: Path) -> None:
    go(Letters(tmp_path, word="ab"))
    progress = Silent()
    run_stage(Letters(tmp_path, word="abcde"), progress)
    assert (progress.total, progress.done) == (3, 3)


def test_a_resumed_batch_leaves_the_files_of_its_finished_items_alone(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        go(Letters(tmp_path, kill_after=1))
    before = (tmp_path / "a.txt").stat().st_mtime_ns
    go(Letters(tmp_path))
    assert (tmp_path / "a.txt").stat().st_mtime_ns == before


def test_an_item_whose_output_is_gone_and_cannot_be_made_again_has_no_record(tmp_path: Path) -> None:
    go(Letters(tmp_path))
    (tmp_path / "c.txt").unlink()
    assert go(Letters(tmp_path, bad="c")).summary.rows == [["abde"]]
    assert "c" not in read_records(tmp_path)


def test_two_runs_do_not_write_to_one_folder(tmp_path: Path) -> None:
    with Claim(tmp_path) as claim:
        assert claim.alone()
        with pytest.raises(FolderError, match="another run is writing"):
            go(Letters(tmp_path))


def edited(folder: Path, **fields: object) -> None:
    """Replace fields of the record of "b"."""
    records = read_records(folder)
    rewrite(folder, [replace(record, **fields) if key == "b" else record for key, record in records.items()])  # type: ignore[arg-type]


def test_a_record_that_lost_its_outputs_counts_as_not_done(tmp_path: Path) -> None:
    go(Letters(tmp_path))
    edited(tmp_path, outputs={})
    assert go(Letters(tmp_path)).made == 1
    assert read_records(tmp_path)["b"].outputs


def test_a_record_that_tells_other_parameters_than_the_plan_is_named(tmp_path: Path) -> None:
    go(Letters(tmp_path))
    edited(tmp_path, parameters={"place": ["c", 1]})
    with pytest.raises(FolderError, match=r"the record of 'b' says place = \['c', 1\], and it is \['b', 0.5\]"):
        go(Letters(tmp_path))


class Counted(Letters):
    """Letters that are weighed together afterwards, two to a pass."""

    weight = 1

    def describe(self) -> RunFile:
        return replace(super().describe(), told={"weight": self.weight})

    def review(self, records: Mapping[str, Record], progress: Progress) -> Iterator[Record]:
        for record in records.values():
            if record.measured.get("weight") != self.weight:
                self.kill_after -= 1
                if self.kill_after == 0:
                    raise Killed
                yield replace(record, measured={**record.measured, "weight": self.weight})


def weights(folder: Path) -> dict[str, int | None]:
    return {item_id: record.measured.get("weight") for item_id, record in read_records(folder).items()}


def test_what_a_review_finds_is_kept_one_by_one(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        go(Counted(tmp_path, kill_after=5 + 3))  # five letters, two weights
    assert list(weights(tmp_path).values()) == [1, 1, None, None, None]
    outcome = go(Counted(tmp_path))
    assert (outcome.made, outcome.kept) == (0, 5)
    assert set(weights(tmp_path).values()) == {1}
    whole = contents(tmp_path)
    go(Counted(tmp_path / "other"))
    assert contents(tmp_path / "other")["manifest.jsonl"] == whole["manifest.jsonl"]


def test_a_review_by_another_measure_makes_nothing_again(tmp_path: Path) -> None:
    go(Counted(tmp_path))
    heavier = Counted(tmp_path)
    heavier.weight = 2
    assert go(heavier).made == 0
    assert set(weights(tmp_path).values()) == {2}
    run = read_run(tmp_path)
    assert run is not None
    assert run.told == {"weight": 2}
