"""A user's own annotations in each form, and bad ones, as far as the folders that are written."""

from __future__ import annotations

import base64
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aligndiff_cli.datasets.own.choice import score
from aligndiff_cli.datasets.own.prepare import Own, Wanted, prepare_own, wanted_classes
from aligndiff_cli.datasets.own.source import find_annotations
from aligndiff_cli.disk import decoding, voc
from aligndiff_cli.disk.images import read_ignored, read_mask, write_jpeg
from aligndiff_cli.disk.support import load_pair, scan_support
from aligndiff_cli.errors import FolderError, UsageError
from tests.datasets import annotated
from tests.datasets.annotated import SCENES, Scene, scene


def prepare(
    path: Path,
    out: Path,
    classes: str = "dog",
    shots: int = 2,
    seed: int = 0,
    images: Path | None = None,
    boxer: Any = None,
    orientation: Any = "auto",
) -> Own:
    source = find_annotations(path).open(images, boxer is not None)
    names = wanted_classes(classes, source.names, path)
    return prepare_own(out, source, Wanted(names, shots, seed, 1, orientation), boxer, path, lambda done, total: None)


def pairs(folder: Path) -> dict[str, np.ndarray]:
    return {f"{pair.cls}/{pair.stem}": load_pair(pair)[1] for pair in scan_support(folder).pairs}


def said(own: Own) -> str:
    return "\n".join(map(str, own.problems))


