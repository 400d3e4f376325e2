"""Several workers on one folder: the same bytes whoever did what, and nobody in another's way."""

from __future__ import annotations

import fcntl
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from aligndiff_cli.engine import lock as claims
from aligndiff_cli.engine.failures import read_failures
from aligndiff_cli.engine.lock import Claim, one_at_a_time
from aligndiff_cli.engine.manifest import ManifestWriter, read_records
from aligndiff_cli.engine.runner import Outcome, run_stage
from aligndiff_cli.engine.stage import Item
from aligndiff_cli.engine.status import look
from aligndiff_cli.engine.workers import Launched, Share, Team, join_team, parse_shard
from aligndiff_cli.errors import FolderError, UsageError
from tests.engine.letters import Killed, Letters, Silent, contents, go

WORD = "abcdefghi"  # five batches: ab cd ef gh i


def shard(stage: Letters, number: int, count: int) -> Outcome:
    """Run one shard, counted from 1."""
    return run_stage(stage, Silent(), team=Team(Share(number - 1, count)))


@pytest.fixture
def whole(tmp_path: Path) -> dict[str, bytes]:
    """What a run alone makes."""
    go(Letters(tmp_path / "whole", WORD))
    return contents(tmp_path / "whole")


@pytest.mark.parametrize("order", [[1], [1, 2], [2, 1], [4, 2, 1, 3], [7, 6, 5, 4, 3, 2, 1]])
def test_shards_in_any_order_and_number_make_the_bytes_of_one_run(
    tmp_path: Path, whole: dict[str, bytes], order: list[int]
) -> None:
    folder = tmp_path / "shared"
    stages = [Letters(folder, WORD) for _ in order]
    outcomes = [shard(stage, number, len(order)) for stage, number in zip(stages, order, strict=True)]
    assert contents(folder) == whole
    assert sorted(batch for stage in stages for batch in stage.batches) == ["ab", "cd", "ef", "gh", "i"]
    assert outcomes[-1].summary.rows == [[WORD]]
    assert sum(outcome.made for outcome in outcomes) == 9


def test_a_shard_that_is_not_the_last_tells_how_far_all_are(tmp_path: Path, whole: dict[str, bytes]) -> None:
    folder = tmp_path / "shared"
    outcome = shard(Letters(folder, WORD), 2, 3)
    assert (outcome.made, outcome.kept) == (3, 0)
    assert outcome.summary.rows == [["1/3", "0", "4"], ["2/3", "3", "3"], ["3/3", "0", "2"]]
    assert "without --shard" in outcome.summary.next_command
    assert not (folder / "word.txt").exists()
    assert "2-of-3" in look(folder).remarks[0]
    assert (shard(Letters(folder, WORD), 2, 3).made, shard(Letters(folder, WORD), 2, 3).kept) == (0, 3)
    assert go(Letters(folder, WORD)).made == 6
    assert contents(folder) == whole
    assert not look(folder).remarks


def test_shards_with_nothing_to_do_are_not_listed(tmp_path: Path) -> None:
    outcome = shard(Letters(tmp_path, "abc"), 4, 4)
    assert (outcome.made, outcome.kept) == (0, 0)
    assert outcome.summary.rows == [["1/4", "0", "2"], ["2/4", "0", "1"]]


@pytest.mark.parametrize("then", [[1], [1, 2], [4, 3, 2, 1]])
def test_a_killed_shard_is_finished_by_any_number_of_others(
    tmp_path: Path, whole: dict[str, bytes], then: list[int]
) -> None:
    folder = tmp_path / "shared"
    with pytest.raises(Killed):
        shard(Letters(folder, WORD, kill_after=3), 1, 2)
    shard(Letters(folder, WORD), 2, 2)
    with (folder / "manifest.1-of-2.jsonl").open("a") as file:
        file.write('{"torn')
    assert set(read_records(folder)) == set("abecdgh")
    made = sum(shard(Letters(folder, WORD), number, len(then)).made for number in then)
    assert made == 9 - 7
    assert contents(folder) == whole


def test_nobody_begins_beside_others_who_would_do_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claims, "PATIENCE", 0.1)
    go(Letters(tmp_path, "ab"))
    with Claim(tmp_path) as first:
        first.together()
        with ManifestWriter(tmp_path, "manifest.1-of-2.jsonl"):
            with pytest.raises(FolderError, match="another run is writing to this folder"):
                go(Letters(tmp_path, WORD))
            with pytest.raises(FolderError, match=r"another run is writing to manifest\.1-of-2"):
                shard(Letters(tmp_path, WORD), 1, 2)
            with pytest.raises(FolderError, match=r"another number of workers is writing to manifest\.1-of-2"):
                shard(Letters(tmp_path, WORD), 1, 3)
            outcome = shard(Letters(tmp_path, WORD), 2, 2)
            assert outcome.made == 4
            assert outcome.summary.columns[0] == "shard"
    with Claim(tmp_path) as alone:
        assert alone.alone()
        with pytest.raises(FolderError, match="another run is writing to this folder"):
            shard(Letters(tmp_path, WORD), 1, 2)
    assert shard(Letters(tmp_path, WORD), 1, 2).summary.rows == [[WORD]]


