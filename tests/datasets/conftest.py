"""A tiny stand-in for the artists' packages: every concept is a plain shape, in a colour of the artist."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

from aligndiff_cli.datasets import emoji_classes as classes
from aligndiff_cli.datasets.emoji_sprites import ARTISTS

NAMES = (*classes.KNOWN, *classes.OOD, *classes.FSS_TRAIN)


def drawing(artist: str) -> str:
    """A triangle in a 20 x 10 box, its corners at (2, 9), (18, 9) and (10, 1)."""
    colour = f"#{40 + 30 * ARTISTS.index(artist):02x}4080"
    return f'<path fill="{colour}" d="M2 9h16L10 1z"/>'


def package(artist: str) -> dict:
    """What an artist's icons.json says."""
    return {
        "prefix": artist,
        "width": 20,
        "height": 10,
        "icons": {name: {"body": drawing(artist)} for name in NAMES},
        "aliases": {"jet": {"parent": "plane"}, "plane": {"parent": "airplane"}},
    }


@pytest.fixture(scope="session")
def icons(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of all artists' packages: the first as a tarball, the others unpacked."""
    root = tmp_path_factory.mktemp("icons")
    for artist in ARTISTS:
        folder = root / f"iconify-json-{artist}-1.0.0" / "package"
        folder.mkdir(parents=True)
        (folder / "icons.json").write_text(json.dumps(package(artist)))
    first = root / f"iconify-json-{ARTISTS[0]}-1.0.0"
    with tarfile.open(f"{first}.tgz", "w:gz") as tar:
        tar.add(first / "package" / "icons.json", "package/icons.json")
    (first / "package" / "icons.json").unlink()
    (first / "package").rmdir()
    first.rmdir()
    return root
