from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from aligndiff_cli.cli.main import app
from aligndiff_cli.datasets import emoji_classes as classes
from aligndiff_cli.datasets.emoji import EmojiWorld
from aligndiff_cli.datasets.emoji_prepare import prepare_emoji_5i, prepare_emoji_fss
from aligndiff_cli.disk.support import load_pair, scan_support
from aligndiff_cli.disk.voc import open_voc, read_label_map
from aligndiff_cli.errors import FolderError, UsageError


def files(root: Path) -> dict[str, bytes]:
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def fold_two(icons: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("emoji-5-2")
    prepare_emoji_5i(out, icons, fold=2, shots=2, seed=5, size=(32, 48), scenes=12)
    return out


def test_supports_are_pairs_of_the_novel_classes(fold_two: Path) -> None:
    scan = scan_support(fold_two / "support")
    assert not scan.problems
    found = sorted({pair.cls for pair in scan.pairs})
    assert found == ["hamburger", "hot_pepper", "mushroom", "octopus", "penguin"]
    assert len(scan.pairs) == 10
    image, mask = load_pair(scan.pairs[0])
    assert image.shape == (32, 48, 3)
    assert 0 < mask.mean() < 0.5
    pair = scan.pairs[-1]
    labels = read_label_map(fold_two / "support_labels" / pair.cls / f"{pair.stem}.png")
    number = (fold_two / "classes.txt").read_text().splitlines().index(pair.cls) + 1
    assert np.array_equal(labels, load_pair(pair)[1] * np.uint8(number))
    assert len(list((fold_two / "support_labels").glob("*/*"))) == 10


def test_pairs_of_another_choice_are_not_left_among_the_support(fold_two: Path, icons: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    shutil.copytree(fold_two / "support", out / "support")
    with pytest.raises(FolderError, match=r"is a support pair of another choice"):
        prepare_emoji_5i(out, icons, fold=2, shots=1, seed=5, size=(32, 48), scenes=1)


def test_base_scenes_hold_no_novel_pixel_and_queries_may(fold_two: Path) -> None:
    novel = set(classes.novel_ids(2))
    seen: dict[str, set[int]] = {}
    for folder, split in (("base", "train"), ("query", "val")):
        voc = open_voc(fold_two / folder, split)
        assert len(voc.stems) == 12
        maps = [read_label_map(fold_two / folder / "SegmentationClass" / f"{stem}.png") for stem in voc.stems]
        assert {labels.shape for labels in maps} == {(32, 48)}
        seen[folder] = {int(i) for labels in maps for i in np.unique(labels)}
    assert not seen["base"] & novel
    assert seen["query"] & novel
    assert seen["base"] <= set(range(21))


def test_class_ids_are_lines(fold_two: Path) -> None:
    lines = (fold_two / "classes.txt").read_text().splitlines()
    assert len(lines) == 20
    assert lines[12 - 1] == "hot_pepper"


def test_a_picture_depends_on_its_own_id_only(icons: Path, fold_two: Path, tmp_path: Path) -> None:
    prepare_emoji_5i(tmp_path, icons, fold=2, shots=1, seed=5, size=(32, 48), scenes=3)
    again, whole = files(tmp_path), files(fold_two)
    pictures = [name for name in again if name.endswith((".png", ".jpg"))]
    assert len(pictures) == 5 * 3 + 3 * 4
    assert all(again[name] == whole[name] for name in pictures)


def test_another_seed_makes_other_pictures(icons: Path, fold_two: Path, tmp_path: Path) -> None:
    prepare_emoji_5i(tmp_path, icons, fold=2, shots=1, seed=6, size=(32, 48), scenes=1)
    name = "support/mushroom/00.png"
    assert files(tmp_path)[name] != files(fold_two)[name]


def test_emoji_fss_has_support_query_and_the_list_of_rare_classes(icons: Path, tmp_path: Path) -> None:
    prepare_emoji_fss(tmp_path, icons, "val", shots=1, seed=0, per_class=2, size=(24, 32))
    assert sorted(p.name for p in (tmp_path / "query" / "t_shirt").iterdir()) == [
        "00.png",
        "00_mask.png",
        "01.png",
        "01_mask.png",
    ]
    assert len(scan_support(tmp_path / "support").pairs) == len(classes.FSS_VAL)
    rare = (tmp_path / "ood.txt").read_text().splitlines()
    assert rare == [name.replace("-", "_") for name in classes.OOD_VAL]
    support, query = (np.asarray(Image.open(tmp_path / f / "owl" / "00.png")) for f in ("support", "query"))
    assert support.shape == (24, 32, 3)
    assert not np.array_equal(support, query)


def test_the_train_split_is_one_folder(icons: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classes, "FSS_TRAIN", classes.FSS_TRAIN[:3])
    prepare_emoji_fss(tmp_path, icons, "train", per_class=1, size=(24, 32))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["train"]
    assert len(list((tmp_path / "train").iterdir())) == 3


def test_what_is_prepared_is_not_rendered_again(icons: Path, tmp_path: Path) -> None:
    flags = ["prepare", "emoji-5i", "--icons", str(icons), "--scenes", "1", "--out", str(tmp_path)]
    first = CliRunner().invoke(app, flags)
    assert first.exit_code == 0, first.output
    options = {"dataset": "emoji-5i", "fold": 0, "shots": 1, "scenes": 1}
    assert yaml.safe_load((tmp_path / "run.yaml").read_text())["options"] == options
    shutil.rmtree(tmp_path / "query")
    assert "Already there." in CliRunner().invoke(app, flags).output
    assert not (tmp_path / "query").exists()
    assert "Made." in CliRunner().invoke(app, [*flags, "--force"]).output
    assert (tmp_path / "query").exists()


def test_other_splits_are_refused(icons: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="train, val and test"):
        prepare_emoji_fss(tmp_path, icons, "dev")


def test_framed_pictures_are_left_out(icons: Path) -> None:
    world = EmojiWorld(icons)
    drawn = world.drawings("banana")
    assert len(drawn) == 7
    full = np.full((10, 10, 4), 255, np.uint8)
    world.icons._sprites[("noto", "crown")] = full
    assert len(world.drawings("crown")) == 6
