"""How long composing a scene takes; run by ``make bench``. Prints a Markdown table.

A scene is made and written as ``compose`` does it, in VOC's layout; the floor is the same objects brought to their
size, pasted and saved with Pillow alone. CPU time of one thread, both in turn for each scene. Cut-outs are at hand, as
they are for all but their first scene.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from aligndiff_cli.disk import voc
from aligndiff_cli.disk.coco import scene_annotations
from aligndiff_cli.method.composition import Cutout, Placement, cut_out, paste, sample_layout, scaled_size
from aligndiff_cli.method.memory import class_balanced_subset
from aligndiff_cli.table import Table

SCENES = 60
SIDE = 512
BILINEAR = Image.Resampling.BILINEAR


def picture(seed: int) -> np.ndarray:
    """As smooth as a photograph: a JPEG of noise would hide all else."""
    coarse = np.random.default_rng(seed).integers(0, 256, (SIDE // 16, SIDE // 16, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def disc() -> Cutout:
    """A disc that fills four fifths of a generated picture."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    return cut_out(picture(0), x**2 + y**2 < 0.16, 1, "disc")


def with_pillow(folder: Path, base: np.ndarray, objects: Sequence[tuple[Cutout, Placement]]) -> None:
    """The floor: resize, paste, save."""
    scene, labels = Image.fromarray(base), Image.new("P", (SIDE, SIDE))
    labels.putpalette(voc.voc_palette().tobytes())
    for cutout, placement in objects:
        height, width = scaled_size(cutout.mask.shape, placement.scale)
        top, left = (round(place * (SIDE - side)) for place, side in ((placement.top, height), (placement.left, width)))
        mask = Image.fromarray(cutout.mask).convert("L").resize((width, height), BILINEAR)
        scene.paste(Image.fromarray(cutout.image).resize((width, height), BILINEAR), (left, top), mask)
        labels.paste(cutout.class_id, (left, top, left + width, top + height), mask)
    scene.save(folder / "scene.jpg", quality=95, subsampling=0)
    labels.save(folder / "scene.png")


def time_a_scene() -> list[list[str]]:
    """Paste and write; the annotations of COCO's layout beside it."""
    cutout, base, labels = disc(), picture(1), np.zeros((SIDE, SIDE), dtype=np.uint8)
    rng = np.random.default_rng(0)
    ratios: dict[str, list[float]] = {"paste": [], "paste and save": [], "annotate": []}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for _ in range(SCENES):
            objects = [(cutout, placement) for placement in sample_layout(rng, [(1, 0)])]
            floor = _seconds(lambda o=objects: with_pillow(folder, base, o))
            pasting = _seconds(lambda o=objects: paste(base, labels, o))
            scene = paste(base, labels, objects)
            saving = _seconds(lambda s=scene: voc.write_item(folder, "scene", s.image, s.labels))
            noting = _seconds(lambda s=scene: scene_annotations(s.labels, [(1, mask) for mask in s.visible]))
            for name, seconds in zip(ratios, (pasting, pasting + saving, noting), strict=True):
                ratios[name].append(seconds / floor)
    return [
        [f"a scene at {SIDE} px: {name}", "Pillow's copy-paste and save", f"{statistics.median(values):.2f}"]
        for name, values in ratios.items()
    ]


def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def time_the_memory() -> list[list[str]]:
    """Choosing 500 of as many images as COCO's training set has, against looking at each image's classes once."""
    rng = np.random.default_rng(0)
    classes_of = [set(row) for row in rng.integers(1, 61, (118_000, 3)).tolist()]
    floor = _seconds(lambda: sum(len(classes) for classes in classes_of))
    taken = _seconds(lambda: class_balanced_subset(classes_of, np.random.default_rng(0), size=500))
    return [["a memory of 500 from 118,000 images", "one look at each image's classes", f"{taken / floor:.0f}"]]


if __name__ == "__main__":
    print(Table(["work", "against", "ratio"], [*time_a_scene(), *time_the_memory()]).markdown())
