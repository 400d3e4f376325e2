from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aligndiff_cli.datasets import coco
from aligndiff_cli.datasets.coco import paint, read_coco
from aligndiff_cli.datasets.folds import coco_novel
from aligndiff_cli.datasets.photographs import Photographs, write_fold
from aligndiff_cli.disk.support import load_pair, scan_support
from aligndiff_cli.disk.voc import open_voc, read_label_map
from aligndiff_cli.errors import FolderError, UsageError
from tests.datasets.lookalikes import BIG, SMALL, build_coco, polygon

NOVEL = coco_novel(1)


def read(root: Path, maps: Path, year: int = 2017, *, partial: bool = True) -> Photographs:
    return read_coco(root, year, maps, partial=partial, report=lambda done, total: None)


@pytest.fixture(scope="module", params=[2014, 2017])
def year(request: pytest.FixtureRequest) -> int:
    return int(request.param)


@pytest.fixture(scope="module")
def root(year: int, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_coco(tmp_path_factory.mktemp(f"coco{year}"), year, NOVEL)


def test_photographs_and_their_label_maps(
    root: Path, year: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coco, "COUNTS", {year: {"train": 24, "val": 2}})
    data = read(root, tmp_path, year, partial=False)
    assert not data.warnings
    assert (len(data.train), len(data.val)) == (24, 2)
    first = data.train[0]
    assert first.stem == {2014: "COCO_train2014_000000000009", 2017: "000000000009"}[year]
    # bicycle and person: categories 2 and 1
    assert first.present == {2, 1}
    labels = read_label_map(first.labels)
    expected = np.zeros((48, 72), np.uint8)
    expected[BIG[0] : BIG[2], BIG[1] : BIG[3]] = 2
    expected[SMALL[0] : SMALL[2], SMALL[1] : SMALL[3]] = 1
    np.testing.assert_array_equal(labels, expected)
    # the last novel class of fold 1 is 78, teddy bear, COCO's category 88
    assert data.train[19].present == {78, 1}
    assert not data.train[23].present
    assert not read_label_map(data.train[23].labels).any()


def test_the_folders_of_a_fold(root: Path, year: int, tmp_path: Path) -> None:
    write_fold(tmp_path / "out", read(root, tmp_path / "maps", year), NOVEL, shots=1, seed=0)
    scan = scan_support(tmp_path / "out" / "support")
    assert not scan.problems
    assert len({pair.cls for pair in scan.pairs}) == len(scan.pairs) == 20
    teddy = next(pair for pair in scan.pairs if pair.cls == "teddy_bear")
    image, mask = load_pair(teddy)
    assert image.shape == (48, 72, 3)
    assert mask.sum() == (BIG[2] - BIG[0]) * (BIG[3] - BIG[1])
    base = open_voc(tmp_path / "out" / "base", "train")
    assert [sorted(base.present(stem)) for stem in base.stems] == [[1], [3, 4], []]
    query = open_voc(tmp_path / "out" / "query", "val")
    assert [sorted(query.present(stem)) for stem in query.stems] == [[1, 2], [3, 10]]
    assert query.load(query.stems[0])[0].shape == (48, 72, 3)
    assert query.classes is not None
    assert (query.classes[9], len(query.classes)) == ("traffic_light", 80)


def test_label_maps_are_painted_once(root: Path, year: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read(root, tmp_path, year)
    times = {p.labels: p.labels.stat().st_mtime_ns for p in before.train}
    before.train[3].labels.unlink()

    painted = []
    monkeypatch.setattr(coco, "paint", lambda *arguments: painted.append(1) or paint(*arguments))
    after = read(root, tmp_path, year)
    assert len(painted) == 1
    assert all(p.labels.stat().st_mtime_ns == times[p.labels] for n, p in enumerate(after.train) if n != 3)
    # other annotations have a folder of their own
    path = root / "annotations" / f"instances_train{year}.json"
    text = path.read_text()
    path.write_text(text.replace('"area": 1.5', '"area": 1.25'))
    other = read(root, tmp_path, year)
    path.write_text(text)
    assert other.train[0].labels != after.train[0].labels


def test_smaller_objects_lie_on_larger_ones_and_all_on_crowds() -> None:
    def found(category: int, box: tuple[int, int, int, int], crowd: int = 0) -> dict:
        return {"category_id": category, "segmentation": polygon(box), "iscrowd": crowd}

    crowd = found(1, (1, 1, 2, 2)) | {"segmentation": {"size": [4, 6], "counts": [0, 4, 20]}, "iscrowd": 1}
    annotations = [found(16, (0, 0, 2, 2)), found(67, (0, 0, 4, 5)), crowd]
    # bird is 15, dining table is 61, and they hide the crowd in the first column
    expected = [[15, 15, 61, 61, 61, 0], [15, 15, 61, 61, 61, 0], [61] * 5 + [0], [61] * 5 + [0]]
    np.testing.assert_array_equal(paint(annotations, 4, 6), expected)
    right = {"category_id": 1, "segmentation": {"size": [4, 6], "counts": "d04"}, "iscrowd": 1}
    np.testing.assert_array_equal(paint([*annotations, right], 4, 6)[:, 5], [1] * 4)
    assert paint([], 4, 6).shape == (4, 6)


def test_other_counts_are_refused_or_told(root: Path, year: int, tmp_path: Path) -> None:
    (root / f"train{year}" / "extra.txt").touch()
    with pytest.raises(FolderError) as refused:
        read(root, tmp_path, year, partial=False)
    expected = {2014: "82783", 2017: "118287"}[year]
    assert f"expected {expected} photographs in instances_train{year}.json, found 24" in str(refused.value)
    assert f"expected {expected} of them in train{year}/, found 24" in str(refused.value)
    assert f"annotations_trainval{year}.zip" in str(refused.value)
    assert not list(tmp_path.iterdir())
    assert len(read(root, tmp_path, year).warnings) == 4


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    root = build_coco(tmp_path / "coco", 2017, NOVEL)
    with pytest.raises(
        FolderError, match=r"instances_train2014\.json: there is no such file.*annotations_trainval2014"
    ):
        read(root, tmp_path / "maps", 2014)
    with pytest.raises(UsageError, match="2014 or 2017, not 2015"):
        read(root, tmp_path / "maps", 2015)
    (root / "val2017" / "000000000010.jpg").unlink()
    data = read(root, tmp_path / "maps")
    assert len(data.val) == 1
    assert "expected 5000 of them in val2017/, found 1" in data.warnings
    (root / "val2017").rename(root / "elsewhere")
    with pytest.raises(FolderError, match=r"val2017: there is no such folder.*val2017\.zip"):
        read(root, tmp_path / "maps")


def test_bad_annotations_cost_their_photograph_alone(tmp_path: Path) -> None:
    root = build_coco(tmp_path / "coco", 2017, NOVEL)
    path = root / "annotations" / "instances_train2017.json"
    content = json.loads(path.read_text())
    content["annotations"][0]["segmentation"] = [[1, 2, 3]]
    content["annotations"][2]["segmentation"] = {"size": [72, 48], "counts": [72 * 48]}
    content["annotations"][4]["category_id"] = 12
    path.write_text(json.dumps(content))
    data = read(root, tmp_path / "maps")
    assert [str(problem.where).rsplit("/", 1)[1] for problem in data.problems] == [
        "000000000009.jpg",
        "000000000010.jpg",
        "000000000011.jpg",
    ]
    assert len(data.train) == 21
    content["categories"][0]["name"] = "people"
    path.write_text(json.dumps(content))
    with pytest.raises(FolderError, match="expected category 1 to be 'person', got 'people'"):
        read(root, tmp_path / "maps")
    path.write_text("{}")
    with pytest.raises(FolderError, match="is not COCO's instances file"):
        read(root, tmp_path / "maps")