FORMS: dict[str, Callable[[Path], Path]] = {
    "coco polygons": annotated.as_coco,
    "coco packed": lambda root: annotated.as_coco(root, form="packed"),
    "coco runs": lambda root: annotated.as_coco(root, form="runs"),
    "labelme polygons": annotated.as_labelme,
    "labelme masks": lambda root: annotated.as_labelme(root, form="mask"),
    "labelme rectangles": lambda root: annotated.as_labelme(root, form="rectangle"),
    "voc": annotated.as_voc,
    "cvat": annotated.as_cvat_voc,
    "yolo": annotated.as_yolo,
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_folders(form: str, tmp_path: Path) -> None:
    """Of dog, a is clean and largest; b is clean; c (frame) and d (two) come after; e and f show no dog."""
    own = prepare(FORMS[form](tmp_path / "in"), tmp_path / "out")
    assert not own.problems
    assert [c.photograph.stem for c in own.support["dog"]] == ["a", "b"]
    by_stem = {s.stem: np.logical_or.reduce([m for cls, m in s.objects if cls == "dog"]) for s in SCENES[:4]}
    found = pairs(tmp_path / "out" / "support") | pairs(tmp_path / "out" / "query")
    assert set(pairs(tmp_path / "out" / "query")) == {"dog/c", "dog/d"}
    for name, mask in found.items():
        # an outline by half pixels cuts the corners
        assert int((mask ^ by_stem[name[-1]]).sum()) <= (4 if "polygon" in form or form == "yolo" else 0), name
    base = voc.open_voc(tmp_path / "out" / "base", "train")
    assert base.stems == ["e", "f"]
    names = [name.replace("_", " ") for name in base.classes or []]
    assert names == ["cat", "dog", "tea pot"]
    assert base.present("e") == {1, 3}
    image, labels = base.load("e")
    assert image.shape == (50, 50, 3)
    assert labels[25, 25] == 1
    assert labels[4, 4] == 3
    scenes = voc.open_voc(tmp_path / "out" / "query_scenes", "val")
    assert scenes.stems == ["c", "d"]
    assert scenes.present("c") == {2}
    assert voc.present_classes(voc.read_label_map(tmp_path / "out" / "support_labels" / "dog" / "b.png")) == {1, 2}


@pytest.mark.parametrize(("form", "last"), [("coco polygons", "others"), ("cvat", "others"), ("voc", "")])
def test_flaws_say_why_a_picture_is_no_clean_example(form: str, last: str, tmp_path: Path) -> None:
    """Without SegmentationObject/ nobody knows that d has two dogs."""
    path = FORMS[form](tmp_path / "in")
    if not last:
        shutil.rmtree(path / "SegmentationObject")
    own = prepare(path, tmp_path / "out", shots=4)
    flaws = {c.photograph.stem: ",".join(c.shown["dog"].flaws) for c in own.support["dog"]}
    assert flaws == {"a": "", "b": "", "c": "frame", "d": last}
    scores = {c.photograph.stem: score(c.shown["dog"]) for c in own.support["dog"]}
    d = 300 / 2400 / 4 if last else 560 / 2400
    expected = {"a": 600 / 2400, "b": 320 / 2400, "c": 875 / 2400 / 4, "d": d}
    assert scores == pytest.approx(expected, abs=0.002)
    assert list(scores) == sorted(expected, key=lambda stem: -expected[stem])
    assert "dog" in own.query
    assert not own.query["dog"]


def test_more_shots_hold_those_of_fewer_and_the_seed_orders_equals(tmp_path: Path) -> None:
    scenes = [scene(f"s{n}", (40, 60), ("dog", (10, 10, 30, 40))) for n in range(8)]
    path = annotated.as_coco(tmp_path / "in", scenes, classes=("dog",))
    chosen = {}
    for seed, shots in ((0, 2), (0, 4), (1, 4)):
        own = prepare(path, tmp_path / f"out{seed}{shots}", shots=shots, seed=seed)
        chosen[seed, shots] = [c.photograph.stem for c in own.support["dog"]]
    assert chosen[0, 2] == chosen[0, 4][:2]
    assert chosen[0, 4] != chosen[1, 4]


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    path = annotated.as_yolo(tmp_path / "in")
    for name in ("one", "two"):
        prepare(path, tmp_path / name)
    one, two = (
        {p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*") if p.is_file()}
        for name in ("one", "two")
    )
    assert one == two


def test_classes_are_asked_for_by_their_words(tmp_path: Path) -> None:
    names = ["cat", "Dog", "tea_pot"]
    assert wanted_classes("tea pot, dog,Dog", names, tmp_path) == ["tea_pot", "Dog"]
    with pytest.raises(UsageError, match=r"there is no class 'cow', 'pig'\. There are: cat, Dog, tea_pot"):
        wanted_classes("cow,dog,pig", names, tmp_path)
    with pytest.raises(UsageError, match="names no class"):
        wanted_classes(" , ", names, tmp_path)


def test_too_few_pictures_are_told_and_used(tmp_path: Path) -> None:
    own = prepare(annotated.as_coco(tmp_path / "in"), tmp_path / "out", "dog,cat", shots=3)
    assert "expected 3 pictures of 'cat' for support, found 2. All of them are support" in said(own)
    assert set(pairs(tmp_path / "out" / "support")) == {"cat/b", "cat/e", "dog/a", "dog/b", "dog/c"}
    assert set(pairs(tmp_path / "out" / "query")) == {"dog/d"}


def changed(path: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def test_bad_coco_records_are_named_and_left_out(tmp_path: Path) -> None:
    path = annotated.as_coco(tmp_path / "in")

    def spoil(content: dict[str, Any]) -> None:
        a, b, c, d, e, _ = content["images"]
        a["file_name"] = "gone.jpg"
        content["images"] += [{"id": 70}, {"id": 71, "file_name": "x" * 300}, {"id": 72, "file_name": "."}, None]
        b["width"], b["height"] = 80, 120
        e["file_name"] = "/elsewhere/e.jpg"  # by its last part
        (tmp_path / "in" / "images" / "f.jpg").write_bytes(b"no picture")
        own = content["annotations"]
        own.append({"id": 90, "image_id": c["id"], "category_id": 20, "segmentation": [[1, 1, 5, 5]], "iscrowd": 0})
        own.append({"id": 91, "image_id": d["id"], "category_id": 7, "segmentation": [[1, 1, 5, 5, 1, 5]]})
        own.append({"id": 92, "image_id": 99, "category_id": 20, "segmentation": [[1, 1, 5, 5, 1, 5]]})
        own.append({"id": 94, "image_id": d["id"], "category_id": {}, "segmentation": [[1, 1, 5, 5, 1, 5]]})
        own.append({"id": 95, "category_id": 20})
        own.append({"id": 93, "image_id": e["id"], "category_id": 30, "bbox": [1, 1, 5, 5], "segmentation": []})

    own = prepare(changed(path, spoil), tmp_path / "out", shots=1)
    assert dict(own.left_out.counts) == {
        "picture not found": 3,
        "picture of another size": 1,
        "record cannot be read": 3,
        "object cannot be drawn": 1,
        "object of an unknown class": 2,
        "object of an unknown picture": 1,
        "picture cannot be used": 1,
        "box without a mask": 1,
    }
    told = said(own)
    for words in (
        "its picture 'gone.jpg' is not there",
        "name the folder of the pictures with --images",
        "b.jpg: expected a picture of 80 x 120 (width x height), got 40 x 60",
        "annotation 90 of c.jpg (dog) cannot be drawn: it holds no pixel",
        "annotation 91 of d.jpg has category 7, which is not listed",
        "1 annotations are of pictures that are not listed",
        "picture 7 of 10 cannot be read ('file_name' is missing)",
        "annotation 14 of 15 cannot be read ('image_id' is missing)",
        "is no picture that can be read",
        "annotation 93 of /elsewhere/e.jpg (tea_pot) has a box and no mask",
    ):
        assert words in told
    (chosen,) = own.support["dog"]
    # c lacks an object and touches the frame, d may lack one and has others: both have two flaws, c is larger
    assert chosen.photograph.stem == "c"
    assert chosen.shown["dog"].flaws == ("frame", "lost")
    assert not own.query["dog"]  # d's truth may lack an object
    assert [c.photograph.stem for c in own.base] == ["e"]  # what it lacks is of no wanted class


def test_categories_of_one_name_are_one_class_and_a_background_is_none(tmp_path: Path) -> None:
    path = annotated.as_coco(tmp_path / "in", classes=("cat", "dog", "tea pot"))

    def twice(content: dict[str, Any]) -> None:
        content["categories"] += [{"id": 40, "name": "tea_pot"}, {"id": 1, "name": "background"}]
        content["annotations"][-1]["category_id"] = 40

    source = find_annotations(changed(path, twice)).open(None, False)
    assert source.names == ["cat", "dog", "tea_pot"]
    own = prepare(path, tmp_path / "out", "tea-pot", shots=1)
    assert [c.photograph.stem for c in own.support["tea_pot"]] == ["f"]


def test_a_picture_listed_twice_counts_once(tmp_path: Path) -> None:
    path = annotated.as_coco(tmp_path / "in")
    own = prepare(
        changed(path, lambda content: content["images"].append(content["images"][0] | {"id": 77})), tmp_path / "out"
    )
    assert own.left_out.counts == {"picture listed twice": 1}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"images": [], "annotations": [], "categories": []}, "names no class"),
        ({"images": [], "annotations": [], "categories": [{"id": 1, "name": "dog"}]}, "no picture can be used of dog"),
        ({"images": []}, "is not COCO's instances file .'annotations' is missing"),
        ({"other": 1}, "is JSON of no form that is read .it has other"),
        ([], "cannot be read as JSON"),
    ],
)
def test_empty_annotations_are_refused(content: Any, message: str, tmp_path: Path) -> None:
    path = annotated.write_json(tmp_path / "in.json", content)
    with pytest.raises(FolderError, match=message):
        prepare(path, tmp_path / "out")


