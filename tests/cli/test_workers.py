"""Several workers as real processes: torchrun's, and shards without a launcher."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aligndiff_cli.disk import voc
from tests.cli import chain_worker
from tests.cli.conftest import Run
from tests.cli.test_chain import STAGES, commands, tree_bytes
from tests.cli.world import World

pytestmark = pytest.mark.slow

PATIENCE = 240


def chain(world: World, tree: str) -> dict[str, list[object]]:
    """The five stages, and two that train something first."""
    made = commands(world, tree)
    grounding = ["--segmenter", "grounding", "--base", world / "base", "--grounding-steps", 2, "--grounding-batch", 2]
    made["grounded"] = ["mask", "--images", world / tree / "synth", "--out", world / tree / "grounded", *grounding]
    made["gfss"] = ["evaluate", "gfss", "--base", world / "base", "--query", world / "base"]
    made["gfss"] += ["--support", world / "support", "--out", world / tree / "gfss", "--backbone", world.backbone]
    made["gfss"] += ["--epochs", 1, "--base-batch", 2, "--iterations", 1, "--batch", 2, "--crop", 32]
    made["gfss"] += ["--runs", 3, "--shots", 1]
    return made


def start(program: list[str]) -> subprocess.Popen[str]:
    """Start a process with as many threads as this one has: sums may round differently with more."""
    import torch

    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads()), "PYTHONPATH": str(Path.cwd())}
    return subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)


def torchrun(world: World, count: int, arguments: list[list[object]]) -> subprocess.Popen[str]:
    """Start workers that run these commands one after another."""
    path = world / "commands.json"
    path.write_text(json.dumps([[str(argument) for argument in command] for command in arguments]))
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(count)]
    return start([*launcher, chain_worker.__file__, str(path)])


def wait_for_record(path: Path, process: subprocess.Popen[str]) -> None:
    """Wait until a manifest holds something."""
    until = time.monotonic() + PATIENCE
    while not (path.exists() and path.stat().st_size):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.002)


def test_two_workers_of_a_launcher_make_the_bytes_of_one(world: World, run: Run) -> None:
    voc.write_split(world / "base", "val", ["base0", "base1"])
    for arguments in chain(world, "one").values():
        run(*arguments)
    process = torchrun(world, 2, list(chain(world, "two").values()))
    told, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, told
    assert tree_bytes(world / "two") == tree_bytes(world / "one")
    assert told.count("Results:") == len(chain(world, "two")), "the first worker speaks for both"


def test_data_parallel_training_is_asked_for_recorded_and_repeatable(world: World, run: Run) -> None:
    voc.write_split(world / "base", "val", ["base0", "base1"])
    runs = [[*chain(world, tree)["gfss"], "--data-parallel"] for tree in ("first", "second")]
    told, _ = torchrun(world, 2, runs).communicate(timeout=PATIENCE)
    assert told.count("Results:") == 2, told
    assert tree_bytes(world / "first") == tree_bytes(world / "second")
    assert "data-parallel workers: 2" in (world / "first/gfss/base-model/run.yaml").read_text()
    assert "data_parallel = 2, now it is 1" in run(*runs[0], code=1).output, "another number is another training"
    run(*chain(world, "alone")["gfss"])
    weights = [(world / tree / "gfss/base-model/model.safetensors").read_bytes() for tree in ("first", "alone")]
    assert weights[0] != weights[1]


def test_a_killed_worker_leaves_the_work_of_all_to_any_other_number(world: World, run: Run) -> None:
    (bank, synth) = (commands(world, "killed")[stage] for stage in STAGES[:2])
    run(*bank)
    more = [*synth, "--per-class", 12]
    process = torchrun(world, 2, [more])
    folder = world / "killed" / "synth"
    wait_for_record(folder / "manifest.2-of-2.jsonl", process)
    os.kill(int((world / "pid.1").read_text()), signal.SIGKILL)
    assert process.wait(PATIENCE) != 0
    assert not (folder / "pictures").exists(), "it ended before it was killed"
    left = (folder / "manifest.2-of-2.jsonl").read_bytes().count(b"\n")
    assert left > 0
    status = run("status", folder)
    assert "2-of-2" in status.output
    process = torchrun(world, 4, [more])
    told, _ = process.communicate(timeout=PATIENCE)
    assert "already there" in told
    assert "coarse mask covers" in told
    resumed = tree_bytes(folder)
    run(*more, "--force")
    assert tree_bytes(folder) == resumed


def test_shards_run_at_once_and_a_killed_one_is_told_and_made_up_for(world: World, run: Run) -> None:
    (bank, synth) = (commands(world, "shards")[stage] for stage in STAGES[:2])
    run(*bank)
    folder = world / "shards" / "synth"
    more = [*map(str, synth), "--per-class", "12"]
    program = [sys.executable, "-m", "aligndiff_cli.cli.main", *more, "--shard"]
    killed, other = start([*program, "1/2"]), start([*program, "2/2"])
    wait_for_record(folder / "manifest.1-of-2.jsonl", killed)
    killed.kill()
    told, _ = other.communicate(timeout=PATIENCE)
    assert killed.wait() == -signal.SIGKILL
    assert other.returncode == 0, told
    assert "2/2    12" in told
    assert "without --shard" in " ".join(told.split())
    assert "coarse mask covers" in run(*more).output
    resumed = tree_bytes(folder)
    run(*more, "--force")
    assert tree_bytes(folder) == resumed


def test_an_interrupt_reaches_the_workers_and_their_work_is_kept(world: World, run: Run) -> None:
    (bank, synth) = (commands(world, "stopped")[stage] for stage in STAGES[:2])
    run(*bank)
    more = [*synth, "--per-class", 12]
    process = torchrun(world, 2, [more])
    folder = world / "stopped" / "synth"
    wait_for_record(folder / "manifest.2-of-2.jsonl", process)
    process.send_signal(signal.SIGINT)
    told, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode != 0
    assert told.count("Interrupted.") == 1
    kept = sum(path.read_bytes().count(b"\n") for path in folder.glob("manifest*.jsonl"))
    assert f"{24 - kept} made, {kept} already there" in run(*more).output
