"""A stage that writes letters into text files, for tests of the runner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path

from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.engine.manifest import Record
from aligndiff_cli.engine.options import Options
from aligndiff_cli.engine.run_file import RunFile
from aligndiff_cli.engine.runner import Outcome, run_stage
from aligndiff_cli.engine.stage import Item, Made, Plan, Stage, Summary
from aligndiff_cli.errors import InputError


class Killed(BaseException):
    """Stands for a death in the middle of the work."""


class Silent:
    def __init__(self) -> None:
        self.total = self.done = 0

    def start(self, total: int, unit: str) -> None:
        self.total = total

    def advance(self, units: int, note: str = "") -> None:
        self.done += units


@dataclass
class Letters(Stage[Options]):
    """Writes the letters of a word, two to a batch; the text of an item depends on its batch."""

    out: Path
    word: str = "abcde"
    flavour: str = "plain"
    digest: str = "0"
    bad: str = ""
    kill_after: int = -1
    source: str = ""
    warned: str = ""
    hand: str = ""
    unit: str = "letters"
    batches: list[str] = field(default_factory=list)

    def describe(self) -> RunFile:
        return RunFile("letters", {"flavour": self.flavour}, 7, {"source": self.source})

    def flags(self) -> dict[str, str]:
        return {"flavour": "--flavour"}

    def plan(self) -> Plan:
        items = [Item(letter, "cls", {"word": self.digest}, {"place": (letter, 0.5)}) for letter in self.word]
        return Plan([items[i : i + 2] for i in range(0, len(items), 2)])

    def run(self, group: Sequence[Item], wanted: Set[str], advance: Callable[..., None]) -> Iterator[Made]:
        batch = "".join(item.id for item in group)
        self.batches.append(batch)
        for item in group:
            if item.id == self.bad:
                raise InputError(f"{item.id} is bad")
            if item.id not in wanted:
                continue
            write_text(self.out / f"{item.id}.txt", f"{item.id} of {batch}, {self.flavour}{self.hand}")
            problems = [InputError(f"{item.id} lacks a serif")] if item.id == self.warned else []
            yield Made(item, [f"{item.id}.txt"], {"length": 1}, problems)
            advance(1)
            self.kill_after -= 1
            if self.kill_after == 0:
                raise Killed

    def finish(self, records: Mapping[str, Record]) -> Summary:
        word = "".join(sorted(records))
        write_text(self.out / "word.txt", word)
        return Summary(["letters"], [[word]])


def go(stage: Letters, force: bool = False) -> Outcome:
    return run_stage(stage, Silent(), force=force)


def contents(folder: Path) -> dict[str, bytes]:
    """What was made; not when."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".files.")}
