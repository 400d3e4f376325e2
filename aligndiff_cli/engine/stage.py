"""The nouns of a stage: items in groups, what was made of them, and what a stage is to its runner."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from aligndiff_cli.engine.manifest import Record
from aligndiff_cli.engine.options import Options
from aligndiff_cli.engine.run_file import RunFile, relative_to_folder
from aligndiff_cli.engine.versions import versions
from aligndiff_cli.engine.workers import Progress
from aligndiff_cli.errors import InputError


@dataclass(frozen=True)
class Item:
    """One thing to make.

    Attributes:
        id: unique in its stage folder; everything random about the item follows from (run seed, id).
        cls: class name, or "".
        inputs: name -> digest of everything the item is made from.
        parameters: what was decided in planning and is worth a line in the record.
        of_group: names of the inputs that tell what else is in its group. Where these alone have changed, others have
            come or gone, and the item is made again.
        retouchable: outputs changed by hand are kept as they are, and the item counts as done; otherwise they are an
            error.
    """

    id: str
    cls: str
    inputs: Mapping[str, str]
    parameters: Mapping[str, Any] = field(default_factory=dict)
    of_group: Set[str] = frozenset()
    retouchable: bool = False


@dataclass(frozen=True)
class Made:
    """What a stage made for one item.

    Attributes:
        files: already written, relative to the folder.
        measured: figures taken on the way.
        problems: inputs of the item that had to be left out.
        write: writes what is not on the disk yet, in another thread (``engine/writer.py``); returns the files and more
            figures.
    """

    item: Item
    files: Sequence[str] = ()
    measured: Mapping[str, Any] = field(default_factory=dict)
    problems: Sequence[InputError] = ()
    write: Callable[[], tuple[Sequence[str], Mapping[str, Any]]] | None = None


@dataclass(frozen=True)
class Plan:
    """All there is to do, in fixed groups, and the inputs that cannot be used."""

    groups: Sequence[Sequence[Item]]
    problems: Sequence[InputError] = ()


@dataclass(frozen=True)
class Summary:
    """What the user is told at the end: a short table, where to look, what to run next."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    pictures: Sequence[Path] = ()
    next_command: str = ""


Asked = TypeVar("Asked", bound=Options)


class Stage(ABC, Generic[Asked]):
    """What a stage makes, and how; the runner (``engine/runner.py``) does the rest.

    Args:
        options: what was asked for.

    Attributes:
        out: folder written.
        unit: what progress is counted in.
        notes: lines the user should read before it starts.
        together: whether all of a launcher's workers `prepare` at once; else the first does, and the others find it
            done.
    """

    unit: str
    notes: Sequence[str] = ()
    together = False

    def __init__(self, options: Asked) -> None:
        self.options = options
        self.out: Path = options.out  # type: ignore[attr-defined]  # every stage writes a folder

    def describe(self) -> RunFile:
        """How this run makes its items, for ``run.yaml``."""
        o = self.options
        inputs = {name: relative_to_folder(path, self.out) for name, path in o.folders().items()}
        options = plain({**self.resolved().recorded(), **self.facts()})
        told = plain(self.told())
        return RunFile(o.command, options, getattr(o, "seed", 0), inputs, self.models(), versions(), told)

    def resolved(self) -> Asked:
        """The options with what was left to a model or a method filled in, as far as it decides bytes."""
        return self.options

    def facts(self) -> Mapping[str, Any]:
        """What else decides bytes, besides options, inputs and models."""
        return {}

    def flags(self) -> Mapping[str, str]:
        """Option -> its flag, of those for which a user may ask by the value that a run file tells."""
        facts = self.facts()
        return {option.name: option.long for option in self.options.meant() if option.name not in facts}

    def told(self) -> Mapping[str, Any]:
        """What else the run goes by; a later run may go by something else, see ``RunFile``."""
        return {}

    def models(self) -> Mapping[str, Mapping[str, str]]:
        """Name -> ``{"source": ..., "fingerprint": ...}`` of every network used."""
        return {}

    def verify(self) -> None:
        """Refuse what the models cannot do, which only they can tell; asked once, before a folder is begun."""

    @abstractmethod
    def plan(self) -> Plan:
        """All there is to do."""

    def units(self, group: Sequence[Item]) -> int:
        """Units of work in a group; one for each item unless a stage says otherwise."""
        return len(group)

    def preparation(self, groups: Sequence[Sequence[Item]]) -> int:
        """Units of what comes once before the groups still to be made, such as a training."""
        return 0

    def prepare(self, groups: Sequence[Sequence[Item]], advance: Callable[..., None]) -> None:
        """Do that, and advance by as many units, even where another process turns out to have done it meanwhile."""

    def run(self, group: Sequence[Item], wanted: Set[str], advance: Callable[..., None]) -> Iterator[Made]:
        """Compute a whole group, but write and yield only the items whose ids are ``wanted``: the others are done.

        This one makes one item after another; a stage that computes them together has its own.
        """
        for item in group:
            if item.id in wanted:
                yield self.make(item)
            advance(self.units([item]), item.id)

    def make(self, item: Item) -> Made:
        """Make one item, and write its files or have them written."""
        raise NotImplementedError

    def review(self, records: Mapping[str, Record], progress: Progress) -> Iterator[Record]:
        """Look at finished items together; yields, one by one, the records of those of which it has more to tell.

        Their ids, inputs, outputs and parameters stay. Each is committed before the next is asked for.

        Args:
            records: of all planned items that are done.
        """
        return iter(())

    @abstractmethod
    def finish(self, records: Mapping[str, Record]) -> Summary:
        """Make what is of the whole folder, and the table."""


def plain(data: Mapping[str, Any]) -> dict[str, Any]:
    """Data as it is when written and read back: tuples become lists, paths text."""
    return json.loads(json.dumps(dict(data), default=str))