def test_a_folder_without_annotations_says_what_is_read(tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"no annotations of a form that is read\. Give COCO's instances JSON"):
        find_annotations(tmp_path)
    with pytest.raises(FolderError, match="there is no such file or folder"):
        find_annotations(tmp_path / "none")


def test_several_coco_files_share_their_classes(tmp_path: Path) -> None:
    """As Roboflow has them: train/ and valid/ with a JSON file beside the pictures, and captions are passed over."""
    for part, scenes in (("train", SCENES[:3]), ("valid", SCENES[3:])):
        path = annotated.as_coco(tmp_path / "made" / part, scenes)
        place = tmp_path / "in" / part
        place.mkdir(parents=True)
        for picture in (tmp_path / "made" / part / "images").iterdir():
            picture.rename(place / picture.name)
        path.rename(place / "_annotations.coco.json")
    own = prepare(tmp_path / "in", tmp_path / "out")
    assert not own.problems
    assert [c.photograph.stem for c in own.support["dog"]] == ["a", "b"]
    assert [c.photograph.stem for c in own.base] == ["e", "f"]


def test_pictures_may_lie_in_a_folder_of_the_users(tmp_path: Path) -> None:
    for form, made in FORMS.items():
        path = made(tmp_path / form)
        root = tmp_path / form
        for picture in sorted(root.rglob("*.jpg")):
            place = tmp_path / f"pictures of {form}" / "deep" / picture.name
            place.parent.mkdir(parents=True, exist_ok=True)
            picture.rename(place)
        own = prepare(path, tmp_path / f"out {form}", images=tmp_path / f"pictures of {form}")
        assert not own.problems, form
        assert [c.photograph.stem for c in own.support["dog"]] == ["a", "b"]


