"""Commands are run once what they read is made."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from aligndiff_cli.errors import AligndiffError
from aligndiff_cli.pocket.reproduce import running
from aligndiff_cli.pocket.reproduce.running import Step, Times, run_all


def step(out: str, *reads: str, also: str | None = None) -> Step:
    return Step(["mask", *(word for read in reads for word in ("--images", read)), "--out", out], also)


def test_a_path_with_run_stands_for_every_run() -> None:
    row = step("w/row", "w/{run}/masks")
    assert row.waits_for(step("w/1/masks"), 2)
    assert not row.waits_for(step("w/2/masks"), 2)
    assert not row.waits_for(step("w/1/mask"), 2)  # a name that begins alike is another folder
    assert row.waits_for(step("w/x", also="w/0"), 2)


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What ran, in order; commands that write to a folder named bad fail."""
    order: list[str] = []
    lock = threading.Lock()

    def one(made: Step, times: Times) -> None:
        with lock:
            order.append(made.out)
        if made.out.endswith("bad"):
            raise AligndiffError("broken", made.out)

    monkeypatch.setattr(running, "run_step", one)
    return order


def test_nothing_runs_before_what_it_reads(ran: list[str], tmp_path: Path) -> None:
    steps = [step("w/a"), step("w/b", "w/a/pictures"), step("w/c"), step("w/d", "w/b", "w/c")]
    run_all(steps, 1, 2, Times(tmp_path / "times.json"))
    assert sorted(ran) == ["w/a", "w/b", "w/c", "w/d"]
    assert ran.index("w/a") < ran.index("w/b") < ran.index("w/d")
    assert ran[-1] == "w/d"


def test_what_needs_nothing_of_a_failure_is_still_made(ran: list[str], tmp_path: Path) -> None:
    steps = [step("w/bad"), step("w/after", "w/bad"), step("w/beside")]
    with pytest.raises(AligndiffError, match="broken"):
        run_all(steps, 1, 1, Times(tmp_path / "times.json"))
    assert ran == ["w/bad", "w/beside"]


def test_a_failing_command_says_why_and_is_timed(tmp_path: Path) -> None:
    times = Times(tmp_path / "times.json")
    wrong = Step(["prepare", "no-such-set", "--out", str(tmp_path / "x")])
    with pytest.raises(AligndiffError, match="expected one of"):
        run_all([wrong], 1, 1, times)
    assert list(json.loads((tmp_path / "times.json").read_text())) == [str(tmp_path / "x")]
