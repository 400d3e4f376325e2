from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from aligndiff_cli.disk.coco import CocoScene, annotation, encode_rle, scene_annotations, write_coco


def blob(seed: int, shape: tuple[int, int] = (13, 21)) -> np.ndarray:
    return np.random.default_rng(seed).random(shape) < 0.4


@pytest.mark.parametrize(
    ("rows", "counts"),
    [  # runs 2, 1, 1, 2; from the fourth on less the one two before
        ([[0, 1, 1], [0, 0, 1]], "2111"),
        ([[1, 1, 0], [0, 1, 0]], "01111"),
        ([[0, 0, 0], [0, 0, 0]], "6"),
        ([[1, 1, 1], [1, 1, 1]], "06"),
    ],
)
def test_run_lengths_go_down_the_columns(rows: list[list[int]], counts: str) -> None:
    assert encode_rle(np.array(rows, dtype=bool)) == {"size": [2, 3], "counts": counts}


def test_annotation_by_hand() -> None:
    mask = np.zeros((7, 11), dtype=bool)
    mask[2:5, 3] = mask[4, 3:9] = True
    found = annotation(mask, 4)
    assert found["bbox"] == [3, 2, 6, 3]
    assert found["area"] == 8
    assert (found["category_id"], found["iscrowd"]) == (4, 0)
    with pytest.raises(ValueError, match="at least one pixel"):
        annotation(np.zeros((7, 11), dtype=bool), 4)


def test_a_scene_has_its_objects_then_the_crowds_of_its_base_classes() -> None:
    labels = np.zeros((10, 20), dtype=np.uint8)
    labels[:, :6] = 3
    labels[0, 19] = 9
    labels[9, 10:] = 255
    seen, remainder = np.zeros((2, 10, 20), dtype=bool)
    seen[2:7, 4:9] = True
    remainder[8, 12:15] = True
    labels[seen], labels[remainder] = 7, 3
    found, dropped = scene_annotations(
        labels, [(7, seen), (3, remainder), (7, np.zeros((10, 20), dtype=bool))], min_area=4
    )
    # the pasted object of class 3 is no part of the base's class 3, and the single pixel of class 9 is too little
    assert [(a["category_id"], a["area"], a["iscrowd"]) for a in found] == [(7, 25, 0), (3, 50, 1)]
    assert dropped == 3


def write(path: Path) -> list[CocoScene]:
    scenes = [
        CocoScene(f"a{i}.jpg", 13, 21, [annotation(blob(10 * i + k), k + 1, crowd=k == 1) for k in range(i)])
        for i in range(3)
    ]

    def again() -> Iterator[CocoScene]:
        yield from scenes

    write_coco(path, again, ["café", "dog"])
    return scenes


def test_pycocotools_reads_back_the_same_masks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    scenes = write(tmp_path / "annotations" / "instances.json")
    read = coco.COCO(str(tmp_path / "annotations" / "instances.json"))
    capsys.readouterr()
    assert [c["name"] for c in read.loadCats(read.getCatIds())] == ["café", "dog"]
    images = read.loadImgs(sorted(read.getImgIds()))
    assert [(i["id"], i["file_name"]) for i in images] == [(1, "a0.jpg"), (2, "a1.jpg"), (3, "a2.jpg")]
    assert [len(read.getAnnIds(imgIds=[i["id"]])) for i in images] == [0, 1, 2]
    for image_id, k, seed in ((2, 0, 10), (3, 0, 20), (3, 1, 21)):
        found = read.loadAnns(read.getAnnIds(imgIds=[image_id]))[k]
        np.testing.assert_array_equal(read.annToMask(found).astype(bool), blob(seed))
        assert found["area"] == scenes[image_id - 1].annotations[k]["area"] == blob(seed).sum()
        assert found["iscrowd"] == int(k == 1)


def test_pycocotools_agrees_on_area_and_box() -> None:
    mask = pytest.importorskip("pycocotools.mask")
    found = annotation(blob(3), 1)
    packed = found["segmentation"]
    assert mask.area(packed) == found["area"]
    assert mask.toBbox(packed).tolist() == found["bbox"]


def test_ids_are_unique_and_begin_at_one(tmp_path: Path) -> None:
    write(tmp_path / "instances.json")
    data = json.loads((tmp_path / "instances.json").read_text(encoding="utf-8"))
    assert [a["id"] for a in data["annotations"]] == [1, 2, 3]
    assert [c["id"] for c in data["categories"]] == [1, 2]


def test_no_scene_at_all_is_still_json(tmp_path: Path) -> None:
    write_coco(tmp_path / "instances.json", lambda: [], ["dog"])
    data = json.loads((tmp_path / "instances.json").read_text())
    assert data["images"] == data["annotations"] == []


def test_scenes_are_streamed(tmp_path: Path) -> None:
    alive, most = 0, 0

    class Counted(CocoScene):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def scenes() -> Iterator[CocoScene]:
        nonlocal alive, most
        for i in range(50):
            alive += 1
            most = max(most, alive)
            yield Counted(f"{i}.jpg", 2, 3, [annotation(np.ones((2, 3), dtype=bool), 1)])

    write_coco(tmp_path / "instances.json", scenes, ["dog"])
    assert most <= 3
