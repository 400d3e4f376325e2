"""An option is declared once: the command line, configuration files, ``run.yaml`` and the library read this.

A stage's options are one frozen dataclass whose fields are ``Annotated[type, Flag(...)]`` with a default. Here is what
all readers share: which values are allowed, which flags belong together, and what a run file tells.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Collection, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin, get_type_hints

from aligndiff_cli.engine.folds import check_apart
from aligndiff_cli.errors import UsageError

MOST = 1_000_000
"""Of whatever is counted: a run that is asked for more would not end, and ids have no room for them."""
GIVEN: tuple[Any, ...] = ()
"""In ``Flag.of``: any value will do."""


@dataclass(frozen=True)
class Flag:
    """What is said of an option besides its type and default.

    Attributes:
        help: one or two sentences.
        panel: heading it is listed under.
        least, most: bounds of a number.
        unset: what --help shows where the default is None: who decides then.
        short: one-letter form.
        positional: given without its name.
        env: environment variable that gives a default.
        decides: whether it decides an item's bytes, so that a folder made with another value is refused. Not so:
            folders, whose contents are compared by digest; the seed, recorded apart; where and how fast it is computed;
            how many items there are.
        reads: whether it names a file or folder that must not be written to; None: every path that is not written.
        writes: whether it names a folder to be written.
        of: other options, each with the values for which this one has a meaning (`GIVEN` for any): given elsewhere, it
            is an error.
    """

    help: str
    panel: str
    least: float | None = None
    most: float = MOST
    unset: str = ""
    short: str = ""
    positional: bool = False
    env: str | None = None
    decides: bool = True
    reads: bool | None = None
    writes: bool = False
    of: Mapping[str, tuple[Any, ...]] | None = None


@dataclass(frozen=True)
class Option:
    """One field of an options class.

    Attributes:
        name: of the field; the flag is ``--name`` with dashes.
        kind: its type without None: bool, int, float, str or Path; str where there are ``choices``. Of one that may be
            given several times (declared ``tuple[str, ...]``), the type of each value.
        optional: whether it may be None.
        choices: the allowed texts; empty where all are.
        default: MISSING where one must be given.
        several: whether it may be given several times; its value is a tuple then.
    """

    name: str
    kind: type
    optional: bool
    choices: tuple[str, ...]
    default: Any
    flag: Flag
    several: bool = False

    @property
    def long(self) -> str:
        """The flag as it is typed."""
        return f"--{self.name.replace('_', '-')}"

    def typed(self, value: Any) -> str:
        """The flag as it is typed for a value."""
        return f"--no-{self.long[2:]}" if self.default is True and value is False else self.long

    def with_value(self, value: Any = None) -> str:
        """The flag and its value (None: the flag alone) as they are typed."""
        words = [] if self.flag.positional else [self.long]
        return " ".join([*words, *([] if value is None else [str(value)])])

    @property
    def reads(self) -> bool:
        """Whether it names an input."""
        return (self.kind is Path and not self.flag.writes) if self.flag.reads is None else self.flag.reads

    def problem(self, value: Any) -> str | None:
        """Why a value cannot be meant; None if it can."""
        if value is None:
            return None if self.optional else "expected a value, got None"
        if self.several:
            return next((problem for one in value if (problem := replace(self, several=False).problem(one))), None)
        if self.choices and value not in self.choices:
            return f"expected one of {', '.join(self.choices)}, got {value!r}"
        if self.kind in (int, float):
            return self._number(value)
        return None

    def _number(self, value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int | float) or (self.kind is int and value != int(value)):
            return f"expected a {'whole ' * (self.kind is int)}number, got {value!r}"
        if not math.isfinite(value):
            return f"expected a finite number, got {value}"
        if self.flag.least is not None and value < self.flag.least:
            return f"expected at least {self.flag.least:g}, got {value}"
        if value > self.flag.most:
            return f"expected at most {self.flag.most:,}, got {value}"
        return None


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of one command.

    Class attributes:
        command: what a run file calls it.
        stage: ``"module:Class"`` of what does the work, imported when it begins.

    Raises:
        UsageError: a value out of its bounds, or an option that has no meaning beside the others.
    """

    command: ClassVar[str]
    stage: ClassVar[str]

    def __post_init__(self) -> None:
        for option in options_of(type(self)):
            value = getattr(self, option.name)
            if option.kind is Path and isinstance(value, str):
                object.__setattr__(self, option.name, Path(value))
            elif option.several:
                value = (value,) if isinstance(value, str) else tuple(value)
                object.__setattr__(self, option.name, value)
            if problem := option.problem(value):
                raise UsageError(f"{option.long}: {problem}")
        refuse_foreign(self, {o.name for o in options_of(type(self)) if getattr(self, o.name) != o.default})
        self.check()

    def check(self) -> None:
        """Refuse values that cannot be meant together (UsageError); a class with such values says so here."""

    def recorded(self) -> dict[str, Any]:
        """What a run file tells: every option that decides the bytes of an item and has a meaning here."""
        return {o.name: getattr(self, o.name) for o in self.meant() if o.flag.decides and not o.reads}

    def meant(self) -> list[Option]:
        """The options that have a meaning beside the values of the others."""
        return [option for option in options_of(type(self)) if missing_for(self, option) is None]

    def folders(self) -> dict[str, Path]:
        """Option -> path of every input folder or file that is given."""
        own = (o for o in options_of(type(self)) if o.reads and o.kind is Path)
        return {o.name: path for o in own if (path := getattr(self, o.name)) is not None}

    def check_apart(self) -> None:
        """Refuse an output folder that is, holds or lies inside an input (UsageError)."""
        own = [(o, value) for o in options_of(type(self)) if (value := getattr(self, o.name)) is not None]
        inputs = {o.long: Path(value) for o, value in own if o.reads}
        for option, value in own:
            if option.flag.writes:
                check_apart(option.long, Path(value), inputs)


