"""Odd base scenes for `aligndiff compose`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from shutil import rmtree

import numpy as np
import pytest

from aligndiff_cli.disk import voc
from aligndiff_cli.engine.manifest import read_records
from tests.cli.conftest import Run
from tests.cli.odd import Case, all_of, check, nothing, records, table
from tests.cli.world import World, draw_masks, draw_synth
from tests.nasty import bomb, exif_turned, pipe, text_file

pytestmark = pytest.mark.slow

COMPOSE = "compose --foregrounds masks --base base --out scenes --count 3"
THREE = tuple(f"scene-{n:06d}" for n in range(3))
LIST = "base/ImageSets/Segmentation/train.txt"


def masks_and(arrange: Callable[[World], object]) -> Callable[[World], None]:
    """A world that is ready to be composed, and then what is odd about it."""

    def arranged(world: World) -> None:
        draw_masks(world / "masks", draw_synth(world / "synth", world.model))
        arrange(world)

    return arranged


def listed(text: str) -> Callable[[World], None]:
    return masks_and(lambda world: (world / LIST).write_text(text))


def turned(world: World, less: int) -> None:
    """Every base photograph gets an EXIF turn; its label map is drawn on the stored pixels, ``less`` rows short."""
    for picture in (world / "base/JPEGImages").iterdir():
        path = world / f"base/SegmentationClass/{picture.stem}.png"
        labels = voc.read_label_map(path)
        exif_turned(picture, np.full((*labels.shape, 3), 100, np.uint8), 6)
        voc.write_label_map(path, np.rot90(labels)[less:])


def as_coco(world: World) -> Path:
    """The base folder in COCO's form: polygons, a crowd, ids with gaps, a bare picture and one that is not there."""
    root = world / "coco"
    (root / "annotations").mkdir(parents=True)
    (world / "base/JPEGImages").rename(root / "train2017")
    rmtree(world / "base")
    images = [{"id": 10 * n, "file_name": f"base{n}.jpg", "height": 40, "width": 56} for n in range(5)]
    square = [[2, 2, 20, 2, 20, 20, 2, 20]]
    crowd = {"size": [40, 56], "counts": [0, 400, 1840]}
    found = [
        {"id": 1, "image_id": 0, "category_id": 7, "segmentation": square, "iscrowd": 0},
        {"id": 2, "image_id": 10, "category_id": 90, "segmentation": crowd, "iscrowd": 1},
        {"id": 3, "image_id": 20, "category_id": 44, "segmentation": square, "iscrowd": 0},
    ]
    categories = [{"id": 90, "name": "bus"}, {"id": 7, "name": "lamp"}, {"id": 44, "name": "dog"}]
    path = root / "annotations" / "instances_train2017.json"
    path.write_text(json.dumps({"images": images, "annotations": found, "categories": categories}))
    return path


def coco_scenes(world: World, _: object) -> None:
    """Only the two pictures without a novel class are taken; the novel class that COCO names has its number there."""
    assert (world / "scenes/classes.txt").read_text() == "lamp\ndog\nbus\nchess queen\n"
    made = read_records(world / "scenes")
    assert {record.parameters["base"] for record in made.values()} <= {"base0.jpg", "base1.jpg"}
    for record in made.values():
        labels = voc.read_label_map(world / f"scenes/SegmentationClass/{record.id}.png")
        assert set(np.unique(labels)) <= {0, 2, 4, 1 if record.parameters["base"] == "base0.jpg" else 3}


def background_only(world: World, _: object) -> None:
    assert (world / "scenes/classes.txt").read_text() == "chess queen\ndog\n"
    for path in (world / "scenes/SegmentationClass").iterdir():
        assert 0 in np.unique(voc.read_label_map(path))
        assert set(np.unique(voc.read_label_map(path))) <= {0, 1, 2}


