from __future__ import annotations

import tarfile
from pathlib import Path

import numpy as np
import pytest

from aligndiff_cli.datasets import emoji_sprites
from aligndiff_cli.datasets.emoji_sprites import ARTISTS, IconSets, fetch_icons
from aligndiff_cli.errors import InputError


def test_a_sprite_is_cropped_to_its_alpha(icons: Path) -> None:
    sprite = IconSets(icons).sprite("noto", "banana")
    # 176 x 88 pixels for 20 x 10 units; the triangle spans 16 x 8 of them
    assert sprite.dtype == np.uint8
    assert abs(sprite.shape[0] - 8 * 8.8) <= 2
    assert abs(sprite.shape[1] - 16 * 8.8) <= 2
    solid = sprite[..., 3] > 127
    assert solid[0].any()
    assert solid[-1].any()
    assert abs(solid.mean() - 0.5) < 0.02  # half of a triangle's box
    assert (sprite[solid][:, :3] == (40, 0x40, 0x80)).all(-1).mean() > 0.95


def test_aliases_are_followed(icons: Path) -> None:
    sets = IconSets(icons, ["twemoji"])
    assert np.array_equal(sets.sprite("twemoji", "jet"), sets.sprite("twemoji", "airplane"))


def test_tarballs_and_folders_are_read_alike(icons: Path) -> None:
    sets = IconSets(icons)
    tarball, folder = sets.sprite("noto", "crown"), sets.sprite("noto-v1", "crown")
    assert np.array_equal(tarball[..., 3], folder[..., 3])


def test_fxemoji_has_names_of_its_own(icons: Path) -> None:
    sets = IconSets(icons)
    assert "fxemoji" in sets.artists_of("banana")
    assert "fxemoji" not in sets.artists_of("hot-pepper")  # chilipepper there, which the stand-in lacks
    assert sets.artists_of("no-such-thing") == []


def test_a_missing_drawing_is_named(icons: Path) -> None:
    with pytest.raises(InputError, match="no-such-thing"):
        IconSets(icons, ["noto"]).sprite("noto", "no-such-thing")


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'noto'.*npm pack @iconify-json/noto"):
        IconSets(tmp_path)


@pytest.mark.parametrize("content", [b"", b"no json", b'{"prefix": "noto"}'])
def test_a_bad_package_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "iconify-json-noto-1.0.0").mkdir()
    (tmp_path / "iconify-json-noto-1.0.0" / "icons.json").write_bytes(content)
    with pytest.raises(InputError, match=r"iconify-json-noto-1\.0\.0: not an icon package"):
        IconSets(tmp_path, ["noto"])


def test_a_tarball_without_icons_is_named(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "iconify-json-noto-1.0.0.tgz", "w:gz"):
        pass
    with pytest.raises(InputError, match="not an icon package"):
        IconSets(tmp_path, ["noto"])


def test_fetching_without_npm_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emoji_sprites.shutil, "which", lambda _: None)
    with pytest.raises(InputError, match="--icons"):
        fetch_icons(tmp_path)


def test_fetching_leaves_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emoji_sprites.shutil, "which", lambda _: None)
    for artist in ARTISTS:
        (tmp_path / f"iconify-json-{artist}-1.0.0.tgz").touch()
    assert fetch_icons(tmp_path) == tmp_path
