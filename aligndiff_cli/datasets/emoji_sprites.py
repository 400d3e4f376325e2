"""Sprites of the emoji world: seven artists' SVG drawings as RGBA pixels whose alpha is an exact mask.

The drawings are npm packages ``@iconify-json/<artist>``: one JSON of SVG bodies each. They are read from the
packages' tarballs (``*.tgz``) or from unpacked folders; nothing here touches the network except `fetch_icons`,
which is called when the user gave no folder.
"""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aligndiff_cli.errors import InputError

ARTISTS = ("noto", "noto-v1", "twemoji", "emojione", "fluent-emoji-flat", "fluent-emoji", "fxemoji")
"""All sets of the world, by npm package name; authors and licences are in NOTICE."""

SPRITE_SIZE = 160
"""Long side of a sprite before it is scaled into a picture, in pixels."""

# fxemoji runs words together and has older names for some things
FXEMOJI_NAMES = {
    "hot-pepper": "chilipepper",
    "bear": "",  # a face there, whole animals elsewhere
    "cat": "catside",
    "dog": "dogside",
    "pig": "pigside",
    "tiger": "tigerside",
    "leopard": "leopardside",
    "mouse": "mouseside",
    "cow": "",
    "rabbit": "",
    "camel": "dromedarycamel",
    "ear-of-corn": "earofmaize",
    "telephone": "telephoneonmodem",
    "wrapped-gift": "present",
    "racing-car": "racecar",
    "locomotive": "steamlocomotive",
    "gem-stone": "gem",
    "ice-cream": "icecream",
    "backpack": "schoolsatchel",
    "cheese-wedge": "",
    "fishing-pole": "fishingpoleandfish",
    "spouting-whale": "spurtingwhale",
    "dragon": "dragonside",
    "teacup-without-handle": "teacupwithouthandle",
    "evergreen-tree": "evergreen",
    "snowman": "",
    "pizza": "sliceofpizza",
}


class IconSets:
    """Drawings of several artists, rendered on demand and kept in memory.

    Args:
        root: folder holding ``*iconify-json-<artist>-<version>.tgz`` files, or unpacked folders of that
            name (with ``package/icons.json`` or ``icons.json`` inside), directly or one level down.
        artists: which of `ARTISTS` to read; each must be there.

    Raises:
        InputError: a set is missing or is not an icon set.
    """

    def __init__(self, root: Path, artists: Sequence[str] = ARTISTS) -> None:
        self.artists = tuple(artists)
        self._sets = {artist: _read_icons(_find_package(root, artist)) for artist in artists}
        self._sprites: dict[tuple[str, str], NDArray[np.uint8]] = {}

    def artists_of(self, concept: str) -> list[str]:
        """The artists who drew this concept, in the order given."""
        return [artist for artist in self.artists if self._icon(artist, concept) is not None]

    def sprite(self, artist: str, concept: str) -> NDArray[np.uint8]:
        """The drawing as RGBA, uint8 (h, w, 4), cropped to its alpha; the long side is near `SPRITE_SIZE`.

        Raises:
            InputError: this artist did not draw the concept, or the drawing is empty.
        """
        key = (artist, concept)
        if key not in self._sprites:
            icon = self._icon(artist, concept)
            if icon is None:
                raise InputError(f"no drawing of {concept!r}", artist, "Choose another artist or concept")
            self._sprites[key] = _render(self._sets[artist], icon, f"{artist}/{concept}")
        return self._sprites[key]

    def _icon(self, artist: str, concept: str) -> str | None:
        name = concept
        if artist == "fxemoji":
            name = FXEMOJI_NAMES.get(concept, concept.replace("-", ""))
        icons = self._sets[artist]
        return name if name in icons["icons"] or name in icons.get("aliases", {}) else None


def fetch_icons(cache: Path, artists: Sequence[str] = ARTISTS) -> Path:
    """Fetch the artists' packages into `cache` with ``npm pack`` (only those missing); returns `cache`.

    Raises:
        InputError: npm is not there, or it failed.
    """
    npm = shutil.which("npm")
    cache.mkdir(parents=True, exist_ok=True)
    for artist in artists:
        if any(cache.glob(f"*iconify-json-{artist}-[0-9]*.tgz")):
            continue
        remedy = "Give a folder of the packages' tarballs with --icons"
        if npm is None:
            raise InputError("npm is needed to fetch the drawings and was not found", cache, remedy)
        done = subprocess.run(
            [npm, "pack", f"@iconify-json/{artist}"], cwd=cache, capture_output=True, text=True, check=False
        )
        if done.returncode != 0:
            raise InputError(f"npm pack @iconify-json/{artist} failed: {done.stderr[-300:]}", cache, remedy)
    return cache


def _find_package(root: Path, artist: str) -> Path:
    pattern = f"*iconify-json-{artist}-[0-9]*"
    for place in (root, *sorted(p for p in root.glob("*") if p.is_dir())):
        if found := sorted(place.glob(pattern)):
            return found[-1]
    raise InputError(
        f"no package of the artist {artist!r}",
        root,
        f"Put the tarball of npm's @iconify-json/{artist} there (npm pack @iconify-json/{artist})",
    )


def _read_icons(package: Path) -> dict:
    try:
        if package.suffix == ".tgz":
            with tarfile.open(package) as tar:
                member = tar.extractfile("package/icons.json")
                raw = member.read() if member else b""
        else:
            inner = package / "package"
            raw = ((inner if inner.is_dir() else package) / "icons.json").read_bytes()
        icons = json.loads(raw)
    except (OSError, KeyError, tarfile.TarError, ValueError) as error:
        raise InputError(f"not an icon package ({error})", package, "Fetch it again with npm pack") from error
    if not isinstance(icons, dict) or "icons" not in icons:
        raise InputError("not an icon package (no icons in icons.json)", package)
    return icons


def _resolve(icons: Mapping, name: str) -> dict:
    """Follow aliases to a drawing; flips and rotations an alias may carry do not occur in these sets."""
    while name not in icons["icons"]:
        name = icons["aliases"][name]["parent"]
    return icons["icons"][name]


def _render(icons: Mapping, name: str, label: str) -> NDArray[np.uint8]:
    import resvg_py  # optional dependency: only those who render need it

    icon = _resolve(icons, name)
    width = icon.get("width", icons.get("width", 16))
    height = icon.get("height", icons.get("height", 16))
    left, top = icon.get("left", 0), icon.get("top", 0)
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{left} {top} {width} {height}">{icon["body"]}</svg>'
    )
    zoomed = [round(SPRITE_SIZE * 1.1 * side / max(width, height)) for side in (width, height)]
    png = resvg_py.svg_to_bytes(svg_string=svg, width=zoomed[0], height=zoomed[1], skip_system_fonts=True)
    with Image.open(io.BytesIO(bytes(png))) as picture:
        rgba = np.asarray(picture.convert("RGBA"))
    solid = rgba[..., 3] > 127
    if not solid.any():
        raise InputError("the drawing is empty", label)
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    return np.ascontiguousarray(rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1])
