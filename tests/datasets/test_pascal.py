from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aligndiff_cli.datasets import pascal
from aligndiff_cli.datasets.folds import pascal_novel
from aligndiff_cli.datasets.pascal import read_pascal
from aligndiff_cli.datasets.photographs import Photographs, draw_support, write_fold
from aligndiff_cli.disk.images import write_jpeg
from aligndiff_cli.disk.support import load_pair, scan_support
from aligndiff_cli.disk.voc import open_voc, read_label_map, write_label_map
from aligndiff_cli.errors import FolderError
from tests import nasty
from tests.datasets.lookalikes import BIG, SBD_ONLY, VOC_TRAIN, VOC_VAL, build_voc

NOVEL = pascal_novel(3)


@pytest.fixture(scope="module", params=["png", "mat"])
def devkit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_voc(tmp_path_factory.mktemp(request.param) / "VOCdevkit", request.param)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if this many photographs had been published."""
    counts = {"TRAIN": len(VOC_TRAIN), "VAL": len(VOC_VAL), "TRAIN_WITH_SBD": len(VOC_TRAIN) + len(SBD_ONLY)}
    for name, count in counts.items():
        monkeypatch.setattr(pascal, name, count)


def read(root: Path, maps: Path, *, partial: bool = False, sbd: Path | None = None) -> Photographs:
    return read_pascal(root, sbd, maps, partial=partial, report=lambda done, total: None)


def test_what_has_a_label_map_and_is_not_for_validation_is_for_training(
    devkit: Path, published: None, tmp_path: Path
) -> None:
    data = read(devkit, tmp_path / "maps")
    assert not data.warnings
    assert not data.problems
    assert [p.stem for p in data.train] == sorted({**VOC_TRAIN, **SBD_ONLY})
    assert [p.stem for p in data.val] == list(VOC_VAL)
    by_stem = {p.stem: p for p in [*data.train, *data.val]}
    assert by_stem["2008_both"].present == {16, 17}
    assert by_stem["2010_cow"].present == {10}
    # SBD also labelled these two, but VOC's own label map has the ignored border
    for stem in ("2008_plane", "2009_val0"):
        assert (read_label_map(by_stem[stem].labels) == 255).any()
    cow = read_label_map(by_stem["2010_cow"].labels)
    assert cow.shape == (48, 72)
    assert set(np.unique(cow)) == {0, 10}
    assert (cow[BIG[0] : BIG[2], BIG[1] : BIG[3]] == 10).all()


def test_progress_is_told(devkit: Path, published: None, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    read_pascal(devkit, None, tmp_path, partial=False, report=lambda *counts: told.append(counts))
    total = len(VOC_TRAIN) + len(SBD_ONLY) + len(VOC_VAL)
    assert told == [(done, total) for done in range(total + 1)]


def test_the_folders_of_a_fold(devkit: Path, published: None, tmp_path: Path) -> None:
    write_fold(tmp_path / "out", read(devkit, tmp_path / "maps"), NOVEL, shots=2, seed=0, min_object=1024)
    scan = scan_support(tmp_path / "out" / "support")
    assert not scan.problems
    assert sorted({pair.cls for pair in scan.pairs}) == ["potted_plant", "sheep", "sofa", "train", "tv_monitor"]
    assert len(scan.pairs) == 10
    image, mask = load_pair(scan.pairs[0])
    assert image.shape == (48, 72, 3)
    # the object less its ignored border: the first row and column of the box
    assert mask.sum() == (BIG[2] - BIG[0] - 1) * (BIG[3] - BIG[1] - 1)
    assert mask[BIG[0] + 1, BIG[1] + 1]
    # neither the photograph of two novel classes nor the speck
    assert not {pair.stem for pair in scan.pairs} & {"2008_both", "2008_speck"}

    for pair in scan.pairs:
        labels = read_label_map(tmp_path / "out" / "support_labels" / pair.cls / f"{pair.stem}.png")
        number = int(labels[BIG[0] + 1, BIG[1] + 1])
        assert np.array_equal(load_pair(pair)[1], labels == number)
        if pair.stem.startswith("2007"):  # the aeroplane beside it and the borders keep their labels
            assert set(np.unique(labels)) == {0, 1, number, 255}

    base = open_voc(tmp_path / "out" / "base", "train")
    assert base.stems == ["2008_birds", "2008_plane", "2010_cow"]
    assert [base.present(stem) for stem in base.stems] == [{2, 3}, {1}, {10}]
    assert base.classes is not None
    assert (base.classes[0], base.classes[-1], len(base.classes)) == ("aeroplane", "tv_monitor", 20)
    query = open_voc(tmp_path / "out" / "query", "val")
    assert query.stems == list(VOC_VAL)
    assert query.present("2009_val1") == {3, 20}
    assert query.load("2009_val1")[0].shape == (48, 72, 3)


def test_a_support_picture_may_show_any_number_of_pixels_of_its_class(
    devkit: Path, published: None, tmp_path: Path
) -> None:
    data = read(devkit, tmp_path / "maps")
    trains = [p.stem for p, _ in draw_support(data, 16, NOVEL, 3, seed=0)]
    assert sorted(trains) == ["2007_00160", "2007_00161", "2008_speck"]  # SMALL has 130 pixels
    with pytest.raises(FolderError, match=r"with 1024 pixels of 'potted_plant'.*found 2\..*--min-object"):
        draw_support(data, 16, NOVEL, 3, seed=0, min_object=1024)


def test_photographs_are_linked(devkit: Path, published: None, tmp_path: Path) -> None:
    data = read(devkit, tmp_path / "maps")
    for _ in range(2):
        write_fold(tmp_path / "out", data, NOVEL, shots=1, seed=0)
    picture = tmp_path / "out" / "base" / "JPEGImages" / "2008_plane.jpg"
    assert picture.is_symlink()
    assert picture.resolve() == (devkit / "VOC2012" / "JPEGImages" / "2008_plane.jpg").resolve()
    assert not list((tmp_path / "out").rglob(".*"))


def test_more_shots_hold_fewer_and_seeds_differ(devkit: Path, published: None, tmp_path: Path) -> None:
    data = read(devkit, tmp_path / "maps")

    def stems(shots: int, seed: int) -> set[str]:
        write_fold(tmp_path / f"{shots}-{seed}", data, NOVEL, shots, seed)
        return {pair.stem for pair in scan_support(tmp_path / f"{shots}-{seed}" / "support").pairs}

    ones = [stems(1, seed) for seed in range(6)]
    assert all(len(one) == 5 for one in ones)
    assert len(set(map(frozenset, ones))) > 1
    assert ones[0] <= stems(2, 0)
    assert stems(1, 0) == ones[0]
    with pytest.raises(
        FolderError, match=r"expected 4 training photographs with 4 pixels of 'potted_plant' and without.* found 3"
    ):
        stems(4, 0)


def test_support_of_another_choice_is_not_mixed_in(devkit: Path, published: None, tmp_path: Path) -> None:
    data = read(devkit, tmp_path / "maps")
    write_fold(tmp_path / "out", data, NOVEL, shots=2, seed=0)
    before = sorted((tmp_path / "out").rglob("*"))
    with pytest.raises(FolderError, match="is a support pair of another choice"):
        write_fold(tmp_path / "out", data, NOVEL, shots=1, seed=0)
    assert sorted((tmp_path / "out").rglob("*")) == before


def test_other_counts_are_refused_or_told(devkit: Path, tmp_path: Path) -> None:
    with pytest.raises(FolderError) as refused:
        read(devkit, tmp_path)
    for words in (
        "expected 1464 photographs in train.txt, found 14",
        "expected 1449 photographs in val.txt, found 3",
        "expected 10582 training photographs with SBD, found 16",
        "VOCtrainval_11-May-2012.tar",
        "benchmark.tgz",
        "--partial goes on",
    ):
        assert words in str(refused.value)
    data = read(devkit, tmp_path, partial=True)
    assert data.warnings[0] == "expected 1464 photographs in train.txt, found 14"
    assert len(data.train) == 16


def test_what_is_missing_is_named(devkit: Path, published: None, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"holds no VOC2012/ with JPEGImages/.*Give VOCdevkit/ as --root"):
        read(devkit / "VOC2012" / "ImageSets", tmp_path)
    copy = tmp_path / "copy" / "VOCdevkit"
    shutil.copytree(devkit, copy)
    shutil.rmtree(copy / "VOC2012" / "SegmentationClassAug", ignore_errors=True)
    with pytest.raises(FolderError, match=r"no label maps of SBD.*--sbd.*SBD/download\.html"):
        read(copy, tmp_path)
    assert read(copy, tmp_path, partial=True).warnings == ["expected 16 training photographs with SBD, found 14"]
    with pytest.raises(FolderError, match="there is no such folder"):
        read(copy, tmp_path, sbd=tmp_path / "none")
    (copy / "VOC2012" / "JPEGImages" / "2008_plane.jpg").unlink()
    (copy / "VOC2012" / "SegmentationClass" / "2008_birds.png").write_bytes(b"no picture")
    data = read(copy, tmp_path, partial=True)
    assert sorted(str(problem).split(":")[0].rsplit("/", 1)[1] for problem in data.problems) == [
        "2008_birds.png",
        "2008_plane",
    ]
    assert not {"2008_plane", "2008_birds"} & {p.stem for p in data.train}
    (copy / "VOC2012" / "ImageSets" / "Segmentation" / "val.txt").unlink()
    with pytest.raises(FolderError, match=r"no list of the split 'val'"):
        read(copy, tmp_path, partial=True)


def test_sbd_may_lie_elsewhere(published: None, tmp_path: Path) -> None:
    devkit = build_voc(tmp_path / "a" / "VOCdevkit", "mat")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "a" / "benchmark_RELEASE").rename(tmp_path / "elsewhere" / "benchmark_RELEASE")
    for sbd in ("benchmark_RELEASE", "benchmark_RELEASE/dataset", "benchmark_RELEASE/dataset/cls"):
        data = read(devkit / "VOC2012", tmp_path / "maps", sbd=tmp_path / "elsewhere" / sbd)
        assert "2010_cow" in {p.stem for p in data.train}


def test_a_class_number_out_of_range_is_named(published: None, tmp_path: Path) -> None:
    devkit = build_voc(tmp_path / "VOCdevkit", "png")
    path = devkit / "VOC2012" / "SegmentationClassAug" / "2010_cow.png"
    write_label_map(path, np.full((48, 72), 21, np.uint8))
    (problem,) = read(devkit, tmp_path / "maps").problems
    assert "expected classes 0 to 20 and 255, got 21" in str(problem)
    assert problem.where == path


def test_support_is_drawn_among_photographs_that_can_be_read(published: None, tmp_path: Path) -> None:
    """One is cut short, one is of another size than its labels: both are named, and the next is drawn."""
    root = build_voc(tmp_path / "VOCdevkit", "png")
    data = read(root, tmp_path / "maps")
    pictures = [pair[0].picture for pair in draw_support(data, 18, NOVEL, 2, 0)]
    own = next(p for p in data.train if p.present & set(NOVEL) == {18})
    data.train += [replace(own, stem=f"more{n}", picture=tmp_path / f"more{n}.jpg") for n in range(3)]
    for number in range(3):
        shutil.copy(own.picture, tmp_path / f"more{number}.jpg")
    nasty.cut_short(pictures[0], 0.9)
    write_jpeg(pictures[1], np.zeros((48, 71, 3), np.uint8))
    drawn = draw_support(data, 18, NOVEL, 2, 0)
    assert len(drawn) == 2
    assert not {photograph.picture for photograph, _ in drawn} & set(pictures)
    assert sorted(str(problem.where) for problem in data.problems) == sorted(
        [str(pictures[0]), str(root / "VOC2012/SegmentationClass" / f"{pictures[1].stem}.png")]
    )
