"""What leaves the house: masks alone and composed scenes, each opened by the readers of its form."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image, ImageDraw

from aligndiff_cli.disk import voc
from aligndiff_cli.disk.images import read_image, read_mask, write_png
from aligndiff_cli.engine.manifest import ManifestWriter, Record
from aligndiff_cli.engine.run_file import RunFile, write_run
from tests.cli.conftest import Run
from tests.cli.test_chain import tree_bytes
from tests.cli.world import NOVEL, World, shape

pytestmark = pytest.mark.slow

Sets = tuple[list[str], Callable[[str], tuple[np.ndarray, np.ndarray]]]
"""Stems, and a way to read the picture and the labels of one."""


@pytest.fixture
def masks(world: World) -> Path:
    """synth/ and masks/ of 32 x 48 pixels, four samples of each class; the last mask of a class is empty."""
    synth, folder, rng = world / "synth", world / "masks", np.random.default_rng(5)
    write_run(synth, RunFile("generate", {"mask_threshold": 0.4}, 0))
    write_run(folder, RunFile("mask", {"attention_threshold": 0.4}, 0, {"images": "../synth"}))
    with ManifestWriter(synth) as images, ManifestWriter(folder) as refined:
        for number, cls in enumerate(NOVEL):
            for sample in range(4):
                item_id = f"{cls}/text-{sample}"
                image, mask = shape(rng, 32, 48, number)
                mask &= sample < 3
                write_png(synth / "images" / f"{item_id}.png", image)
                write_png(folder / "masks" / f"{item_id}.png", mask.astype(np.uint8) * 255)
                images.commit(Record(item_id, cls, {}, {}, {"kind": "text"}))
                refined.commit(Record(item_id, cls, {}, {}, {"kind": "text"}, {"area": float(mask.mean())}))
    return folder


def export(masks: Path, form: str) -> list[object]:
    return ["export", "--masks", masks, "--format", form, "--out", masks.parent / form]


def compose(world: World, masks: Path, form: str) -> list[object]:
    command = ["compose", "--foregrounds", masks, "--base", world / "base", "--out", world / form, "--format", form]
    return [*command, "--count", 6, "--memory", 3, *(["--min-area", 1] if form == "coco" else [])]


def open_voc(root: Path) -> Sets:
    """As the readers of VOC's layout do: a list of stems, a photograph and a palette picture for each."""
    stems = (root / "ImageSets/Segmentation/train.txt").read_text().split()

    def read(stem: str) -> tuple[np.ndarray, np.ndarray]:
        with Image.open(root / f"SegmentationClass/{stem}.png") as picture:
            assert picture.mode == "P"
            labels = np.asarray(picture)
        return np.asarray(Image.open(root / f"JPEGImages/{stem}.jpg").convert("RGB")), labels

    return stems, read


def open_coco(root: Path) -> Sets:
    """With pycocotools, by a picture's annotations, the later ones on top."""
    found = pytest.importorskip("pycocotools.coco").COCO(str(root / "annotations/instances_train.json"))
    images = {Path(image["file_name"]).stem: image for image in found.loadImgs(found.getImgIds())}

    def read(stem: str) -> tuple[np.ndarray, np.ndarray]:
        labels = np.zeros((images[stem]["height"], images[stem]["width"]), np.uint8)
        for annotation in found.loadAnns(found.getAnnIds(images[stem]["id"])):
            labels[found.annToMask(annotation) > 0] = annotation["category_id"]
        return np.asarray(Image.open(root / "JPEGImages" / images[stem]["file_name"]).convert("RGB")), labels

    return list(images), read


def open_hf(root: Path) -> Sets:
    """With Hugging Face's own library."""
    datasets = pytest.importorskip("datasets")
    found = datasets.load_dataset(
        "imagefolder", data_dir=str(root), split="train", cache_dir=str(root.parent / "cache")
    )
    names = json.loads((root / "id2label.json").read_text())
    stems = [json.loads(line)["file_name"] for line in (root / "train/metadata.jsonl").read_text().splitlines()]
    rows = {Path(name).stem: row for name, row in zip(stems, found, strict=True)}

    def read(stem: str) -> tuple[np.ndarray, np.ndarray]:
        labels = np.asarray(rows[stem]["mask"])
        shown = sorted(set(np.unique(labels).tolist()) - {0, 255})
        assert rows[stem]["classes"] == [names[str(number)] for number in shown]
        return np.asarray(rows[stem]["image"].convert("RGB")), labels

    return list(rows), read


def open_yolo(root: Path) -> Sets:
    """As Ultralytics does: the pictures of ``train``, a text file of polygons for each, the later ones on top."""
    told = yaml.safe_load((root / "data.yaml").read_text())
    pictures = {path.stem: path for path in sorted((root / told["train"]).iterdir())}

    def read(stem: str) -> tuple[np.ndarray, np.ndarray]:
        image = np.asarray(Image.open(pictures[stem]).convert("RGB"))
        fine = Image.new("L", (8 * image.shape[1], 8 * image.shape[0]))
        for line in (root / "labels" / "train" / f"{stem}.txt").read_text().splitlines():
            number, *numbers = line.split()
            corners = np.float64(numbers).reshape(-1, 2) * fine.size
            ImageDraw.Draw(fine).polygon([tuple(xy) for xy in corners], fill=1 + int(number))
        return image, np.asarray(fine)[4::8, 4::8]

    return list(pictures), read


OPEN = {"voc": open_voc, "coco": open_coco, "hf": open_hf, "yolo": open_yolo}


