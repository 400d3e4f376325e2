"""The page of `make reproduce`, and that the commands it is made by are real ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer.main

from aligndiff_cli.cli.main import app
from aligndiff_cli.evaluation.gfss import Confusion, RunResult, Spread, StepResult
from aligndiff_cli.pocket.reproduce.commands import Reproduction, Times, run_chain
from aligndiff_cli.pocket.reproduce.tables import Claim, gfss_runs, reproduction, verdict


def result(run: int, novel: int) -> dict:
    """Background and one base class at IoU 0.5, one novel class at novel / 100."""
    confusion = Confusion({0: 50, 1: 50, 2: novel}, {0: 100, 1: 100, 2: 100}, {0: 50, 1: 50, 2: novel})
    return RunResult("", run, (1,), {"dog": ["00"]}, [StepResult(0, (2,), confusion)]).to_json()


def write_row(work: Path, shots: int, name: str, novel: list[int]) -> None:
    folder = work / "gfss" / str(shots) / "rows" / name
    folder.mkdir(parents=True)
    runs = [result(run, value) for run, value in enumerate(novel)]
    (folder / "metrics.json").write_text(json.dumps({"runs": runs}))


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        (Spread(0.02, 0.01, 3), "same order (+2.0 sd)"),
        (Spread(0.005, 0.01, 3), "same order, within noise (+0.5 sd)"),
        (Spread(-0.005, 0.01, 3), "NOT the same order, within noise (-0.5 sd)"),
        (Spread(-0.03, 0.01, 3), "NOT the same order (-3.0 sd)"),
        (Spread(0.02, None, 1), "same order, one run"),
        (Spread(None, None, 0), "–"),
    ],
)
def test_verdicts(gain: Spread, expected: str) -> None:
    assert verdict(gain) == expected


def test_a_claim_compares_runs_one_by_one() -> None:
    # gains 0.10 and 0.30: mean 0.20, sample sd 0.1414
    claim = Claim("a over b", [0.4, 0.5], [0.3, 0.2], 17.0)
    assert claim.row() == ["a over b", "+17.0", "+20.0 ± 14.1", "same order (+1.4 sd)"]


def test_the_page_has_what_is_there(tmp_path: Path) -> None:
    write_row(tmp_path, 1, "gaps", [10, 20, 30])
    write_row(tmp_path, 1, "gaps-alignd", [20, 30])
    page = reproduction(tmp_path, tmp_path / "out", 3, 100, {}).read_text()
    assert "| GAPS | 66.8 / 23.6 / 34.9 | 50.0 ± 0.0 | 20.0 ± 10.0 |" in page
    assert "| PIFS | 64.1 / 16.9 / 26.7 | – | – | – | 0 |" in page
    # runs 0 and 1 alone are compared
    assert "| GAPS + AlignDiff over GAPS, 1 shot, novel | +19.7 | +10.0 ± 0.0 | same order" in page
    assert "Table 2" not in page


def test_rows_are_read_by_run(tmp_path: Path) -> None:
    write_row(tmp_path, 5, "gaps", [10, 20])
    assert sorted(gfss_runs(tmp_path / "gfss/5/rows/gaps")) == [0, 1]
    assert gfss_runs(tmp_path / "nothing") == {}


def test_every_command_exists_with_its_flags(tmp_path: Path) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    plan = Reproduction(tmp_path, 2, (1, 5), 100)
    all_commands = [command for phase in plan.phases() for chain in phase for command in chain]
    assert {command[0] for command in all_commands} == {"prepare", "invert", "generate", "mask", "evaluate"}
    for command in all_commands:
        own = commands[command[0]] if command[0] != "evaluate" else commands["evaluate"].commands[command[1]]
        known = {flag for parameter in own.params for flag in parameter.opts}
        assert {word for word in command if word.startswith("--")} <= known, command
    outputs = [(command[command.index("--out") + 1], tuple(command)) for command in all_commands]
    # only the grounding module's first folder is named twice: with the base scenes to train on, then without
    assert len(dict(outputs)) == len(set(outputs)) - 1


def test_a_failing_command_ends_the_chain_with_its_message(tmp_path: Path) -> None:
    from aligndiff_cli.errors import AligndiffError

    times = Times(tmp_path / "times.json")
    with pytest.raises(AligndiffError, match="expected one of"):
        run_chain([["prepare", "no-such-set", "--out", str(tmp_path / "x")]], times)
    assert list(json.loads((tmp_path / "times.json").read_text())) == [str(tmp_path / "x")]


def test_every_point_of_the_curve_has_a_row(tmp_path: Path) -> None:
    plan = Reproduction(tmp_path, 1, (1,), 100)
    made = {command[-1] for phase in plan.phases() for chain in phase for command in chain}
    wanted = ("gaps", "gaps-10", "gaps-20", "gaps-50", "gaps-alignd", "gaps-200", "gaps-500", "gaps-1000")
    assert {f"{tmp_path}/gfss/1/rows/{name}" for name in wanted} <= made
    # more samples than the tables' come from a pool of their own
    large = next(command for command in plan.curve() if command[-1].endswith("gaps-1000"))
    assert f"{tmp_path}/gfss/1/{{run}}/masks-many" in large
