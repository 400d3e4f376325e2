"""The nouns of a stage: items in groups, what was made of them, and what a stage is to its runner."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from aligndiff_cli.engine.manifest import Record
from aligndiff_cli.engine.run_file import RunFile
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
    """

    item: Item
    files: Sequence[str]
    measured: Mapping[str, Any] = field(default_factory=dict)
    problems: Sequence[InputError] = ()


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


class Stage(Protocol):
    """What the runner needs of a stage; ``notes`` are lines the user should read before it starts.

    ``run`` computes a whole group, but writes and yields only the items whose ids are ``wanted``: the others are done,
    and their files are not touched.
    """

    out: Path
    unit: str
    notes: Sequence[str]

    def describe(self) -> RunFile: ...
    def plan(self) -> Plan: ...
    def units(self, group: Sequence[Item]) -> int: ...
    def run(self, group: Sequence[Item], wanted: Set[str], advance: Callable[..., None]) -> Iterator[Made]: ...
    def finish(self, records: Mapping[str, Record]) -> Summary: ...


@runtime_checkable
class Prepares(Protocol):
    """A stage that has something to train, once, before its groups.

    Both methods are given the groups still to be made. ``preparation`` says how many units it takes, and ``prepare``
    advances by as many, even where another process turns out to have done it meanwhile.

    Attributes:
        together: all of a launcher's workers prepare at once; else the first does, and the others find it done.
    """

    together: bool

    def preparation(self, groups: Sequence[Sequence[Item]]) -> int: ...
    def prepare(self, groups: Sequence[Sequence[Item]], advance: Callable[..., None]) -> None: ...
