from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from aligndiff_cli.engine.manifest import Record
from aligndiff_cli.stages.formats import VocFormat, make_format

STEMS = [f"scene-{number:03d}" for number in range(20)]


def written(out: Path, form: str, license: str = "") -> VocFormat:
    own = make_format(form, out, 1, 0.3, license)
    labels = np.zeros((8, 12), np.uint8)
    labels[2:6, 3:9] = 1
    image = np.full((8, 12, 3), 40, np.uint8)
    records = {}
    for stem in STEMS:
        files, measured = own.write(stem, image, labels, [(1, labels == 1)])
        records[stem] = Record(stem, "", {}, dict.fromkeys(files, ""), {}, measured)
    own.finish(records, ["dog"], "How.")
    return own


def test_the_name_alone_says_the_split() -> None:
    own = make_format("voc", Path("unused"), 1, 0.3, "")
    splits = own.splits(dict.fromkeys(STEMS))  # type: ignore[arg-type]
    fewer = own.splits(dict.fromkeys(STEMS[::2]))  # type: ignore[arg-type]

    assert 2 <= len(splits["val"]) <= 10
    assert not set(splits["val"]) & set(splits["train"])
    assert sorted(splits["val"] + splits["train"]) == STEMS
    assert set(fewer["val"]) <= set(splits["val"])
    assert make_format("voc", Path("unused"), 1, 0.0, "").splits(dict.fromkeys(STEMS)) == {"train": STEMS}  # type: ignore[arg-type]


def split_lists(out: Path, form: str) -> list[list[str]]:
    """Stems of train and val, as a reader of the form finds them."""
    if form == "voc":
        return [(out / f"ImageSets/Segmentation/{split}.txt").read_text().split() for split in ("train", "val")]
    if form == "coco":
        found = [json.loads((out / f"annotations/instances_{split}.json").read_text()) for split in ("train", "val")]
        return [[Path(image["file_name"]).stem for image in one["images"]] for one in found]
    folders = {"hf": ("train/images", "validation/images"), "yolo": ("images/train", "images/val")}[form]
    return [sorted(path.stem for path in (out / folder).iterdir()) for folder in folders]


@pytest.mark.parametrize("form", ["voc", "coco", "hf", "yolo"])
def test_both_splits_are_there_for_the_readers_of_each_form(tmp_path: Path, form: str) -> None:
    own = written(tmp_path, form)
    expected = own.splits(dict.fromkeys(STEMS))  # type: ignore[arg-type]

    assert split_lists(tmp_path, form) == [expected["train"], expected["val"]]
    image, labels = own.read(expected["val"][0])
    assert image.shape == (8, 12, 3)
    assert (labels[3:5, 4:8] == 1).all()
    assert labels[0].sum() == 0


def test_the_licence_is_told_where_each_form_has_a_place_for_it(tmp_path: Path) -> None:
    for form in ("coco", "hf", "yolo"):
        written(tmp_path / form, form, "cc-by-4.0")

    found = json.loads((tmp_path / "coco/annotations/instances_val.json").read_text())
    assert found["info"]["description"] == "How."
    assert found["licenses"] == [{"id": 1, "name": "cc-by-4.0", "url": ""}]
    assert {image["license"] for image in found["images"]} == {1}
    card = (tmp_path / "hf/README.md").read_text()
    assert card.startswith("---\nlicense: cc-by-4.0\n")
    assert "add `license:`" not in card
    assert "split: validation" in card
    assert "license: cc-by-4.0" in (tmp_path / "yolo/data.yaml").read_text()
