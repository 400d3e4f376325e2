from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aligndiff_cli.disk import voc
from aligndiff_cli.errors import FolderError, InputError


@pytest.fixture
def labels() -> np.ndarray:
    values = np.zeros((7, 11), dtype=np.uint8)
    values[1:4, 2:9] = 5
    values[5, :3] = 20
    values[6, 10] = 255
    return values


@pytest.fixture
def folder(tmp_path: Path, labels: np.ndarray) -> Path:
    image = np.full((7, 11, 3), 100, dtype=np.uint8)
    for stem in ("a", "b with space"):
        voc.write_item(tmp_path, stem, image, labels)
    voc.write_split(tmp_path, "train", ["b with space", "a"])
    voc.write_classes(tmp_path, [f"class {i}" for i in range(1, 21)])
    return tmp_path


# the palette and label maps


def test_palette_is_vocs() -> None:
    # the first colours of the VOC development kit, and its void colour
    expected = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128)]
    expected += [(0, 128, 128), (128, 128, 128), (64, 0, 0)]
    palette = voc.voc_palette()
    assert [tuple(colour) for colour in palette[:9].tolist()] == expected
    assert tuple(palette[15].tolist()) == (192, 128, 128)  # person
    assert tuple(palette[255].tolist()) == (224, 224, 192)
    assert len(np.unique(palette, axis=0)) == 256


def test_label_map_is_a_palette_png_that_plain_pillow_reads(tmp_path: Path, labels: np.ndarray) -> None:
    path = tmp_path / "deep" / "map.png"
    voc.write_label_map(path, labels.astype(np.int64))
    with Image.open(path) as picture:
        assert picture.mode == "P"
        assert picture.size == (11, 7)
        np.testing.assert_array_equal(np.array(picture), labels)
        assert picture.convert("RGB").getpixel((2, 1)) == (128, 0, 128)
    np.testing.assert_array_equal(voc.read_label_map(path), labels)


@pytest.mark.parametrize("kind", ["grey", "grey16", "grey with alpha", "colours", "colours with alpha"])
def test_other_encodings_of_the_same_labels_are_read(tmp_path: Path, labels: np.ndarray, kind: str) -> None:
    grey, colours = Image.fromarray(labels), Image.fromarray(voc.voc_palette()[labels])
    picture = {
        "grey": grey,
        "grey16": Image.fromarray(labels.astype(np.uint16)),
        "grey with alpha": grey.convert("LA"),
        "colours": colours,
        "colours with alpha": colours.convert("RGBA"),
    }[kind]
    picture.save(tmp_path / "map.png")
    read = voc.read_label_map(tmp_path / "map.png")
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, labels)


def test_every_colour_maps_back_to_its_index(tmp_path: Path) -> None:
    everything = np.arange(256, dtype=np.uint8).reshape(8, 32)
    Image.fromarray(voc.voc_palette()[everything]).save(tmp_path / "map.png")
    np.testing.assert_array_equal(voc.read_label_map(tmp_path / "map.png"), everything)


def test_strange_colours_and_values_are_named(tmp_path: Path) -> None:
    path = tmp_path / "map.png"
    Image.new("RGB", (3, 2), (1, 2, 3)).save(path)
    with pytest.raises(InputError, match=r"map\.png: expected class indices or VOC's colours, got the colour #010203"):
        voc.read_label_map(path)
    Image.new("RGB", (3, 2), (255, 255, 255)).save(path)
    with pytest.raises(InputError, match="#ffffff"):
        voc.read_label_map(path)
    Image.fromarray(np.full((2, 3), 300, dtype=np.uint16)).save(path)
    with pytest.raises(InputError, match="from 0 to 255, got 300"):
        voc.read_label_map(path)


def test_missing_damaged_and_lossy_label_maps_are_named(tmp_path: Path, labels: np.ndarray) -> None:
    path = tmp_path / "map.png"
    with pytest.raises(InputError, match="no such label map"):
        voc.read_label_map(path)
    voc.write_label_map(path, labels)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="cannot be read as a PNG label map"):
        voc.read_label_map(path)
    Image.fromarray(labels).save(tmp_path / "jpeg.png", "JPEG")
    with pytest.raises(InputError, match="cannot be read as a PNG label map"):
        voc.read_label_map(tmp_path / "jpeg.png")


def test_labels_out_of_range_are_not_written(tmp_path: Path) -> None:
    for value in (-1, 256):
        with pytest.raises(ValueError, match=r"\[0, 255\]"):
            voc.write_label_map(tmp_path / "map.png", np.full((2, 3), value))


# folders


