"""Pictures with objects, written in each form of annotations that people have."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from contourpy import contour_generator
from PIL import Image

from aligndiff_cli.disk import voc
from aligndiff_cli.disk.coco_masks import encode_rle
from aligndiff_cli.disk.images import write_jpeg, write_png


@dataclass(frozen=True)
class Scene:
    """One picture, uint8 (H, W, 3), with its objects: class and mask, bool (H, W)."""

    stem: str
    image: np.ndarray
    objects: Sequence[tuple[str, np.ndarray]]

    @property
    def size(self) -> tuple[int, int]:
        return self.image.shape[:2]  # type: ignore[return-value]


def box(height: int, width: int, top: int, left: int, bottom: int, right: int) -> np.ndarray:
    """A mask of a rectangle of whole pixels."""
    mask = np.zeros((height, width), bool)
    mask[top:bottom, left:right] = True
    return mask


def scene(stem: str, size: tuple[int, int], *objects: tuple[str, tuple[int, int, int, int]], seed: int = 0) -> Scene:
    """A picture of noise with rectangles (top, left, bottom, right)."""
    image = np.random.default_rng(seed).integers(60, 200, (*size, 3), dtype=np.uint8)
    masks = [(cls, box(*size, *corners)) for cls, corners in objects]
    for number, (_, mask) in enumerate(masks):
        image[mask] = (250, 30 + 40 * number, 30)
    return Scene(stem, image, masks)


SCENES = (
    scene("a", (40, 60), ("dog", (10, 10, 30, 40))),  # the largest, clean
    scene("b", (60, 40), ("dog", (10, 10, 30, 26)), ("cat", (40, 20, 50, 30))),  # smaller, clean
    scene("c", (40, 60), ("dog", (0, 5, 35, 30))),  # larger, but at the frame
    scene("d", (40, 60), ("dog", (5, 5, 20, 25)), ("dog", (22, 30, 35, 50))),  # two alike
    scene("e", (50, 50), ("cat", (10, 10, 40, 40)), ("tea pot", (2, 2, 8, 9))),
    scene("f", (50, 50), ("tea pot", (10, 10, 40, 40))),
)
"""Of dog, a (600 of 2400 pixels) and b (320) are clean; c (875) touches the frame, d (300) has another (260)."""
CLASSES = ("cat", "dog", "tea pot")


def outline(mask: np.ndarray) -> list[list[float]]:
    """The longest outline of a mask, as corners x, y in pixels from the picture's corner."""
    padded = np.pad(mask, 1).astype(float)
    lines = contour_generator(z=padded).lines(0.5)
    longest = max(lines, key=len)
    return [[round(float(x) - 0.5, 3), round(float(y) - 0.5, 3)] for x, y in longest[:-1]]


def write_pictures(folder: Path, scenes: Sequence[Scene]) -> None:
    for own in scenes:
        write_jpeg(folder / f"{own.stem}.jpg", own.image)


def as_coco(
    root: Path, scenes: Sequence[Scene] = SCENES, form: str = "polygon", classes: Sequence[str] = CLASSES
) -> Path:
    """``annotations/instances_default.json`` and ``images/``, as CVAT has them; form: polygon, packed, runs or box."""
    write_pictures(root / "images", scenes)
    content: dict[str, Any] = {
        "images": [
            {"id": n, "file_name": f"{own.stem}.jpg", "height": own.size[0], "width": own.size[1]}
            for n, own in enumerate(scenes, 1)
        ],
        "categories": [{"id": 10 * n, "name": name} for n, name in enumerate(classes, 1)],
        "annotations": [],
    }
    for n, own in enumerate(scenes, 1):
        for cls, mask in own.objects:
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            left, top = int(columns[0]), int(rows[0])
            annotation = {
                "id": len(content["annotations"]) + 1,
                "image_id": n,
                "category_id": 10 * (classes.index(cls) + 1),
                "iscrowd": 0,
                "bbox": [left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top],
                "segmentation": segmentation(mask, form),
            }
            content["annotations"].append(annotation)
    return write_json(root / "annotations" / "instances_default.json", content)


def segmentation(mask: np.ndarray, form: str) -> Any:
    if form == "polygon":
        return [np.ravel(outline(mask)).tolist()]
    if form == "packed":
        return encode_rle(mask)
    if form == "runs":
        flat = np.r_[False, mask.ravel("F")]
        ends = np.flatnonzero(np.diff(flat.astype(int)))
        return {"size": list(mask.shape), "counts": np.diff(np.r_[0, ends, mask.size]).tolist()}
    return []


