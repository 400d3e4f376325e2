"""Base scenes in COCO's form and without labels; VOC's are in test_voc.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aligndiff_cli.disk import voc
from aligndiff_cli.disk.base import open_base
from aligndiff_cli.disk.coco import encode_rle
from aligndiff_cli.disk.coco_base import paint
from aligndiff_cli.disk.images import write_png
from aligndiff_cli.errors import FolderError, InputError, UsageError
from tests import nasty

HEIGHT, WIDTH = 6, 9
CATEGORIES = [{"id": 3, "name": "dog"}, {"id": 90, "name": "hot dog"}, {"id": 17, "name": "bus"}]


def annotation(image: int, category: int, segmentation: Any, **more: Any) -> dict[str, Any]:
    return {"image_id": image, "category_id": category, "segmentation": segmentation, "iscrowd": 0, **more}


def box(left: int, top: int, right: int, bottom: int) -> list[list[int]]:
    return [[left, top, right, top, right, bottom, left, bottom]]


def rectangle(left: int, top: int, right: int, bottom: int) -> np.ndarray:
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


def write_instances(path: Path, annotations: list[dict[str, Any]], names: list[str], **more: Any) -> Path:
    """An instances file; its pictures have the ids 1, 2, ... and the size of a scene."""
    images = [{"id": n, "file_name": name, "height": HEIGHT, "width": WIDTH} for n, name in enumerate(names, 1)]
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"images": images, "categories": CATEGORIES, "annotations": annotations, **more}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def picture(path: Path, height: int = HEIGHT, width: int = WIDTH) -> Path:
    return nasty.save(path, np.full((height, width, 3), 100, np.uint8))


# COCO


def test_polygons_runs_and_crowds_are_painted_under_numbers_without_gaps(tmp_path: Path) -> None:
    crowd = {"size": [HEIGHT, WIDTH], "counts": encode_rle(rectangle(0, 0, 9, 3))["counts"]}
    # columns 6 and 7 of rows 1 to 4: runs 37, 4, 2, 4, 7; from the fourth on what is told is the change by two back
    packed = {"size": [HEIGHT, WIDTH], "counts": "U142" + "05"}
    found = [
        annotation(1, 17, box(0, 0, 6, 6)),
        annotation(1, 3, box(1, 1, 3, 3)),
        annotation(1, 90, crowd, iscrowd=1),
        annotation(1, 3, packed),
    ]
    write_instances(tmp_path / "annotations" / "instances_train2017.json", found, ["a.png", "bare.png"])
    for name in ("a", "bare"):
        picture(tmp_path / "train2017" / f"{name}.png")
    base = open_base(tmp_path)
    assert base.stems == ["a.png", "bare.png"]
    assert base.classes == ["dog", "bus", "hot dog"]  # ids 3, 17, 90
    assert not base.problems
    assert base.present("a.png") == {1, 2, 3}
    assert base.present("bare.png") == set()
    image, labels = base.load("a.png")
    assert image.shape == (HEIGHT, WIDTH, 3)
    # the crowd lies lowest, then the bus, and the dogs on top of it
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[0:3] = 3
    expected[:, 0:6] = 2
    expected[1:3, 1:3] = 1
    expected[1:5, 6:8] = 1
    np.testing.assert_array_equal(labels, expected)
    assert not base.load("bare.png")[1].any()


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("annotations/instances_train2014.json", "train2014"),
        ("annotations/instances_default.json", "images/default"),
        ("annotations/instances_default.json", "images"),
        ("annotations/instances_train.json", "JPEGImages"),
        ("result.json", "images"),
        ("train/_annotations.coco.json", "train"),
        ("instances_val2017.json", "val2017"),
    ],
    ids=["COCO", "CVAT", "Datumaro", "our own", "Label Studio", "Roboflow", "moved"],
)
def test_pictures_are_found_where_tools_put_them(tmp_path: Path, file: str, place: str) -> None:
    write_instances(tmp_path / file, [annotation(1, 3, box(0, 0, 2, 2))], ["a.png"])
    picture(tmp_path / place / "a.png")
    for base in (open_base(tmp_path), open_base(tmp_path / file)):
        assert base.picture("a.png") == tmp_path / place / "a.png"
        assert int((base.load("a.png")[1] == 1).sum()) == 4


def test_the_split_train_is_taken_among_several_and_else_none_is_guessed(tmp_path: Path) -> None:
    for name in ("instances_train2017", "instances_val2017", "captions_train2017", "person_keypoints_train2017"):
        write_instances(tmp_path / "annotations" / f"{name}.json", [], ["a.png"])
    picture(tmp_path / "train2017" / "a.png")
    assert open_base(tmp_path).root.name == "instances_train2017.json"
    write_instances(tmp_path / "annotations" / "instances_train2014.json", [], ["a.png"])
    with pytest.raises(FolderError, match=r"several files of annotations: .*train2014\.json, .*train2017\.json"):
        open_base(tmp_path)


def test_what_cannot_be_used_is_left_out_and_counted(tmp_path: Path) -> None:
    names = ["a.png", "gone.png", "twice.png", "twice.png", "../out.png", "sub\\deep.png"]
    path = write_instances(tmp_path / "b" / "x.json", [annotation(77, 3, box(0, 0, 2, 2))], names)
    for name in ("a.png", "twice.png", "sub/deep.png", "../out.png"):
        picture(path.parent / name)
    base = open_base(path)
    assert base.stems == ["a.png", "sub/deep.png"]
    told = "\n".join(map(str, base.problems))
    assert "1 of its pictures are not there: gone.png" in told
    assert "1 pictures are listed twice: twice.png" in told
    assert "1 names of pictures lead out of the folder: ../out.png" in told
    assert "1 pictures have annotations and are not listed: their ids are: 77" in told


def test_categories_of_one_name_are_one_class_and_the_background_is_none(tmp_path: Path) -> None:
    categories = [{"id": n, "name": name} for n, name in enumerate(["fish", "fish", "background", "crab"])]
    found = [annotation(1, 1, box(0, 0, 2, 2)), annotation(1, 3, box(4, 0, 6, 2)), annotation(1, 2, box(4, 4, 6, 6))]
    picture(tmp_path / "a.png")
    base = open_base(write_instances(tmp_path / "x.json", found, ["a.png"], categories=categories))
    assert base.classes == ["fish", "crab"]
    assert base.present("a.png") == {1, 2}
    assert np.unique(base.load("a.png")[1]).tolist() == [0, 1, 2]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        (annotation(1, 99, box(0, 0, 2, 2)), "KeyError: 99"),
        (annotation(1, 3, []), "annotation 7 has no segmentation"),
        (annotation(1, 3, [[1, 2, 3]]), "as pairs x, y, got 3 numbers"),
        (annotation(1, 3, {"size": [9, 6], "counts": [54]}), "expected run lengths of 6 x 9 pixels"),
        (annotation(1, 3, {"size": [6, 9], "counts": [10**30]}), "add up to 54"),
        (annotation(1, 3, {"size": [6, 9], "counts": "?"}), "end within a number|add up"),
        (annotation(1, 3, {"size": [6, 9]}), "KeyError: 'counts'"),
        (annotation(1, 3, "words"), "expected corners as x, y, x, y, ... in finite numbers, got w"),
    ],
)
def test_malformed_annotations_are_named(tmp_path: Path, found: dict[str, Any], message: str) -> None:
    picture(tmp_path / "a.png")
    base = open_base(write_instances(tmp_path / "x.json", [{**found, "id": 7}], ["a.png"]))
    with pytest.raises(InputError, match=message) as caught:
        base.load("a.png")
    assert caught.value.where == tmp_path / "x.json"


def test_a_picture_of_another_size_than_the_file_says_is_named(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", HEIGHT * 2, WIDTH * 2)
    base = open_base(write_instances(tmp_path / "x.json", [], ["a.png"]))
    with pytest.raises(InputError, match=r"expected a picture of 9 x 6 .* as x\.json says, got 18 x 12"):
        base.load("a.png")


@pytest.mark.parametrize(("height", "width"), [(10**9, 9), (0, 9), (-6, 9), ("6", 9), (6.0, 9)])
def test_sizes_that_no_picture_has_are_not_painted(height: Any, width: Any) -> None:
    with pytest.raises(ValueError, match="pixels cannot be"):
        paint([annotation(1, 3, box(0, 0, 2, 2))], {3: 1}, height, width)


@pytest.mark.parametrize("size", [{}, {"height": WIDTH, "width": HEIGHT}], ids=["left out", "unturned"])
def test_annotations_on_the_unturned_pixels_are_turned(tmp_path: Path, size: dict[str, int]) -> None:
    """Stored 6 wide and 9 high, shown 9 wide and 6 high: the stored left edge, read upwards, is the shown top."""
    shown = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    nasty.exif_turned(tmp_path / "a.jpg", shown, 6)
    entry = {"id": 1, "file_name": "a.jpg", **size}
    path = write_instances(tmp_path / "x.json", [annotation(1, 3, box(0, 0, 1, 2))], [], images=[entry])
    labels = open_base(path).load("a.jpg")[1]
    # rows 0 and 1 of the stored column 0 are columns 8 and 7 of the shown row 0
    expected = np.zeros((HEIGHT, WIDTH), np.uint8)
    expected[0, 7:9] = 1
    np.testing.assert_array_equal(labels, expected)


def test_digests_see_pictures_and_annotations(tmp_path: Path) -> None:
    def digests(found: list[dict[str, Any]], name: str) -> dict[str, str]:
        return open_base(write_instances(tmp_path / f"{name}.json", found, ["a.png"])).digests("a.png")

    picture(tmp_path / "a.png")
    first = digests([annotation(1, 3, box(0, 0, 2, 2), id=1)], "x")
    assert digests([annotation(1, 3, box(0, 0, 2, 2), id=2)], "y") == first
    assert digests([annotation(1, 3, box(0, 0, 2, 3))], "z")["labels"] != first["labels"]
    assert digests([annotation(1, 17, box(0, 0, 2, 2))], "w")["labels"] != first["labels"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not COCO's instances file"),
        ("[]", "is not COCO's instances file"),
        ('{"images": [], "categories": []}', "KeyError: 'annotations'"),
        ('{"images": [{"id": 1}], "categories": [], "annotations": []}', "KeyError: 'file_name'"),
        ('{"images": [], "categories": [], "annotations": []}', "not one of its 0 pictures is there"),
        ("[" * 100_000, "is not COCO's instances file"),
    ],
)
def test_other_json_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(FolderError, match=message):
        open_base(tmp_path)


def test_more_classes_than_a_label_map_can_hold_are_refused(tmp_path: Path) -> None:
    categories = [{"id": n, "name": f"class {n}"} for n in range(300)]
    with pytest.raises(FolderError, match="expected at most 254 classes, got 300"):
        open_base(write_instances(tmp_path / "x.json", [], [], categories=categories))


# other folders


def test_what_is_neither_form_says_which_there_are(tmp_path: Path) -> None:
    picture(tmp_path / "a.png")
    with pytest.raises(FolderError, match="found neither VOC's folders nor a JSON file"):
        open_base(tmp_path)
    with pytest.raises(FolderError, match="there is no such folder"):
        open_base(tmp_path / "gone")
    (tmp_path / "JPEGImages").mkdir()
    with pytest.raises(FolderError, match="found no SegmentationClass/"):
        open_base(tmp_path)


def test_photographs_without_labels(tmp_path: Path) -> None:
    for name in ("b.jpg", "sub/a.PNG", "c.png", ".hidden/d.jpg", "notes.txt"):
        picture(tmp_path / name) if name.lower().endswith(("g", "G")) else nasty.text_file(tmp_path / name)
    for mask in ("b.png", "c_mask.png", "sub/a_mask.png"):
        write_png(tmp_path / mask, np.eye(HEIGHT, WIDTH, dtype=bool))
    base = open_base(tmp_path, unlabelled=True)
    assert base.stems == ["b.jpg", "c.png", "sub/a.PNG"]
    assert base.classes == []
    assert base.present("b.jpg") == set()
    image, labels = base.load("b.jpg")
    assert image.shape == (HEIGHT, WIDTH, 3)
    assert labels.shape == (HEIGHT, WIDTH)
    assert not labels.any()
    assert [problem.what for problem in base.problems] == [
        "3 pictures look like the masks of others, and are left out, such as 'b.png'"
    ]


def test_labels_are_not_passed_over_in_silence(tmp_path: Path) -> None:
    voc.write_item(tmp_path, "a", np.full((HEIGHT, WIDTH, 3), 9, np.uint8), np.ones((HEIGHT, WIDTH), np.uint8))
    with pytest.raises(UsageError, match="there are labels in SegmentationClass/"):
        open_base(tmp_path, unlabelled=True)


def test_an_empty_folder_holds_no_photograph(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match="holds no photograph"):
        open_base(tmp_path, unlabelled=True)
    Image.new("RGB", (3, 2)).save(tmp_path / "a.png")
    with pytest.raises(FolderError, match="expected a folder of photographs, got a file"):
        open_base(tmp_path / "a.png", unlabelled=True)