def test_labelmes_shapes_by_hand(tmp_path: Path) -> None:
    """Of one group, a polygon and a rectangle are drawn together; a disc of radius 5 has 80 pixel centres."""
    one = scene("one", (30, 50))
    annotated.write_pictures(tmp_path / "in", [one])
    shapes = [
        {"label": "dog", "shape_type": "circle", "points": [[20, 10], [25, 10]]},
        {"label": "cat", "shape_type": "polygon", "points": [[30, 20], [40, 20], [40, 25], [30, 25]], "group_id": 3},
        {"label": "cat", "shape_type": "rectangle", "points": [[45, 25], [40, 20]], "group_id": 4},
        {"label": "cat", "shape_type": "line", "points": [[1, 1], [2, 2]]},
        {"label": "cat", "shape_type": "polygon", "points": [[1, 1], [2, 2]]},
        {"label": " ", "shape_type": "polygon", "points": [[1, 1], [2, 2], [1, 2]]},
        {"label": "cat", "shape_type": "mask", "points": [[1, 1], [2, 2]], "mask": "bm90IGEgcG5n"},
        {"label": "cat", "shape_type": "circle", "points": [["x", 1], [2, 2]]},
    ]
    annotated.write_labelme(tmp_path / "in" / "one.json", shapes, (30, 50))
    (tmp_path / "in" / "two.json").write_text("{")
    annotated.write_labelme(tmp_path / "in" / "three.json", [], (30, 50), "..\\in\\none.jpg")
    own = prepare(tmp_path / "in", tmp_path / "out", "dog,cat", shots=1)
    dog, cat = (read_mask(tmp_path / "out" / "support" / cls / "one_mask.png") for cls in ("dog", "cat"))
    assert dog.shape == (30, 50)
    assert int(dog.sum()) == 80
    assert dog[10, 15]
    assert not dog[10, 14]
    assert int(cat.sum()) == 75
    assert cat[20:25, 30:45].all()
    assert own.support["cat"][0].shown["cat"].objects == 2
    assert own.left_out.counts == {
        "annotation file cannot be read": 1,
        "picture not found": 1,
        "object cannot be drawn": 4,
        "object of an unknown class": 1,
    }
    for words in (
        "shape 4 (cat) is a line, which has no area",
        "shape 5 (cat) cannot be drawn: a polygon of 2 points has no area",
        "shape 6 has no label",
        "shape 7 (cat) cannot be drawn: its mask is no PNG",
        "two.json: is not LabelMe's",
        "its picture '..\\\\in\\\\none.jpg' is not there",
    ):
        assert words in said(own), words


def put_inside(folder: Path, stem: str, prefix: str = "", keep: bool = False) -> bytes:
    """Move a picture into its LabelMe file, as base64."""
    path, picture = folder / f"{stem}.json", folder / f"{stem}.jpg"
    data = picture.read_bytes()
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"imageData": prefix + base64.b64encode(data).decode()}))
    if not keep:
        picture.unlink()
    return data


