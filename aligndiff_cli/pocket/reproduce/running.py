"""How the commands behind the tables are run: each once what it reads is made, several at a time, and timed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.errors import AligndiffError


@dataclass(frozen=True)
class Step:
    """One command.

    Attributes:
        command: `aligndiff`'s arguments; ``{run}`` in a path stands for every run.
        also: folder that it makes beside its ``--out``: a model which others use.
    """

    command: Sequence[str]
    also: str | None = None

    @property
    def out(self) -> str:
        """Its ``--out``."""
        return self.command[self.command.index("--out") + 1]

    def waits_for(self, other: Step, runs: int) -> bool:
        """Whether it reads what the other makes: names a path there."""
        return not _places(tuple(self.command), runs).isdisjoint(Path(made) for made in (other.out, other.also) if made)


@cache
def _places(command: tuple[str, ...], runs: int) -> frozenset[Path]:
    """The paths that a command names, in every run, and the folders that these lie in."""
    paths = {Path(word.replace("{run}", str(run))) for word in command for run in range(runs) if "/" in word}
    return frozenset(place for path in paths for place in (path, *path.parents))


class Times:
    """Wall-clock seconds of each command that has been run, summed over resumed tries."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self.seconds: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}

    def add(self, out: str, seconds: float) -> None:
        """Add to what is known of a command, told apart by its output folder."""
        with self._lock:
            self.seconds[out] = round(self.seconds.get(out, 0.0) + seconds, 1)
            write_text(self.path, json.dumps(self.seconds, indent=1, sort_keys=True) + "\n")


def run_all(steps: Sequence[Step], runs: int, jobs: int, times: Times) -> None:
    """Run commands, ``jobs`` at a time; of those that wait for nothing the first in order comes first.

    What does not depend on a command that failed is still made.

    Raises:
        AligndiffError: of the first that failed.
    """
    needs = {step.out: [o.out for o in steps[:number] if step.waits_for(o, runs)] for number, step in enumerate(steps)}
    done: set[str] = set()
    left = list(steps)
    running: dict[Future[None], Step] = {}
    failed: AligndiffError | None = None
    with ThreadPoolExecutor(jobs) as pool:
        while True:
            ready = [step for step in left if done.issuperset(needs[step.out])]
            for step in ready[: jobs - len(running)]:
                left.remove(step)
                running[pool.submit(run_step, step, times)] = step
            if not running:
                break
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                step = running.pop(future)
                try:
                    future.result()
                    done.add(step.out)
                except AligndiffError as error:
                    failed = failed or error
    if failed is not None:
        raise failed


def run_step(step: Step, times: Times) -> None:
    """Run a command, which passes over what is done itself.

    Raises:
        AligndiffError: it failed.
    """
    if step.command[0] == "prepare" and (Path(step.out) / layout.RUN).is_file():
        return  # it is written last, and rendering has nothing to resume
    print("aligndiff", *step.command, flush=True)
    began = time.monotonic()
    # one thread each: two processes on two cores do more than two threads in one
    environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    program = [sys.executable, "-m", "aligndiff_cli.cli.main", *step.command, "--quiet"]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
    times.add(step.out, time.monotonic() - began)
    if done.returncode:
        raise AligndiffError(done.stderr.strip() or done.stdout.strip() or "failed", " ".join(step.command))
