"""Versions of this package and of what its figures depend on."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from aligndiff_cli import __version__

NEEDED = ("torch", "diffusers", "transformers", "pillow", "numpy")


def versions() -> dict[str, str]:
    """Package -> version, for a run file."""
    found = {"aligndiff": __version__}
    for name in NEEDED:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "unknown"
    return found