def as_labelme(root: Path, scenes: Sequence[Scene] = SCENES, form: str = "polygon") -> Path:
    """A JSON beside each picture; form: polygon, mask or rectangle."""
    write_pictures(root, scenes)
    for own in scenes:
        shapes = [{"label": cls, "group_id": None, "flags": {}, **shape(mask, form)} for cls, mask in own.objects]
        write_labelme(root / f"{own.stem}.json", shapes, own.size)
    return root


def write_labelme(
    path: Path, shapes: list[dict[str, Any]], size: tuple[int, int], picture: str = "", inside: Any = None
) -> None:
    content = {"version": "5.4.1", "imagePath": picture or f"{path.stem}.jpg", "imageData": inside, "shapes": shapes}
    write_json(path, content | {"imageHeight": size[0], "imageWidth": size[1]})


def shape(mask: np.ndarray, form: str) -> dict[str, Any]:
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    left, top, right, bottom = int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])
    if form == "mask":
        buffer = io.BytesIO()
        Image.fromarray(mask[top : bottom + 1, left : right + 1]).save(buffer, "PNG")
        packed = base64.b64encode(buffer.getvalue()).decode()
        return {"shape_type": "mask", "points": [[left, top], [right, bottom]], "mask": packed}
    if form == "rectangle":
        return {"shape_type": "rectangle", "points": [[right + 1, top], [left, bottom + 1]]}
    return {"shape_type": "polygon", "points": outline(mask)}


def as_voc(root: Path, scenes: Sequence[Scene] = SCENES, classes: Sequence[str] = CLASSES) -> Path:
    """JPEGImages/, SegmentationClass/ and SegmentationObject/ in palette PNGs, and labelme2voc's class_names.txt."""
    write_pictures(root / voc.PICTURES, scenes)
    for own in scenes:
        labels, objects = np.zeros(own.size, np.uint8), np.zeros(own.size, np.uint8)
        for number, (cls, mask) in enumerate(own.objects, 1):
            labels[mask], objects[mask] = classes.index(cls) + 1, number
        voc.write_label_map(root / voc.LABELS / f"{own.stem}.png", labels)
        voc.write_label_map(root / "SegmentationObject" / f"{own.stem}.png", objects)
    (root / "class_names.txt").write_text("".join(f"{name}\n" for name in ("_background_", *classes)))
    return root


def as_cvat_voc(root: Path, scenes: Sequence[Scene] = SCENES, classes: Sequence[str] = CLASSES) -> Path:
    """The same in colours of a labelmap.txt, as CVAT's "Segmentation mask" has them, with SegmentationObject/."""
    colours = {cls: (60 * n, 20, 200) for n, cls in enumerate(classes, 1)}
    write_pictures(root / voc.PICTURES, scenes)
    for own in scenes:
        painted, objects = np.zeros((*own.size, 3), np.uint8), np.zeros(own.size, np.uint8)
        for number, (cls, mask) in enumerate(own.objects, 1):
            painted[mask] = colours[cls]
            objects[mask] = number
        write_png(root / voc.LABELS / f"{own.stem}.png", painted)
        voc.write_label_map(root / "SegmentationObject" / f"{own.stem}.png", objects)
    lines = [f"{cls}:{red},{green},{blue}::" for cls, (red, green, blue) in colours.items()]
    (root / "labelmap.txt").write_text("\n".join(["# label:color_rgb:parts:actions", "background:0,0,0::", *lines]))
    return root


def as_yolo(
    root: Path, scenes: Sequence[Scene] = SCENES, form: str = "polygon", classes: Sequence[str] = CLASSES
) -> Path:
    """data.yaml, images/train/ and labels/train/; form: polygon or box."""
    write_pictures(root / "images" / "train", scenes)
    (root / "labels" / "train").mkdir(parents=True)
    for own in scenes:
        lines = [yolo_line(mask, form, classes.index(cls)) for cls, mask in own.objects]
        (root / "labels" / "train" / f"{own.stem}.txt").write_text("\n".join(lines) + "\n")
    listing = {"path": ".", "train": "images/train", "val": "images/train", "names": dict(enumerate(classes))}
    (root / "data.yaml").write_text(yaml.safe_dump(listing))
    return root


def yolo_line(mask: np.ndarray, form: str, number: int) -> str:
    height, width = mask.shape
    if form == "polygon":
        return " ".join([str(number), *(f"{x / width:.6f} {y / height:.6f}" for x, y in outline(mask))])
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    shares = ((left + right) / 2 / width, (top + bottom) / 2 / height, (right - left) / width, (bottom - top) / height)
    return " ".join([str(number), *(f"{share:.6f}" for share in shares)])


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path
