"""How long composing a scene takes; run by ``make bench``. The physical floor is copying the picture once."""

from __future__ import annotations

import time

import numpy as np
from PIL import Image

from aligndiff_cli.disk.coco import scene_annotations
from aligndiff_cli.method.composition import Cutout, cut_out, paste, sample_layout
from aligndiff_cli.method.memory import class_balanced_subset

SCENES = 20
BILINEAR = Image.Resampling.BILINEAR


def disc(side: int) -> Cutout:
    """A disc that fills four fifths of a generated picture."""
    y, x = np.mgrid[:side, :side] / side - 0.5
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return cut_out(image, x**2 + y**2 < 0.16, 1, "disc")


def time_a_scene() -> None:
    """Paste and annotate, against bringing the object to its size with Pillow and copying the scene: the floor."""
    cutout, rng = disc(512), np.random.default_rng(0)
    image = np.zeros((375, 500, 3), dtype=np.uint8)
    labels = np.zeros((375, 500), dtype=np.uint8)
    picture = Image.fromarray(cutout.image)
    times = dict.fromkeys(("floor", "paste", "annotate"), 0.0)
    objects = 0
    for _ in range(SCENES):
        layout = sample_layout(rng, [(1, 0)])
        objects += len(layout)
        start = time.perf_counter()
        for placement in layout:
            fit = placement.scale * min(375 / 512, 500 / 512)
            picture.resize((max(1, round(picture.width * fit)), max(1, round(picture.height * fit))), BILINEAR)
        image.copy()
        first = time.perf_counter()
        scene = paste(image, labels, [(cutout, placement) for placement in layout])
        second = time.perf_counter()
        scene_annotations(scene.labels, [(1, mask) for mask in scene.visible])
        for name, value in zip(times, (first - start, second - first, time.perf_counter() - second), strict=True):
            times[name] += value
    floor = 1000 * times["floor"] / SCENES
    print(f"a 500 x 375 scene of {objects / SCENES:.1f} objects from 512 px, floor {floor:.1f} ms:")
    for name in ("paste", "annotate"):
        print(f"  {name}: {times[name] / times['floor']:.1f} times the floor")


def time_the_memory() -> None:
    """Choosing 500 of as many images as COCO's training set has, against looking at each image's classes once."""
    rng = np.random.default_rng(0)
    classes_of = [set(row) for row in rng.integers(1, 61, (118_000, 3)).tolist()]
    start = time.perf_counter()
    sum(len(classes) for classes in classes_of)
    middle = time.perf_counter()
    class_balanced_subset(classes_of, np.random.default_rng(0), size=500)
    seconds, floor = time.perf_counter() - middle, middle - start
    print(f"a memory of 500 from 118,000 images: {seconds:.2f} s, {seconds / floor:.0f} times one look at each")


if __name__ == "__main__":
    time_a_scene()
    time_the_memory()
