"""What several stages need: versions, the model in use, drawing files of one kind of name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from typing import TypeVar

from aligndiff_cli import __version__

T = TypeVar("T")
NEEDED = ("torch", "diffusers", "transformers", "pillow", "numpy")


def versions() -> dict[str, str]:
    """Versions of this package and of what its figures depend on."""
    found = {"aligndiff": __version__}
    for name in NEEDED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found


def chunks(items: Iterable[T], size: int) -> Iterator[Sequence[T]]:
    """Consecutive runs of at most ``size`` items."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