def test_labelmes_pictures_inside_are_taken_out(tmp_path: Path) -> None:
    """The bytes stay as they are; a picture that is there as well comes first."""
    folder, out = annotated.as_labelme(tmp_path / "in"), tmp_path / "out"
    beside = prepare(folder, tmp_path / "beside", "dog,cat", shots=1)
    expected = {part: pairs(tmp_path / "beside" / part) for part in ("support", "query")}
    a, b = put_inside(folder, "a"), put_inside(folder, "b", "data:image/jpeg;base64,")
    put_inside(folder, "c", keep=True)
    own = prepare(folder, out, "dog,cat", shots=1)
    assert not own.problems
    taken = {path.relative_to(out).as_posix(): path.read_bytes() for path in (out / "pictures_inside").rglob("*.*")}
    assert taken == {"pictures_inside/in/a.jpg": a, "pictures_inside/in/b.jpg": b}
    assert {cls: [c.photograph.stem for c in own.support[cls]] for cls in own.support} == {"dog": ["a"], "cat": ["e"]}
    assert (out / "support/dog/a.jpg").resolve() == (out / "pictures_inside/in/a.jpg").resolve()
    assert [c.shown for c in own.scenes] == [c.shown for c in beside.scenes]
    for part, masks in expected.items():
        found = pairs(out / part)
        assert masks.keys() == found.keys()
        assert all(np.array_equal(mask, found[name]) for name, mask in masks.items())


def test_labelmes_pictures_inside_of_one_name_are_apart(tmp_path: Path) -> None:
    for n, folder in enumerate(("one", "two")):
        own = scene("a", (40, 60), ("dog", (10, 10, 30, 40)), seed=n)
        annotated.as_labelme(tmp_path / "in" / folder, [own])
        put_inside(tmp_path / "in" / folder, "a")
    own = prepare(tmp_path / "in", tmp_path / "out", shots=1)
    assert not own.problems
    assert sorted([*pairs(tmp_path / "out/support"), *pairs(tmp_path / "out/query")]) == ["dog/a", "dog/two_a"]


