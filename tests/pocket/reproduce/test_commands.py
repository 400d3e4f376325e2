"""The plan of `make reproduce`: its commands are real ones, and each names what it reads."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer.main

from aligndiff_cli.cli.main import app
from aligndiff_cli.pocket.reproduce.commands import Reproduction
from aligndiff_cli.pocket.reproduce.running import Step


@pytest.fixture
def steps(tmp_path: Path) -> dict[str, Step]:
    """By output folder, from the work folder."""
    plan = Reproduction(tmp_path, 2, (1, 5), 100)
    return {Path(step.out).relative_to(tmp_path).as_posix(): step for step in plan.steps()}


def test_every_command_exists_with_its_flags(tmp_path: Path, steps: dict[str, Step]) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    assert {step.command[0] for step in steps.values()} == {"prepare", "invert", "generate", "mask", "evaluate"}
    for step in steps.values():
        command = step.command
        own = commands[command[0]] if command[0] != "evaluate" else commands["evaluate"].commands[command[1]]
        known = {flag for parameter in own.params for flag in parameter.opts}
        assert {word for word in command if word.startswith("--")} <= known, command
    # no two write to one folder
    assert len(steps) == len(list(Reproduction(tmp_path, 2, (1, 5), 100).steps()))


def test_a_row_waits_for_all_it_learns_from(steps: dict[str, Step]) -> None:
    row = steps["gfss/5/rows/gaps-alignd"]
    found = {out for out, step in steps.items() if step is not row and row.waits_for(step, 2)}
    runs = {f"gfss/5/{run}/{made}" for run in (0, 1) for made in ("data", "masks")}
    assert found == runs | {"gfss/data", "gfss/warm"}


def test_the_grounding_module_is_trained_once_a_fold(steps: dict[str, Step]) -> None:
    training = [out for out, step in steps.items() if "grounding" in step.command and "--base" in step.command]
    assert training == [f"{world}/1/0/masks-grounding" for world in ("gfss", "folds/0", "folds/1", "folds/2")]
    assert steps["fss/1/masks-grounding"].waits_for(steps["gfss/1/0/masks-grounding"], 2)


def test_every_point_of_the_curve_has_a_row(steps: dict[str, Step], tmp_path: Path) -> None:
    wanted = ("gaps", "gaps-10", "gaps-20", "gaps-50", "gaps-alignd", "gaps-200", "gaps-500", "gaps-1000")
    assert {f"gfss/1/rows/{name}" for name in wanted} <= steps.keys()
    # more samples than the tables' come from a pool of their own
    assert f"{tmp_path}/gfss/1/{{run}}/masks-many" in steps["gfss/1/rows/gaps-1000"].command
    assert f"{tmp_path}/gfss/1/{{run}}/masks" in steps["gfss/1/rows/gaps-50"].command


def test_other_folds_are_checked_with_less(steps: dict[str, Step]) -> None:
    def value(out: str, flag: str) -> str:
        return steps[out].command[steps[out].command.index(flag) + 1]

    assert [value(f"{world}/warm", "--epochs") for world in ("gfss", "folds/0")] == ["96", "48"]
    assert [value(f"{world}/1/rows/gaps-alignd", "--per-class") for world in ("gfss", "folds/0")] == ["100", "30"]
    assert [value(f"{world}/1/rows/gaps-alignd", "--runs") for world in ("gfss", "folds/0")] == ["2", "1"]
    # one inverted sample of three is wanted and plain ones for rows without
    assert value("folds/0/1/0/synth", "--per-class") == "45"
