"""A rerun with nothing to do, and a shard whose work is done, load no weights and no diffusers."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from aligndiff_cli.disk import voc
from tests.cli.conftest import Run
from tests.cli.test_workers import chain
from tests.cli.world import World

pytestmark = pytest.mark.slow

PROGRAM = """
import json, sys
import torch
from aligndiff_cli.cli.main import app

def never(*_, **__):
    raise AssertionError("weights were loaded")

torch.nn.Module.load_state_dict = torch.nn.Module.to = never
for command in json.loads(sys.argv[1]):
    if code := app(command, standalone_mode=False):
        sys.exit(code)
sys.exit("diffusers was imported" if "diffusers" in sys.modules else 0)
"""


def again(commands: list[list[object]], code: int = 0) -> str:
    """What is said when commands are given again, in a process that can load no weights."""
    texts = json.dumps([[str(argument) for argument in command] for command in commands])
    done = subprocess.run([sys.executable, "-c", PROGRAM, texts], capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_nothing_is_loaded_for_nothing(world: World, run: Run) -> None:
    voc.write_split(world / "base", "val", ["base0", "base1"])
    commands = list(chain(world, "tree").values())
    for command in commands:
        run(*command)
    assert again(commands).count("0 made") == len(commands)
    shards = [[*command, "--shard", f"{number}/2"] for command in commands[:3] for number in (1, 2)]
    again(shards)
    next((world / "tree/synth/images").rglob("*.png")).unlink()
    assert "weights were loaded" in again(commands[1:2], code=1)