def test_folder_is_read_in_the_order_of_its_list(folder: Path, labels: np.ndarray) -> None:
    opened = voc.open_voc(folder)
    assert opened.stems == ["b with space", "a"]
    assert opened.classes is not None
    assert opened.classes[4] == "class 5"
    image, read = opened.load("b with space")
    assert image.shape == (7, 11, 3)
    assert image.dtype == np.uint8
    assert np.abs(image.astype(int) - 100).max() <= 2
    np.testing.assert_array_equal(read, labels)
    assert opened.present("a") == {5, 20}


def test_a_stock_reader_finds_every_file(folder: Path, labels: np.ndarray) -> None:
    # the steps of torchvision's VOCSegmentation, with Pillow alone
    names = (folder / "ImageSets" / "Segmentation" / "train.txt").read_text().splitlines()
    for name in names:
        with Image.open(folder / "JPEGImages" / f"{name}.jpg") as picture:
            assert picture.convert("RGB").size == (11, 7)
            assert picture.format == "JPEG"
        with Image.open(folder / "SegmentationClass" / f"{name}.png") as picture:
            np.testing.assert_array_equal(np.array(picture), labels)


def test_same_item_same_bytes(folder: Path, labels: np.ndarray) -> None:
    def read() -> list[bytes]:
        return [path.read_bytes() for path in sorted(folder.rglob("a.*"))]

    before = read()
    voc.write_item(folder, "a", np.full((7, 11, 3), 100, dtype=np.uint8), labels)
    assert len(before) == 2
    assert read() == before


def test_item_errors_name_the_item(folder: Path) -> None:
    opened = voc.open_voc(folder)
    with pytest.raises(InputError, match="ghost: is in the list but has no picture"):
        opened.load("ghost")
    (folder / "SegmentationClass" / "a.png").unlink()
    with pytest.raises(InputError, match=r"a\.png: there is no such label map"):
        opened.load("a")
    voc.write_label_map(folder / "SegmentationClass" / "a.png", np.zeros((11, 7), dtype=np.uint8))
    with pytest.raises(InputError, match=r"a\.png: expected a label map of 11 x 7 .* got 7 x 11"):
        opened.load("a")
    voc.write_label_map(folder / "SegmentationClass" / "a.png", np.full((7, 11), 21, dtype=np.uint8))
    with pytest.raises(InputError, match=r"expected classes 0 to 20 .* got 21"):
        opened.load("a")


def test_without_a_class_list_every_index_is_read(folder: Path) -> None:
    (folder / "classes.txt").unlink()
    voc.write_label_map(folder / "SegmentationClass" / "a.png", np.full((7, 11), 200, dtype=np.uint8))
    opened = voc.open_voc(folder)
    assert opened.classes is None
    assert opened.present("a") == {200}


def test_two_pictures_of_one_stem_are_named(folder: Path) -> None:
    Image.new("RGB", (11, 7)).save(folder / "JPEGImages" / "a.png")
    with pytest.raises(InputError, match=r"expected one picture, got a\.jpg and a\.png"):
        voc.open_voc(folder).load("a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the list is empty"),
        ("\n\n", "the list is empty"),
        ("../a\n", "got '../a'"),
        ("/JPEGImages/a.jpg /SegmentationClass/a.png\n", "file's name without its ending"),
    ],
)
def test_bad_lists_are_refused(folder: Path, text: str, message: str) -> None:
    (folder / "ImageSets" / "Segmentation" / "train.txt").write_text(text)
    with pytest.raises(FolderError, match=message):
        voc.open_voc(folder)


def test_what_is_no_voc_folder_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(FolderError, match=r"no list of the split 'val' \(found: train\)"):
        voc.open_voc(folder, "val")
    (tmp_path / "other").mkdir()
    with pytest.raises(FolderError, match="found no JPEGImages/"):
        voc.open_voc(tmp_path / "other")


@pytest.mark.parametrize(
    ("text", "expected"),
    [("dog\ncafé cup\n", ["dog", "café cup"]), ("background\ndog\n", ["dog"]), ("﻿dog\r\ncat\r\n\n", ["dog", "cat"])],
)
def test_class_lists(tmp_path: Path, text: str, expected: list[str]) -> None:
    (tmp_path / "classes.txt").write_text(text, encoding="utf-8", newline="")
    assert voc.read_classes(tmp_path) == expected


@pytest.mark.parametrize("text", ["", "dog\ndog\n", "dog\n\ncat\n"])
def test_bad_class_lists_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(FolderError, match="a different class name on each line"):
        voc.read_classes(tmp_path)
