"""Where annotated pictures lie: where the annotations say, where the usual tools put them, or in the user's folder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from aligndiff_cli.disk.class_folders import IMAGE_SUFFIXES, UNREAD_SUFFIXES

READ = ", ".join(sorted(suffix[1:] for suffix in IMAGE_SUFFIXES))


class Pictures:
    """Finds pictures by the names that annotations give.

    Args:
        places: folders to look in, first to last.
        folder: looked in with all that is below it, before any other; None where the user named none.
    """

    def __init__(self, places: Sequence[Path], folder: Path | None = None) -> None:
        self._folder = folder
        self._places = [*([folder] if folder else []), *(place for place in places if place.is_dir())]

    def find(self, name: str) -> Path | None:
        """The picture of this name or path, or with only its last part; None where there is none, or no single one.

        A path of another machine, or another system's, counts by its last part.
        """
        pure = PurePosixPath(name.replace("\\", "/"))
        relative = [] if pure.is_absolute() or name[1:2] == ":" else [pure]
        for path in (place / part for part in [*relative, PurePosixPath(pure.name)] for place in self._places):
            if _is_file(path):
                return path
        below = self._below.get(pure.name, [])
        return below[0] if len(below) == 1 else None

    def with_stem(self, stem: str) -> Path | None:
        """The picture of this path without its ending; None where there is none, or no single one."""
        for place in self._places:
            base = place / stem
            found = self._by_stem(base.parent).get(base.name, [])
            if found:
                return found[0] if len(found) == 1 else None
        below = self._stems_below.get(PurePosixPath(stem).name, [])
        return below[0] if len(below) == 1 else None

    def looked_in(self) -> str:
        """What to tell a user whose picture is not there."""
        places = ", ".join(f"'{place}'" for place in self._places[:4])
        more = ", ..." if len(self._places) > 4 else ""
        return f"Looked in {places}{more}; name the folder of the pictures with --images"

    @cached_property
    def _below(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in sorted(self._folder.rglob("*")) if self._folder else ():
            if path.suffix.lower() in IMAGE_SUFFIXES | UNREAD_SUFFIXES and not path.name.startswith("."):
                found.setdefault(path.name, []).append(path)
        return found

    @cached_property
    def _stems_below(self) -> dict[str, list[Path]]:
        found: dict[str, list[Path]] = {}
        for path in (path for paths in self._below.values() for path in paths):
            found.setdefault(path.stem, []).append(path)
        return found

    def _by_stem(self, folder: Path) -> dict[str, list[Path]]:
        if folder not in self._listed:
            found: dict[str, list[Path]] = {}
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                if path.suffix.lower() in IMAGE_SUFFIXES | UNREAD_SUFFIXES and not path.name.startswith("."):
                    found.setdefault(path.stem, []).append(path)
            self._listed[folder] = found
        return self._listed[folder]

    @cached_property
    def _listed(self) -> dict[Path, dict[str, list[Path]]]:
        return {}


def _is_file(path: Path) -> bool:
    """Whether there is such a file; no disk has one of a name that is too long."""
    try:
        return path.is_file()
    except OSError:
        return False
