"""Where a command reads and writes: folds and runs with folders of their own, and outputs apart from inputs."""

from __future__ import annotations

import glob
import os
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

    def path(self, template: Path) -> Path:
        """A path with its fold and run filled in."""
        return Path(str(template).replace(FOLD, self.fold).replace(RUN, str(self.run)))


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


def filled(path: Path) -> list[Path]:
    """What there is at a path; several where it is of all folds and runs."""
    real = Path(os.path.realpath(path))
    if FOLD not in str(real) and RUN not in str(real):
        return [real] if real.exists() else []
    pattern = glob.escape(str(real.relative_to(real.anchor)))
    return list(Path(real.anchor).glob(pattern.replace(FOLD, "*").replace(RUN, "*")))


def check_apart(flag: str, out: Path, inputs: Mapping[str, Path]) -> None:
    """Refuse an output folder that is, holds or lies inside an input: one would be written over or taken for the other.

    Folders are compared by what they are, so that no link and no other spelling hides one.

    Args:
        flag: the one that named the output.
        out: may hold {fold} and {run}; it need not exist.
        inputs: files and folders by the flags that gave them; those may hold {fold} and {run}, and need not exist.

    Raises:
        UsageError: the message names both flags; or the output is a file, or a link that leads nowhere.
    """
    for place in filled(out) or [out]:
        if place.exists() and not place.is_dir():
            raise UsageError(f"{flag}: expected a folder, got a file", place)
        if place.is_symlink() and not place.exists():
            raise UsageError(f"{flag}: is a link that leads nowhere", place, "Mend or remove the link")
        around = _around(place)
        itself = around[0] if place.exists() else None
        for other, template in inputs.items():
            for path in filled(template):
                within = _around(path)
                if within[0] == itself:
                    how = "is also given as"
                elif within[0] in around:
                    how = "lies inside"
                elif itself in within:
                    how = "holds"
                else:
                    continue
                remedy = f"Give a folder of its own as {flag}, beside the inputs"
                raise UsageError(f"{flag} {how} {other} ({template}), which is only read", out, remedy)


def _around(path: Path) -> list[tuple[int, int]]:
    """What tells a path, if it exists, and the folders around it from all others; the innermost first."""
    real = Path(os.path.realpath(path))
    there = (place for place in (real, *real.parents) if place.exists())
    return [(status.st_dev, status.st_ino) for status in (place.stat() for place in there)]