def options_of(cls: type[Options]) -> tuple[Option, ...]:
    """The options of a class: its own first, then those of its bases, each in the order of declaration."""
    hashable: Any = cls  # mypy takes the class for one of its instances
    return _options_of(hashable)


@cache
def _options_of(cls: Any) -> tuple[Option, ...]:
    hints = get_type_hints(cls, include_extras=True)
    known = {field.name: field for field in fields(cls)}
    names = dict.fromkeys(name for base in cls.__mro__ for name in inspect.get_annotations(base))
    return tuple(_option(name, hints[name], known[name].default) for name in names if name in known)


def _option(name: str, hint: Any, default: Any) -> Option:
    if get_origin(hint) is not Annotated:
        raise TypeError(f"the option {name} has no Flag")
    union, flag = get_args(hint)
    parts = [part for part in (get_args(union) or (union,)) if part is not type(None)]
    if get_origin(union) is Literal:
        parts = [union]
    several = get_origin(union) is tuple
    if several:
        parts = [part for part in parts if part is not Ellipsis]
    optional = type(None) in get_args(union)
    choices = tuple(get_args(parts[0])) if get_origin(parts[0]) is Literal else ()
    return Option(name, str if choices else parts[0], optional, choices, default, flag, several)


def required(option: Option) -> bool:
    """Whether there is no default."""
    return option.default is MISSING


def missing_for(options: Options, option: Option) -> tuple[Option, Any] | None:
    """What an option would need beside it to have a meaning: another option and its first fitting value (None: any).

    None where it has a meaning.
    """
    for other, values in (option.flag.of or {}).items():
        present = getattr(options, other)
        if present not in values if values else present in (None, False):
            beside = next(o for o in options_of(type(options)) if o.name == other)
            return beside, next((value for value in values if value is not None), None)
    return None


def refuse_foreign(options: Options, given: Collection[str]) -> None:
    """Refuse options that belong to something else than what is asked for.

    Args:
        given: names of the options that somebody set.

    Raises:
        UsageError: the message names the first, and what it would go with.
    """
    for option in options_of(type(options)):
        if option.name in given and (missing := missing_for(options, option)):
            other, wanted = missing
            present = getattr(options, other.name)
            typed = option.typed(getattr(options, option.name))
            without = (
                f"without {other.with_value()}" if present in (None, False) else f"for {other.with_value(present)}"
            )
            remedy = f"Leave out {typed}, or give {other.with_value(wanted)}"
            raise UsageError(f"{typed} has no meaning {without}", remedy=remedy)