@table(
    Case("a list with endings", listed("base0.jpg\nbase1.jpg\n"), COMPOSE, "3 made", records("scenes", *THREE), 0),
    Case(
        "a list of one class",
        listed("base0  1\nbase1 -1\nbase2  0\n"),
        COMPOSE,
        "base/ImageSets/Segmentation/train.txt is a list of one class: 1 of its 3 pictures are in it",
        records("scenes", *THREE),
        0,
    ),
    Case(
        "a list of other names",
        listed("IMG_1\nIMG_2\n"),
        COMPOSE,
        "base: no base image can be used: base/JPEGImages/IMG_1: is in the list but has no picture",
        nothing("scenes"),
    ),
    Case(
        "label maps of another size",
        masks_and(lambda w: turned(w, less=1)),
        COMPOSE,
        ("no base image can be used: base/SegmentationClass/base", "expected a label map of 56 x 40", "got 40 x 55"),
        nothing("scenes"),
    ),
    Case(
        "turned photographs",
        masks_and(lambda w: turned(w, less=0)),
        COMPOSE,
        "base1.png is drawn on the unturned pixels of base1.jpg: it is turned with it",
        records("scenes", *THREE),
        0,
    ),
    Case(
        "a pipe among the photographs",
        masks_and(lambda w: (w / "base/JPEGImages/base1.jpg").unlink() or pipe(w / "base/JPEGImages/base1.jpg")),
        COMPOSE,
        "base/JPEGImages/base1.jpg: is no file, but a pipe",
        records("scenes", *THREE),
    ),
    Case(
        "a list that is a pipe",
        masks_and(lambda w: (w / LIST).unlink() or pipe(w / LIST)),
        COMPOSE,
        "base/ImageSets/Segmentation/train.txt: is no file, but a pipe",
        nothing("scenes"),
    ),
    Case(
        "a label map too large to open",
        masks_and(lambda w: bomb(w / "base/SegmentationClass/base0.png", 11_000)),
        COMPOSE,
        (
            "base/SegmentationClass/base0.png: cannot be read as a PNG label map: it is too large to open",
            "no: DecompressionBombWarning",
        ),
        records("scenes", *THREE),
    ),
    Case(
        "pictures in another form",
        masks_and(lambda w: [p.rename(p.with_suffix(".TIF")) for p in (w / "base/JPEGImages").iterdir()]),
        COMPOSE,
        "3 made",
        records("scenes", *THREE),
        0,
    ),
    Case(
        "every picture shows a novel class",
        masks_and(lambda w: voc.write_classes(w / "base", ["cat", "cup", "dog"])),
        COMPOSE,
        "none of its 4 images shows a labelled class, and none of those being pasted",
        nothing("scenes"),
    ),
    Case(
        "COCO",
        masks_and(as_coco),
        COMPOSE.replace("--base base", "--base coco"),
        "coco/annotations/instances_train2017.json: 1 of its pictures are not there: base4.jpg",
        all_of(records("scenes", *THREE), coco_scenes),
    ),
    Case(
        "COCO by its file",
        masks_and(as_coco),
        COMPOSE.replace("--base base", "--base coco/annotations/instances_train2017.json"),
        "3 made",
        coco_scenes,
    ),
    Case(
        "another JSON",
        masks_and(lambda w: (w / "other").mkdir() or (w / "other/package.json").write_text("{}")),
        COMPOSE.replace("--base base", "--base other"),
        "other/package.json: is not COCO's instances file",
        nothing("scenes"),
    ),
    Case(
        "photographs",
        masks_and(lambda w: (w / "base/JPEGImages").rename(w / "photos")),
        COMPOSE.replace("--base base", "--base photos"),
        ("photos: expected labelled scenes", "compose --unlabelled takes any folder of photographs"),
        nothing("scenes"),
    ),
    Case(
        "photographs as such",
        masks_and(lambda w: (w / "base/JPEGImages").rename(w / "photos")),
        COMPOSE.replace("--base base", "--base photos --unlabelled"),
        "base scenes without labels: all of them is background, 0",
        all_of(records("scenes", *THREE), background_only),
        0,
    ),
    Case(
        "photographs that cannot be read",
        masks_and(lambda w: text_file(w / "photos/a.jpg")),
        COMPOSE.replace("--base base", "--base photos --unlabelled"),
        "no base image can be used: photos/a.jpg: is no picture that can be read",
        nothing("scenes"),
    ),
)
def test_odd_bases(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)
