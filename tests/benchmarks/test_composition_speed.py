"""How long composing a scene takes; run with ``pytest tests/benchmarks -s`` to see the figures.

The ceilings are an order of magnitude above what one CPU core takes, so that only a change of the
algorithm's cost, not a busy machine, goes through them.
"""

from __future__ import annotations

import time

import numpy as np
import pytest

from aligndiff_cli.disk.coco import scene_annotations
from aligndiff_cli.method.composition import Cutout, cut_out, paste, sample_layout
from aligndiff_cli.method.memory import class_balanced_subset

pytestmark = pytest.mark.slow

SCENES = 20


def disc(side: int) -> Cutout:
    """A disc that fills four fifths of a generated picture."""
    y, x = np.mgrid[:side, :side] / side - 0.5
    image = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    return cut_out(image, x**2 + y**2 < 0.16, 1, "disc")


def test_composing_a_scene(capsys: pytest.CaptureFixture[str]) -> None:
    cutout, rng = disc(512), np.random.default_rng(0)
    image = np.zeros((375, 500, 3), dtype=np.uint8)
    labels = np.zeros((375, 500), dtype=np.uint8)
    times: dict[str, float] = {"paste": 0.0, "annotate": 0.0}
    objects = 0
    for _ in range(SCENES):
        layout = sample_layout(rng, [(1, 0)])
        objects += len(layout)
        start = time.perf_counter()
        scene = paste(image, labels, [(cutout, placement) for placement in layout])
        middle = time.perf_counter()
        scene_annotations(scene.labels, [(1, mask) for mask in scene.visible])
        times["annotate"] += time.perf_counter() - middle
        times["paste"] += middle - start
    with capsys.disabled():
        figures = ", ".join(f"{name} {1000 * value / SCENES:.1f} ms" for name, value in times.items())
        print(f"\na 500 x 375 scene of {objects / SCENES:.1f} objects from 512 px: {figures}")
    assert times["paste"] / SCENES < 0.5
    assert times["annotate"] / SCENES < 0.5


def test_choosing_the_memory_from_a_large_base(capsys: pytest.CaptureFixture[str]) -> None:
    # as many images as COCO's training set, 60 base classes, three classes an image
    rng = np.random.default_rng(0)
    classes_of = [set(row) for row in rng.integers(1, 61, (118_000, 3)).tolist()]
    start = time.perf_counter()
    chosen = class_balanced_subset(classes_of, np.random.default_rng(0), size=500)
    seconds = time.perf_counter() - start
    with capsys.disabled():
        print(f"\na memory of {len(chosen)} from {len(classes_of)} images: {seconds:.2f} s")
    assert len(chosen) == 500
    assert seconds < 10
