"""Small data sets laid out on the disk exactly as PASCAL VOC 2012 with SBD, COCO and FSS-1000 are when unpacked."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from aligndiff_cli.datasets.folds import COCO_CLASSES, COCO_IDS
from aligndiff_cli.disk.images import write_jpeg, write_png
from aligndiff_cli.disk.voc import write_label_map

HEIGHT, WIDTH = 48, 72
Box = tuple[int, int, int, int]
"""Top, left, bottom, right; pixels, the last two not included."""
BIG: Box = (6, 8, 40, 50)
SMALL: Box = (2, 54, 12, 68)


def draw(objects: list[tuple[int, Box]], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """A noisy photograph (48, 72, 3) with a coloured box per object, and its label map."""
    image = np.random.default_rng(seed).integers(90, 160, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    for number, (top, left, bottom, right) in objects:
        image[top:bottom, left:right] = (37 * number % 256, 91 * number % 256, 153 * number % 256)
        labels[top:bottom, left:right] = number
    return image, labels


def outlined(labels: np.ndarray) -> np.ndarray:
    """With the border of every object ignored, as VOC's own label maps have it."""
    inner = labels.copy()
    edge = np.zeros(labels.shape, bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    inner[edge] = 255
    return inner


VOC_TRAIN: dict[str, list[tuple[int, Box]]] = {
    **{f"2007_00{n}{k}": [(n, BIG), (1, SMALL)] for n in range(16, 21) for k in range(2)},
    "2008_both": [(16, BIG), (17, SMALL)],
    "2008_speck": [(16, SMALL)],
    "2008_plane": [(1, BIG)],
    "2008_birds": [(3, BIG), (2, SMALL)],
}
VOC_VAL: dict[str, list[tuple[int, Box]]] = {
    "2009_val0": [(16, BIG), (1, SMALL)],
    "2009_val1": [(3, BIG), (20, SMALL)],
    "2009_val2": [(18, SMALL)],
}
SBD_ONLY: dict[str, list[tuple[int, Box]]] = {"2010_cow": [(10, BIG)], "2010_tv": [(20, BIG)]}
"""In SBD and not in VOC's lists; SBD also labels photographs of both of those."""


def build_voc(devkit: Path, sbd: str) -> Path:
    """VOCdevkit/ for PASCAL-5i's fold 3.

    Args:
        devkit: folder to make.
        sbd: ``png`` for VOC2012/SegmentationClassAug/, ``mat`` for benchmark_RELEASE/dataset/cls/ beside VOCdevkit/.
    """
    voc = devkit / "VOC2012"
    for number, (stem, objects) in enumerate({**VOC_TRAIN, **VOC_VAL, **SBD_ONLY}.items()):
        image, labels = draw(objects, number)
        write_jpeg(voc / "JPEGImages" / f"{stem}.jpg", image)
        if stem not in SBD_ONLY:
            write_label_map(voc / "SegmentationClass" / f"{stem}.png", outlined(labels))
        if stem in SBD_ONLY or stem in ("2008_plane", "2009_val0"):
            if sbd == "png":
                write_png(voc / "SegmentationClassAug" / f"{stem}.png", labels)
            else:
                path = devkit.parent / "benchmark_RELEASE" / "dataset" / "cls" / f"{stem}.mat"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(mat_file(labels, compressed=number % 2 == 0))
    write_lists(voc)
    return devkit


def write_lists(voc: Path) -> None:
    lists = voc / "ImageSets" / "Segmentation"
    lists.mkdir(parents=True, exist_ok=True)
    for name, stems in (("train", VOC_TRAIN), ("val", VOC_VAL), ("trainval", {**VOC_TRAIN, **VOC_VAL})):
        (lists / f"{name}.txt").write_text("".join(f"{stem}\n" for stem in stems))


def mat_file(labels: np.ndarray, *, compressed: bool, order: str = "<") -> bytes:
    """SBD's struct GTcls (Boundaries, Segmentation, CategoriesPresent), as MATLAB saves it."""

    def element(kind: int, content: bytes) -> bytes:
        if 0 < len(content) <= 4:
            return struct.pack(f"{order}I", len(content) << 16 | kind) + content.ljust(4, b"\0")
        return struct.pack(f"{order}II", kind, len(content)) + content + b"\0" * (-len(content) % 8)

    def array(kind: int, rows: int, columns: int, name: str, *parts: bytes) -> bytes:
        flags, sizes = struct.pack(f"{order}II", kind, 0), struct.pack(f"{order}ii", rows, columns)
        head = element(6, flags) + element(5, sizes) + element(1, name.encode())
        return element(14, head + b"".join(parts))

    boundaries = array(1, 2, 1, "", array(6, 1, 1, "", element(9, bytes(8))), array(6, 0, 0, "", element(9, b"")))
    segmentation = array(9, *labels.shape, "", element(2, labels.tobytes(order="F")))
    present = np.unique(labels[labels > 0]).astype(np.uint8)
    categories = array(9, len(present), 1, "", element(2, present.tobytes()))
    names = b"".join(n.ljust(18, b"\0") for n in (b"Boundaries", b"Segmentation", b"CategoriesPresent"))
    fields = element(5, struct.pack(f"{order}i", 18)) + element(1, names)
    content = array(2, 1, 1, "GTcls", fields, boundaries, segmentation, categories)
    if compressed:
        packed = zlib.compress(content)
        content = struct.pack(f"{order}II", 15, len(packed)) + packed
    return b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(f"{order}HH", 0x0100, 0x4D49) + content


def polygon(box: Box) -> list[list[int]]:
    top, left, bottom, right = box
    return [[left, top, right, top, right, bottom, left, bottom]]


def build_coco(root: Path, year: int, novel: tuple[int, ...]) -> Path:
    """annotations/, train<year>/ and val<year>/: a photograph of each novel class, base photographs, two for val."""
    base = [number for number in range(1, 81) if number not in novel]
    train = [[(number, BIG), (base[0], SMALL)] for number in novel]
    train += [[(novel[0], BIG), (novel[1], SMALL)], [(base[0], BIG)], [(base[1], BIG), (base[2], SMALL)], []]
    val: list[list[tuple[int, Box]]] = [[(novel[0], BIG), (base[0], SMALL)], [(base[1], SMALL), (novel[2], BIG)]]
    for part, scenes in (("train", train), ("val", val)):
        _write_part(root, part, year, scenes)
    return root


def _write_part(root: Path, part: str, year: int, scenes: list[list[tuple[int, Box]]]) -> None:
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, objects in enumerate(scenes, 9):
        stem = f"{number:012d}" if year == 2017 else f"COCO_{part}{year}_{number:012d}"
        write_jpeg(root / f"{part}{year}" / f"{stem}.jpg", draw(objects, number)[0])
        images.append({"id": number, "file_name": f"{stem}.jpg", "height": HEIGHT, "width": WIDTH, "license": 1})
        for cls, box in objects:
            found = {"category_id": COCO_IDS[cls - 1], "segmentation": polygon(box), "iscrowd": 0}
            annotations.append({"id": len(annotations) + 1, "image_id": number, "area": 1.5, **found})
    categories = [{"id": i, "name": n.replace("_", " ")} for i, n in zip(COCO_IDS, COCO_CLASSES, strict=True)]
    path = root / "annotations" / f"instances_{part}{year}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))


def build_fss(root: Path, classes: tuple[str, ...], pairs: int = 10) -> Path:
    """ROOT/<class>/<1 to 10>.jpg and .png, masks as tinted_mask draws them; every third has an even alpha channel."""
    for at, name in enumerate(classes):
        for number in range(1, pairs + 1):
            image, labels = draw([(at + 1, BIG)], 100 * at + number)
            rgb = tinted_mask(labels > 0, 100 * at + number)
            write_jpeg(root / name / f"{number}.jpg", image)
            if number % 3:
                write_png(root / name / f"{number}.png", rgb)
            else:
                rgba = np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)])
                Image.fromarray(rgba).save(root / name / f"{number}.png")
    return root


def tinted_mask(mask: np.ndarray, seed: int) -> np.ndarray:
    """A mask as FSS-1000's are: RGB, white on black, softened along its border, channels a few levels apart there.

    Args:
        mask: bool (H, W); its border lies two pixels or more within the picture.

    Returns:
        uint8 (H, W, 3). Luminance is above half of white exactly where ``mask`` is true; no border pixel is grey.
    """
    inner = mask.copy()
    outer = mask.copy()
    for axis in (0, 1):
        for step in (1, -1):
            inner &= np.roll(mask, step, axis)
            outer |= np.roll(mask, step, axis)
    rng = np.random.default_rng(seed)
    levels = np.where(mask, 255, 0)
    levels = np.where(mask & ~inner, rng.integers(140, 245, mask.shape), levels)
    levels = np.where(outer & ~mask, rng.integers(10, 116, mask.shape), levels)
    tint = np.where((outer & ~inner)[..., None], rng.integers([1, -4, -9], [10, 0, -4], (*mask.shape, 3)), 0)
    return (levels[..., None] + tint).clip(0, 255).astype(np.uint8)