def test_bad_pictures_inside_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_PIXELS", 2400)  # of a; b has as many, the last one more
    folder = annotated.as_labelme(tmp_path / "in", SCENES[:2])
    shapes = [{"label": "dog", "shape_type": "rectangle", "points": [[1, 1], [9, 9]]}]
    large = io.BytesIO()
    Image.new("L", (49, 49)).save(large, "PNG")
    whole = put_inside(folder, "b", keep=True)
    for name, inside in {
        "letters": "abcde",
        "words": base64.b64encode(b"no picture").decode(),
        "number": 7,
        "cut": base64.b64encode(whole[: len(whole) // 2]).decode(),
        "large": base64.b64encode(large.getvalue()).decode(),
    }.items():
        annotated.write_labelme(folder / f"{name}.json", shapes, (40, 60), inside=inside)
    own = prepare(folder, tmp_path / "out", shots=1)
    assert own.left_out.counts == {"picture cannot be used": 5}
    for words in (
        "letters.json: its imageData is no picture in base64",
        "words.json: holds no picture that can be read",
        "number.json: its imageData is no picture in base64",
        "cut.jpg: is damaged or cut short",
        "large.png: is too large to open",
    ):
        assert words in said(own), (words, said(own))


def test_bad_yolo_lines_are_named(tmp_path: Path) -> None:
    annotated.as_yolo(tmp_path / "in")
    labels = tmp_path / "in" / "labels" / "train"
    (labels / "c.txt").write_text(
        "9 0.1 0.1 0.2 0.2 0.1 0.2\ndog\n1 0.1 0.1 0.3\n1 0.1 0.1 0.2 0.2\n"
        "1 0.1 0.1 0.2 0.2 7 0.2\n1 0.1 x 0.1 0.1 0.3 0.3\n"
    )
    (labels / "alone.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    own = prepare(tmp_path / "in", tmp_path / "out")
    assert own.left_out.counts == {
        "object of an unknown class": 2,
        "object cannot be drawn": 3,
        "box without a mask": 1,
        "picture not found": 1,
    }
    for words in (
        "line 1 has class 9, which the names have not (0 to 2)",
        "line 2 has class dog",
        "got 3",
        "from 0 to 1",
    ):
        assert words in said(own), words


def test_yolos_names_may_be_a_list_of_lines(tmp_path: Path) -> None:
    """As Label Studio writes them."""
    root = annotated.as_yolo(tmp_path / "in")
    (root / "data.yaml").unlink()
    with pytest.raises(FolderError, match="holds labels/ and no file that names the classes"):
        find_annotations(root)
    (root / "labels" / "classes.txt").write_text("cat\ndog\ntea pot\n")
    own = prepare(root, tmp_path / "out")
    assert not own.problems
    assert [c.photograph.stem for c in own.support["dog"]] == ["a", "b"]


def test_vocs_unnamed_classes_and_ignored_pixels(tmp_path: Path) -> None:
    """Of c all that is not dog is ignored; d has a class that the list has not."""
    annotated.as_voc(tmp_path / "in")
    labels = tmp_path / "in" / voc.LABELS
    c, d = voc.read_label_map(labels / "c.png"), voc.read_label_map(labels / "d.png")
    voc.write_label_map(labels / "c.png", np.where(c == 0, 255, c))
    d[:2] = 9
    voc.write_label_map(labels / "d.png", d)
    own = prepare(tmp_path / "in", tmp_path / "out")
    assert "its label map has class 9, which the list of names has not (1 to 3)" in said(own)
    truth = tmp_path / "out" / "query" / "dog" / "c_mask.png"
    np.testing.assert_array_equal(read_mask(truth), c == 2)
    np.testing.assert_array_equal(read_ignored(truth), c == 0)
    assert not (truth.parent / "d_mask.png").exists()


def turned_scene(tag: int) -> tuple[Scene, Image.Exif]:
    exif = Image.Exif()
    exif[0x0112] = tag
    return scene("one", (30, 50), ("dog", (5, 10, 15, 30))), exif


@pytest.mark.parametrize("form", ["coco polygons", "yolo", "labelme masks"])
@pytest.mark.parametrize("drawn_on", ["shown", "stored"])
def test_photographs_with_an_orientation(form: str, drawn_on: str, tmp_path: Path) -> None:
    """Stored 30 x 50, to be shown turned by 90 degrees clockwise (orientation 6), 50 x 30."""
    stored, exif = turned_scene(6)
    upright = [(cls, np.rot90(mask, -1)) for cls, mask in stored.objects]
    own = stored if drawn_on == "stored" else Scene("one", np.rot90(stored.image, -1), upright)
    make = {
        "coco polygons": annotated.as_coco,
        "yolo": annotated.as_yolo,
        "labelme masks": lambda root, scenes: annotated.as_labelme(root, scenes, "mask"),
    }[form]
    path = make(tmp_path / "in", [own])
    (picture,) = (tmp_path / "in").rglob("*.jpg")
    Image.fromarray(stored.image).save(picture, exif=exif)
    # shares of the picture fit whatever they were drawn on, so that only the user can say
    prepare(path, tmp_path / "out", shots=1, orientation=drawn_on if form == "yolo" else "auto")
    mask = read_mask(tmp_path / "out" / "support" / "dog" / "one_mask.png")
    assert mask.shape == (50, 30)
    assert int((mask ^ upright[0][1]).sum()) <= 4


def test_pictures_of_one_name_keep_apart(tmp_path: Path) -> None:
    scenes = [scene("a", (40, 60), ("dog", (10, 10, 30, 40))), scene("a", (50, 50), ("dog", (10, 10, 30, 30)))]
    for folder, own in zip(("x", "y"), scenes, strict=True):
        annotated.as_labelme(tmp_path / "in" / folder, [own])
    prepare(tmp_path / "in", tmp_path / "out")
    assert set(pairs(tmp_path / "out" / "support")) == {"dog/a", "dog/y_a"}


BOXED: dict[str, Callable[[Path], Path]] = {
    "coco": lambda root: annotated.as_coco(root, form="box"),
    "labelme": lambda root: annotated.as_labelme(root, form="rectangle"),
    "yolo": lambda root: annotated.as_yolo(root, form="box"),
}


@pytest.mark.parametrize("form", BOXED)
def test_boxes_become_masks_by_whoever_is_asked(form: str, tmp_path: Path) -> None:
    """A stand-in answers with the left half of each box."""
    asked: list[tuple[str, list[Any]]] = []

    def left_half(picture: Path, boxes: Any) -> list[np.ndarray]:
        asked.append((picture.stem, list(boxes)))
        height, width = next(own.size for own in SCENES if own.stem == picture.stem)
        return [annotated.box(height, width, int(t), int(le), int(b), int(le + r) // 2) for le, t, r, b in boxes]

    own = prepare(BOXED[form](tmp_path / "in"), tmp_path / "out", boxer=left_half)
    assert ("a", [(10.0, 10.0, 40.0, 30.0)]) in asked
    assert dict(asked)["d"] == [(5.0, 5.0, 25.0, 20.0), (30.0, 22.0, 50.0, 35.0)]
    mask = read_mask(tmp_path / "out" / "support" / "dog" / "a_mask.png")
    np.testing.assert_array_equal(mask, annotated.box(40, 60, 10, 10, 30, 25))
    assert own.support["dog"][0].shown["dog"].flaws == ("box",)


def test_boxes_alone_are_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(
        FolderError, match=r"no picture can be used of dog \(box without a mask: 9 times\).*--boxes MODEL"
    ):
        prepare(annotated.as_yolo(tmp_path / "in", form="box"), tmp_path / "out")


def test_what_lies_on_an_object_hides_it(tmp_path: Path) -> None:
    """Of the dog's 600 pixels a cat lies on 100, more than a tenth; it is smaller, and so painted after."""
    own = scene("one", (40, 60), ("cat", (15, 15, 25, 25)), ("dog", (10, 10, 30, 40)))
    made = prepare(annotated.as_coco(tmp_path / "in", [own], "packed"), tmp_path / "out", shots=1)
    shown = made.support["dog"][0].shown["dog"]
    assert shown.flaws == ("hidden",)
    assert shown.pixels == 500
    assert shown.area == pytest.approx(500 / 2400)
    assert not read_mask(tmp_path / "out" / "support" / "dog" / "one_mask.png")[20, 20]


def test_vocs_xml_has_boxes(tmp_path: Path) -> None:
    """Pixels count from 1 there, and the last one belongs to the box."""
    image = scene("one", (30, 50), ("dog", (5, 10, 15, 30))).image
    write_jpeg(tmp_path / "in" / voc.PICTURES / "one.jpg", image)
    (tmp_path / "in" / "Annotations").mkdir()
    thing = (
        "<object><name>{}</name><bndbox><xmin>11</xmin><ymin>6</ymin><xmax>30</xmax><ymax>15</ymax></bndbox></object>"
    )
    text = f"<annotation><size><width>50</width><height>30</height></size>{thing.format('dog')}{thing.format('elf')}"
    (tmp_path / "in" / "Annotations" / "one.xml").write_text(f"{text}</annotation>")
    (tmp_path / "in" / "Annotations" / "two.xml").write_text("<annotation>")
    write_jpeg(tmp_path / "in" / voc.PICTURES / "two.jpg", image)
    asked = []

    def whole(picture: Path, boxes: Any) -> list[np.ndarray]:
        asked.extend(boxes)
        return [annotated.box(30, 50, 5, 10, 15, 30) for _ in boxes]

    own = prepare(tmp_path / "in", tmp_path / "out", shots=1, boxer=whole)
    assert asked == [(10.0, 5.0, 30.0, 15.0)]
    assert "object 2 is called 'elf', which the list of names has not" in said(own)
    assert own.left_out.counts["annotation file cannot be read"] == 1
