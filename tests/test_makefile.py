"""The split targets of the Makefile: what `make -n` shows are commands that exist, in the order of the chain."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import typer.main

from aligndiff_cli.cli.main import app

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent
SETS = {"pascal-5": "pascal-5i", "coco-20": "coco-20i", "emoji-5": "emoji-5i"}
GFSS = [f"{name}-{fold}" for name in SETS for fold in range(4)]
FSS = ["fss-1000", "emoji-fss"]
CHAIN = ["prepare", "invert", "generate", "mask", "compose", "evaluate"]

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


def shown(*arguments: str) -> list[list[str]]:
    """The aligndiff commands that make would run, split into words, from the subcommand on."""
    done = subprocess.run(["make", "-n", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.replace("\\\n", " ").splitlines()
    words = [shlex.split(line) for line in lines if ".venv/bin/aligndiff" in line]
    assert all(command[0] == ".venv/bin/aligndiff" for command in words)
    return [command[1:] for command in words]


def check(command: list[str]) -> dict[str, str]:
    """Parse a command as the command line would, without running it; flag -> value as written."""
    parsers = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    parsers[command[0]].make_context(command[0], command[1:])
    flags = [word for word in command if word.startswith("--")]
    assert len(flags) == len(set(flags)), command
    return {word: command[at + 1] for at, word in enumerate(command[:-1]) if word.startswith("--")}


@pytest.mark.parametrize("split", GFSS + FSS)
def test_a_split_is_the_whole_chain_and_each_command_exists(split: str) -> None:
    commands = shown(split, "ROOT=/sets/root", "SHOTS=5", "SEED=7", "OUT=there")
    stages = [stage for stage in CHAIN if split in GFSS or stage != "compose"]
    assert [command[0] for command in commands] == stages
    flags = {command[0]: check(command) for command in commands}
    at = f"there/{split}/5-shot/seed-7"
    assert [flags[stage]["--seed"] for stage in stages] == ["7"] * len(stages)
    folders = ["data", "bank", "synth", "masks", *["scenes"] * (split in GFSS), "results"]
    assert [flags[stage]["--out"] for stage in stages] == [f"{at}/{folder}" for folder in folders]
    # each reads what the one before wrote
    assert flags["prepare"]["--shots"] == "5"
    assert flags["invert"]["--images"] == flags["mask"]["--support"] == f"{at}/data/support"
    assert flags["generate"]["--bank"] == f"{at}/bank"
    assert flags["mask"]["--images"] == f"{at}/synth"
    assert flags["evaluate"]["--masks"] == f"{at}/masks"
    assert flags["evaluate"]["--query"] == f"{at}/data/query"
    emoji = split.startswith("emoji")
    assert flags["prepare"]["--icons" if emoji else "--root"] == "/sets/root"
    assert flags["invert"]["--model"] == ("pocket" if emoji else "stable-diffusion-v1-5/stable-diffusion-v1-5")
    assert ("--backbone" in flags["mask"]) == ("--backbone" in flags["evaluate"]) == (not emoji)
    if split in GFSS:
        name, fold = split.rsplit("-", 1)
        assert commands[0][1] == SETS[name]
        assert flags["prepare"]["--fold"] == flags["evaluate"]["--fold"] == fold
        assert flags["compose"]["--foregrounds"] == f"{at}/masks"
        assert flags["compose"]["--base"] == flags["evaluate"]["--base"] == f"{at}/data/base"
        assert flags["evaluate"]["--base-model"] == f"there/{split}/base-model-7"
    else:
        assert commands[0][1] == split
        assert flags["evaluate"]["--ood"] == f"{at}/data/ood.txt"


@pytest.mark.parametrize("split", [GFSS[3], GFSS[6], *FSS])
def test_each_stage_is_a_target_that_ends_with_it(split: str) -> None:
    whole = shown(split)
    for number, command in enumerate(whole, 1):
        assert shown(f"{split}/{command[0]}") == whole[:number]


@pytest.mark.parametrize("name", SETS)
def test_a_data_set_runs_its_folds_and_averages(name: str) -> None:
    commands = shown(name, "OUT=there")
    folds = [shown(f"{name}-{fold}/compose", "OUT=there") for fold in range(4)]
    assert commands[:-1] == [command for fold in folds for command in fold]
    flags = check(commands[-1])
    assert flags["--fold"] == "0,1,2,3"
    assert flags["--out"] == f"there/{name}/1-shot/seed-0/results"
    single = check(shown(f"{name}-2/evaluate", "OUT=there")[-1])
    for flag in single.keys() - {"--fold", "--out"}:
        assert flags[flag].replace("{fold}", "2") == single[flag]
    assert flags.keys() == single.keys()


def test_settings_reach_their_commands() -> None:
    settings = ["MODEL=m", "BACKBONE=b", "PER_CLASS=3", "LAYOUT=scenes"]
    extra = {"PREPARE": "--year 2014", "INVERT": "--steps 2", "GENERATE": "--batch 1", "MASK": "--keep prediction"}
    extra |= {"COMPOSE": "--count 9", "EVALUATE": "--method finetune"}
    commands = shown("coco-20-1", *settings, *(f"{stage}_FLAGS={flags}" for stage, flags in extra.items()))
    flags = {command[0]: check(command) for command in commands}
    for stage, given in extra.items():
        flag, value = given.split()
        assert flags[stage.lower()][flag] == value
    assert flags["invert"]["--model"] == "m"
    assert flags["generate"]["--per-class"] == "3"
    assert flags["mask"]["--backbone"] == flags["evaluate"]["--backbone"] == "b"
    assert flags["evaluate"]["--scenes"] == "work/coco-20-1/1-shot/seed-0/scenes"
    assert "--masks" not in flags["evaluate"]
    # five classes a step, and 100 iterations with one shot, 400 with five
    assert (flags["evaluate"]["--classes-per-step"], flags["evaluate"]["--iterations"]) == ("5", "100")
    assert check(shown("coco-20-1/evaluate", "SHOTS=5")[-1])["--iterations"] == "400"
    assert flags["prepare"]["--label-maps"] == "work/coco-20/label_maps"


def test_help_names_the_data_sets() -> None:
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in (*SETS, *FSS):
        assert f"  {name} " in done.stdout