def test_the_last_of_two_shards_at_work_finishes(tmp_path: Path, whole: dict[str, bytes]) -> None:
    """The first to end leaves while the second is still at work, although nothing is left to be made."""

    class Nested(Letters):
        def run(self, group, wanted, advance):  # type: ignore[no-untyped-def]
            yield from super().run(group, wanted, advance)
            if group[0].id == "g":  # the second shard's last batch, whose records are committed
                inner.append(shard(Letters(self.out, WORD), 1, 2))

    inner: list[Outcome] = []
    outer = shard(Nested(tmp_path / "shared", WORD), 2, 2)
    assert inner[0].summary.rows == [["1/2", "5", "5"], ["2/2", "4", "4"]]
    assert outer.summary.rows == [[WORD]]
    assert contents(tmp_path / "shared") == whole


def test_shards_of_other_options_are_refused(tmp_path: Path) -> None:
    shard(Letters(tmp_path, WORD), 1, 2)
    with pytest.raises(FolderError, match="made with flavour = plain, now it is mint"):
        shard(Letters(tmp_path, WORD, flavour="mint"), 2, 2)


def test_one_shard_cannot_force(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--force has no meaning for one shard"):
        run_stage(Letters(tmp_path), Silent(), force=True, team=Team(Share(0, 2)))
    go(Letters(tmp_path))
    assert run_stage(Letters(tmp_path), Silent(), force=True, team=Team(Share(0, 1))).made == 5


def test_what_shards_had_to_skip_is_told_until_it_is_made(tmp_path: Path) -> None:
    shard(Letters(tmp_path, WORD, bad="c"), 2, 2)
    assert len(shard(Letters(tmp_path, WORD, bad="i"), 1, 2).problems) == 1
    assert {problem.what[:8] for problem in read_failures(tmp_path)} == {"c is bad", "i is bad"}
    assert look(tmp_path).failed == 2
    assert shard(Letters(tmp_path, WORD), 1, 2).problems == []
    assert [problem.what[:8] for problem in read_failures(tmp_path)] == ["c is bad"]
    outcome = go(Letters(tmp_path, WORD, bad="d"))
    assert outcome.summary.rows == [["abcefghi"]]
    assert [problem.what[:8] for problem in read_failures(tmp_path)] == ["d is bad"]
    go(Letters(tmp_path, WORD))
    assert look(tmp_path).failed == 0


def test_the_last_shard_keeps_what_the_others_told(tmp_path: Path) -> None:
    assert len(shard(Letters(tmp_path, WORD, warned="a"), 1, 2).problems) == 1
    assert not shard(Letters(tmp_path, WORD), 2, 2).problems
    assert {path.name for path in tmp_path.glob("failures*")} == {"failures.jsonl"}
    assert [problem.what for problem in read_failures(tmp_path)] == ["a lacks a serif"]


def test_what_is_made_again_on_another_device_takes_the_place_of_the_old_record(tmp_path: Path) -> None:
    shard(Letters(tmp_path, WORD), 3, 3)
    (tmp_path / "e.txt").unlink()
    assert shard(Letters(tmp_path, WORD, hand=" by another hand"), 1, 2).made == 4
    assert shard(Letters(tmp_path, WORD), 1, 2).made == 0
    assert go(Letters(tmp_path, WORD)).summary.rows == [[WORD]]


def test_an_output_lost_since_is_made_again_by_its_shard_alone(tmp_path: Path, whole: dict[str, bytes]) -> None:
    folder = tmp_path / "whole"
    (folder / "c.txt").unlink()
    first, second = Letters(folder, WORD), Letters(folder, WORD)
    assert shard(first, 1, 2).summary.columns == ["shard", "done", "of"]
    assert shard(second, 2, 2).made == 1
    assert (first.batches, second.batches) == ([], ["cd"])
    assert contents(folder) == whole


def test_without_locks_the_shards_leave_the_end_to_a_run_alone(
    tmp_path: Path, whole: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(file: object, kind: int) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    folder = tmp_path / "shared"
    for number in (1, 2):
        assert shard(Letters(folder, WORD), number, 2).summary.columns[0] == "shard"
    assert {path.name for path in folder.glob("manifest*")} == {"manifest.1-of-2.jsonl", "manifest.2-of-2.jsonl"}
    assert go(Letters(folder, WORD)).made == 0
    assert contents(folder) == whole


@dataclass
class Trained(Letters):
    """Letters that need a file made once, before any batch."""

    trainings: list[str] = field(default_factory=list)
    together: bool = False

    def preparation(self, groups: Sequence[Sequence[Item]]) -> int:
        return 0 if (self.out / "trained").exists() or not groups else 10

    def prepare(self, groups: Sequence[Sequence[Item]], advance: Callable[..., None]) -> None:
        if groups and not (self.out / "trained").exists():
            self.trainings.append("once")
            time.sleep(0.2)
            advance(10)
            (self.out / "trained").touch()

    def run(self, group, wanted, advance):  # type: ignore[no-untyped-def]
        assert (self.out / "trained").exists()
        yield from super().run(group, wanted, advance)


def launch(stages: Sequence[Letters], force: bool = False) -> tuple[list[Outcome], list[Silent]]:
    """Run the stage of each of a launcher's workers, in threads with a store of this process."""
    from torch.distributed import HashStore

    store, shown = HashStore(), [Silent() for _ in stages]
    teams = [Launched(Share(number, len(stages)), store) for number in range(len(stages))]
    with ThreadPoolExecutor(len(stages)) as pool:
        waiting = [
            pool.submit(run_stage, stage, progress, force=force, team=team)
            for stage, progress, team in zip(stages, shown, teams, strict=True)
        ]
        return [future.result() for future in waiting], shown


@pytest.mark.parametrize("count", [2, 4, 7])
def test_launched_workers_make_the_bytes_of_one_run_and_the_first_speaks_for_all(tmp_path: Path, count: int) -> None:
    go(Trained(tmp_path / "whole", WORD))
    stages = [Trained(tmp_path / "shared", WORD) for _ in range(count)]
    outcomes, shown = launch(stages)
    assert contents(tmp_path / "shared") == contents(tmp_path / "whole")
    assert [len(stage.trainings) for stage in stages] == [1] + [0] * (count - 1)
    assert sorted(batch for stage in stages for batch in stage.batches) == ["ab", "cd", "ef", "gh", "i"]
    assert (outcomes[0].made, outcomes[0].kept, outcomes[0].summary.rows) == (9, 0, [[WORD]])
    assert [(progress.total, progress.done) for progress in shown] == [(19, 19)] + [(0, 0)] * (count - 1)


def test_launched_workers_tell_what_any_of_them_had_to_skip(tmp_path: Path) -> None:
    outcomes, _ = launch([Letters(tmp_path, WORD, bad="c") for _ in range(2)])
    assert [problem.what[:8] for problem in outcomes[0].problems] == ["c is bad"]
    assert outcomes[0].summary.rows == [["abefghi"]]
    assert look(tmp_path).failed == 1
    outcomes, shown = launch([Letters(tmp_path, WORD) for _ in range(3)])
    assert (outcomes[0].made, outcomes[0].kept, shown[0].total) == (2, 7, 2)
    assert look(tmp_path).failed == 0


def test_launched_workers_can_force(tmp_path: Path) -> None:
    go(Letters(tmp_path / "mint", WORD, flavour="mint"))
    launch([Letters(tmp_path / "shared", WORD) for _ in range(2)])
    launch([Letters(tmp_path / "shared", WORD, flavour="mint") for _ in range(2)], force=True)
    assert contents(tmp_path / "shared") == contents(tmp_path / "mint")


def test_one_waits_while_another_trains(tmp_path: Path) -> None:
    told: list[str] = []
    with ThreadPoolExecutor(1) as pool, one_at_a_time(tmp_path, lambda: None):

        def second() -> str:
            with one_at_a_time(tmp_path, lambda: told.append("waiting")):
                return (tmp_path / "trained").read_text()

        waiting = pool.submit(second)
        while not told:
            pass
        (tmp_path / "trained").write_text("by the first")
        assert not waiting.done()
        first_ends = waiting
    assert first_ends.result(5) == "by the first"


@pytest.mark.parametrize(("text", "share"), [("1/1", Share(0, 1)), ("1/4", Share(0, 4)), (" 4/4", Share(3, 4))])
def test_shards_count_from_one(text: str, share: Share) -> None:
    assert parse_shard(text) == share


@pytest.mark.parametrize("text", ["0/4", "5/4", "1", "a/b", "-1/4", "1/0", "1/4/4", ""])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="expected i/n with i from 1 to n"):
        parse_shard(text)


@pytest.mark.parametrize(
    ("rank", "world", "message"),
    [("0", "four", "WORLD_SIZE='four'"), ("4", "4", "RANK='4'"), (None, "2", "RANK=''")],
)
def test_an_environment_that_makes_no_sense_is_named(
    monkeypatch: pytest.MonkeyPatch, rank: str | None, world: str, message: str
) -> None:
    monkeypatch.setenv("WORLD_SIZE", world)
    monkeypatch.delenv("RANK", raising=False)
    if rank is not None:
        monkeypatch.setenv("RANK", rank)
    with pytest.raises(UsageError, match=message):
        join_team(None)


def test_a_launcher_leaves_no_room_for_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(UsageError, match="no meaning under torchrun"):
        join_team("1/2")
    monkeypatch.setenv("WORLD_SIZE", "1")
    monkeypatch.setenv("RANK", "0")
    assert join_team("2/3").share == Share(1, 3)
    assert join_team(None).share == Share(0, 1)
