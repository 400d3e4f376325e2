"""Odd inputs, one line each: what is arranged, the command, what must be said, and what must be left.

The tables are in the modules beside this one. A case runs the command in this process, from within a small world of its
own (``tests/cli/world.py``): paths in the command are relative to it, ``{model}`` and ``{backbone}`` stand for tiny
models. A command that hangs is ended after ``PATIENCE`` seconds and fails.
"""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from aligndiff_cli.engine.manifest import read_records
from tests.cli.conftest import Run
from tests.cli.world import World

PATIENCE = 120.0
"""Seconds; every case takes well below one, on a machine that does nothing else."""

Tree = Mapping[str, bytes]
"""Every regular file of a world, by its path within it."""
Leaves = Callable[[World, Tree], object]
"""A check of the world after the command, given what was there before."""


@dataclass(frozen=True)
class Case:
    """One odd input.

    Attributes:
        name: of the test.
        arrange: makes the input in a world that is otherwise fine; what it returns is held while the command runs.
        command: as it is typed, after ``aligndiff``.
        says: a text that must be in what the command prints, or several; runs of blanks count as one. One that
            begins with ``"no: "`` must not be there.
        leaves: checks what is left; see ``records``, ``nothing``, ``same`` and ``all_of``.
        exit_code: of the command.
    """

    name: str
    arrange: Callable[[World], object]
    command: str
    says: str | tuple[str, ...]
    leaves: Leaves
    exit_code: int = 1


def table(*cases: Case) -> Any:
    """The decorator of a test that takes ``case``."""
    return pytest.mark.parametrize("case", cases, ids=[case.name.replace(" ", "-") for case in cases])


def check(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run one case."""
    held = case.arrange(world)
    monkeypatch.chdir(world.root)
    monkeypatch.delenv("ALIGNDIFF_MODEL", raising=False)
    before = tree(world.root)
    words = shlex.split(case.command.format(model=world.model, backbone=world.backbone))
    with ends_in_time():
        output = " ".join(run(*words, code=case.exit_code).output.split())
    for text in (case.says,) if isinstance(case.says, str) else case.says:
        unwanted = text.removeprefix("no: ")
        assert (unwanted not in output) if text.startswith("no: ") else (text in output), f"{text!r} in {output}"
    del held
    case.leaves(world, before)


def tree(folder: Path) -> dict[str, bytes]:
    """Every regular file below a folder; what is locked, and what tells times, is no content."""
    hidden = (".lock", ".files.jsonl")
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name not in hidden)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@contextmanager
def ends_in_time() -> Iterator[None]:
    """Fail where the block waits for something that never comes, such as a pipe that nobody writes to."""

    def too_long(*_: object) -> None:
        raise TimeoutError(f"the command has not ended after {PATIENCE:g} s")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def records(folder: str, *ids: str) -> Leaves:
    """The folder's manifest has these records and no others."""

    def leaves(world: World, _: Tree) -> None:
        assert set(read_records(world / folder)) == set(ids)

    return leaves


def nothing(folder: str) -> Leaves:
    """The folder was not made."""

    def leaves(world: World, _: Tree) -> None:
        assert not (world / folder).exists()

    return leaves


def same(*folders: str) -> Leaves:
    """Not a byte below these folders has changed, and no file has come or gone."""

    def leaves(world: World, before: Tree) -> None:
        for folder in folders:
            own = {name: data for name, data in before.items() if Path(name).is_relative_to(folder)}
            now = {f"{folder}/{name}": data for name, data in tree(world / folder).items()}
            assert now == own, sorted(now.items() ^ own.items())

    return leaves


def all_of(*checks: Leaves) -> Leaves:
    """Each of these."""

    def leaves(world: World, before: Tree) -> None:
        for each in checks:
            each(world, before)

    return leaves
