"""Folds and runs: an evaluation repeated, each time with folders of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aligndiff_cli.errors import UsageError

FOLD, RUN = "{fold}", "{run}"


@dataclass(frozen=True)
class Place:
    """One run of one fold.

    Attributes:
        fold: its name, empty where folds have none.
        run: 0-based number.
    """

    fold: str
    run: int

    @property
    def id(self) -> str:
        """What its items are called by."""
        return f"fold-{self.fold}-run-{self.run}" if self.fold else f"run-{self.run}"

    def path(self, template: str) -> Path:
        """A path with its fold and run filled in."""
        return Path(template.replace(FOLD, self.fold).replace(RUN, str(self.run)))


def places(folds: Sequence[str], runs: int) -> list[Place]:
    """All runs of all folds."""
    return [Place(fold, run) for fold in folds for run in range(runs)]


def check_folds(folds: Sequence[str], paths: Mapping[str, str | None]) -> None:
    """Refuse paths that ask for the name of a fold where folds have none.

    Args:
        folds: their names; one empty one where none were given.
        paths: by the flags that gave them.

    Raises:
        UsageError: the message names the flag.
    """
    for flag, path in paths.items():
        if path is not None and FOLD in path and "" in folds:
            raise UsageError(f"{flag} holds {FOLD}, but no fold is named", remedy="Name them, as in --fold 0,1,2,3")
