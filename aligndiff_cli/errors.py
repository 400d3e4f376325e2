"""One root error and a few kinds. Each says what happened, where, and what to do next.

Exit codes of the command line: 0 all done, 1 something was skipped or could not be done,
2 wrong usage, 130 interrupted (what was finished is committed).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

TOLD = 3
"""Problems that an error names which is explained by them."""


class AligndiffError(Exception):
    """Anything that went wrong for a reason a user can act on; never shown with a traceback.

    Args:
        what: the reason, one sentence without a full stop, e.g. ``"the mask is empty"``.
        where: the file or folder concerned, if there is one.
        remedy: what the user can do about it.
    """

    exit_code = 1

    def __init__(self, what: str, where: str | Path | None = None, remedy: str | None = None) -> None:
        self.what = what
        self.where = where
        self.remedy = remedy
        super().__init__(str(self))

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where is not None else ""
        advice = f". {self.remedy}" if self.remedy else ""
        return f"{place}{self.what}{advice}"


class UsageError(AligndiffError):
    """The command itself cannot be meant like this (an unknown name, an impossible number)."""

    exit_code = 2


class InputError(AligndiffError):
    """One input is bad: unreadable, of the wrong size, empty. The rest of the work goes on."""


class GroupError(InputError):
    """What goes wrong with all items that were to be made together; the message names each."""


class FolderError(AligndiffError):
    """A stage folder is not what it should be: other options, a torn record, a path that leaves it."""


class ModelError(AligndiffError):
    """A model cannot be loaded, or does not fit what it is used with."""


def first_line(error: BaseException) -> str:
    """What a library says, without the pages that follow; the error's kind where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def first_few(problems: Sequence[AligndiffError]) -> str:
    """What explains an error, in one line: the first problems, each once, and how many more there are."""
    texts = list(dict.fromkeys(str(problem) for problem in problems))
    more = [f"{len(texts) - TOLD} more"] if len(texts) > TOLD else []
    return "; ".join([*texts[:TOLD], *more])


@contextmanager
def explained_by(problems: Sequence[AligndiffError]) -> Iterator[None]:
    """Add to an error that ends the work the first of the problems met until then, which may be why.

    Args:
        problems: looked at when the error comes; those that it tells of already are not told twice.
    """
    try:
        yield
    except (FolderError, InputError) as error:
        others = [problem for problem in problems if problem.what not in str(error)]
        if not others:
            raise
        what = f"{error.what} (what was met before: {first_few(others)})"
        raise type(error)(what, error.where, error.remedy) from error