def assert_same_labels(found: np.ndarray, expected: np.ndarray, form: str) -> None:
    """The same in each pixel; polygons, which cut the corners of these few pixels, nearly so."""
    if form != "yolo":
        np.testing.assert_array_equal(found, expected)
        return
    for number in np.unique(expected):
        inside, true = found == number, expected == number
        assert (inside & true).sum() >= 0.95 * (inside | true).sum(), number


@pytest.mark.parametrize("form", OPEN)
def test_masks_alone_are_opened_by_the_readers_of_each_form(world: World, run: Run, masks: Path, form: str) -> None:
    assert "6 made" in run(*export(masks, form)).output
    stems, read = OPEN[form](world / form)
    assert sorted(stems) == [f"{cls}_text-{sample}" for cls in NOVEL for sample in range(3)]
    for stem in stems:
        cls, _, name = stem.rpartition("_")
        image, labels = read(stem)
        expected = read_mask(masks / "masks" / cls / f"{name}.png")
        assert_same_labels(labels, expected * np.uint8(1 + NOVEL.index(cls)), form)
        original = read_image(world / "synth" / "images" / cls / f"{name}.png")
        assert np.abs(image.astype(int) - original).mean() < 6


@pytest.mark.parametrize("form", OPEN)
def test_scenes_are_opened_by_the_readers_of_each_form_with_the_same_labels(
    world: World, run: Run, masks: Path, form: str
) -> None:
    run(*compose(world, masks, "voc"))
    _, expected = open_voc(world / "voc")
    if form != "voc":
        run(*compose(world, masks, form))
    stems, read = OPEN[form](world / form)
    assert sorted(stems) == [f"scene-{number:06d}" for number in range(6)]
    for stem in stems:
        (image, labels), (same_image, same_labels) = read(stem), expected(stem)
        np.testing.assert_array_equal(image, same_image)
        assert_same_labels(labels, same_labels, form)


def test_an_export_is_resumed_shared_and_the_same_every_time(world: World, run: Run, masks: Path) -> None:
    run(*export(masks, "hf"))
    before = tree_bytes(world / "hf")
    assert "0 made, 6 already there" in run(*export(masks, "hf")).output
    (world / "hf" / "train" / "masks" / "dog_text-1.png").unlink()
    (world / "hf" / "README.md").unlink()
    assert "1 made, 5 already there" in run(*export(masks, "hf")).output
    assert tree_bytes(world / "hf") == before
    for number in (2, 1):
        run(*export(masks, "hf"), "--out", world / "set" / "hf", "--shard", f"{number}/2")
    shared = tree_bytes(world / "set" / "hf")
    assert {name: shared[name] for name in before if name != "run.yaml"} == {
        name: data for name, data in before.items() if name != "run.yaml"
    }


def test_what_cannot_be_exported_is_said(world: World, run: Run, masks: Path) -> None:
    told = " ".join(run(*export(masks, "tfrecord"), code=2).output.replace("│", " ").split())
    assert "expected one of voc, coco, hf, yolo, got 'tfrecord'" in told
    (masks.parent / "synth" / "images" / "dog" / "text-0.png").unlink()
    output = " ".join(run(*export(masks, "voc"), code=1).output.split())
    assert "text-0.png" in output
    assert "5 made" in output
    with ManifestWriter(masks) as manifest, ManifestWriter(world / "synth") as images:
        images.commit(Record("bus/text-0", "bus", {}, {}, {"kind": "text"}))
        manifest.commit(Record("bus/text-0", "bus", {}, {}, {"kind": "text"}, {"area": 0.5}))
    for place in (world / "synth" / "images", masks / "masks"):
        (place / "bus").mkdir()
        shutil.copy(place / "dog" / "text-1.png", place / "bus" / "text-0.png")
    output = " ".join(run(*export(masks, "voc"), code=1).output.split())
    assert "was made with classes = ['chess queen', 'dog'], now it is ['bus', 'chess queen', 'dog']" in output


def test_masks_without_their_files_are_nothing_to_paste(world: World, masks: Path, run: Run) -> None:
    shutil.rmtree(world / "synth" / "images")
    output = run(*compose(world, masks, "voc"), code=1).output
    assert "not one of its masks can be used" in output
    assert "text-0.png: cannot be read" in output


def test_long_and_odd_paths_are_told_whole(masks: Path, run: Run) -> None:
    out = masks.parent / "[bold]" / ("a folder " * 10).strip() / "voc"
    told = run("export", "--masks", masks, "--out", out).output
    assert f"Results: {out}/\n" in told
    assert f"Picture: {out}/pictures/samples.png\n" in told
    assert f"{out} " in run("status", out).output


def test_the_scale_of_pasted_objects_is_of_the_frame_or_of_pixels(world: World, masks: Path, run: Run) -> None:
    # objects of pictures of 32 x 48 pixels, base images of 40 x 56: in pixels they are smaller
    flags = ["--scale-low", 1, "--scale-high", 1, "--max-objects", 1, "--count", 8]
    areas = {}
    for scale_of in ("frame", "pixels"):
        out = world / scale_of
        command = ["compose", "--foregrounds", masks, "--base", world / "base", "--out", out, *flags]
        run(*command, "--scale-of", scale_of)
        opened = voc.open_voc(out)
        areas[scale_of] = [int(np.isin(opened.labels(stem), [1, 2]).sum()) for stem in opened.stems]
    ratios = np.array(areas["frame"]) / np.array(areas["pixels"])
    np.testing.assert_allclose(ratios, (56 / 48) ** 2, rtol=0.15)
    output = run(*command, "--scale-of", "other", code=2).output
    assert "'--scale-of': expected one of frame, pixels, got 'other'" in " ".join(output.replace("│", " ").split())
