from __future__ import annotations

from pathlib import Path

import numpy as np
import yaml

from aligndiff_cli.disk import yolo

IMAGE = np.full((20, 40, 3), 90, np.uint8)


def test_pasted_objects_and_every_part_of_the_base_become_lines(tmp_path: Path) -> None:
    labels = np.zeros((20, 40), np.uint8)
    labels[2:8, 2:12] = 1  # two parts of a base class
    labels[12:18, 2:12] = 1
    labels[4:12, 20:30] = 3
    labels[0, :] = 255
    labels[19, 39] = 2  # too small

    found, dropped = yolo.outlines(labels, [(3, labels == 3)], 16, 255)
    yolo.write_item(tmp_path, "train", "scene", IMAGE, found)

    lines = (tmp_path / "labels/train/scene.txt").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["2", "0", "0"]
    numbers = np.array(lines[1].split()[1:], float).reshape(-1, 2)
    assert numbers.min(axis=0).tolist() == [2 / 40, 2 / 20]
    assert numbers.max(axis=0).tolist() == [12 / 40, 8 / 20]
    assert dropped == 1
    image, drawn = yolo.read_item(tmp_path, "train", "scene")
    assert image.shape == IMAGE.shape
    wanted = np.where((labels == 255) | (labels == 2), 0, labels)
    assert (drawn != wanted).sum() <= 12  # corners are cut by half a pixel


def test_a_picture_without_objects_has_an_empty_file(tmp_path: Path) -> None:
    found, dropped = yolo.outlines(np.zeros((20, 40), np.uint8), [(1, np.zeros((20, 40), bool))], 1, 255)
    yolo.write_item(tmp_path, "val", "empty", IMAGE, found)

    assert (tmp_path / "labels/val/empty.txt").read_text() == ""
    assert dropped == 1


def test_data_yaml_counts_classes_from_zero_and_always_names_a_val(tmp_path: Path) -> None:
    yolo.write_data(tmp_path, ["café", "yes"], val=False, license="cc0-1.0")

    data = yaml.safe_load((tmp_path / "data.yaml").read_text(encoding="utf-8"))
    assert data["names"] == {0: "café", 1: "yes"}
    assert (data["train"], data["val"]) == ("images/train", "images/train")
    assert data["license"] == "cc0-1.0"
    yolo.write_data(tmp_path, ["a"], val=True, license="")
    assert yaml.safe_load((tmp_path / "data.yaml").read_text()) == {
        "train": "images/train",
        "val": "images/val",
        "names": {0: "a"},
    }
