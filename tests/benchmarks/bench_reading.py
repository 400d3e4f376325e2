"""How fast pairs are found, read and checked, and sheets drawn. Run by ``make bench``.

Prints milliseconds of CPU time per item, the best of several passes, on one thread; files are in the system's cache.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from aligndiff_cli.disk.images import read_image, read_mask, read_soft, write_png
from aligndiff_cli.disk.support import load_pair, scan_support
from aligndiff_cli.report.charts import bar_chart
from aligndiff_cli.report.sheets import mask_sheet
from tests import nasty

PASSES = 3


def best(work: Callable[[], object], items: int) -> float:
    """Milliseconds per item of the fastest pass."""
    times = []
    for _ in range(PASSES):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return 1000 * min(times) / items


def photograph(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A pair with some noise, so that compression has work to do."""
    image, mask = nasty.image_and_mask(height, width)
    noise = np.random.default_rng(0).normal(0, 8, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8), mask


def time_reading(folder: Path, height: int, width: int) -> None:
    """Each kind of file at one size, beside Pillow's bare decoding."""
    image, mask = photograph(height, width)
    jpeg = nasty.save(folder / "a.jpg", image)
    png = nasty.save(folder / "a.png", image)
    plain = nasty.save(folder / "m.png", mask)
    palette = nasty.palette_mask(folder / "p.png", mask.astype(np.uint8) * 15)
    colour = nasty.save(folder / "c.png", mask[..., None] * np.array([128, 0, 0], np.uint8))
    cases = {
        "JPEG, bare Pillow": lambda: np.array(Image.open(jpeg).convert("RGB")),
        "JPEG": lambda: read_image(jpeg),
        "PNG": lambda: read_image(png),
        "mask 0 / 255": lambda: read_mask(plain),
        "mask, palette": lambda: read_mask(palette),
        "mask, colours": lambda: read_mask(colour),
        "soft map": lambda: read_soft(plain),
        "write image": lambda: write_png(folder / "out.png", image),
        "write mask": lambda: write_png(folder / "out.png", mask),
    }
    for name, work in cases.items():
        print(f"{width:>5} x {height:<5} {name:<20} {best(work, 1):9.2f} ms")


def time_support(folder: Path, classes: int, shots: int) -> None:
    """Scanning and loading a support folder of small pictures."""
    for cls in range(classes):
        for shot in range(shots):
            nasty.good_pair(folder / f"class {cls}", f"{shot}")
    pairs = scan_support(folder).pairs
    count = classes * shots
    print(f"scan {count} pairs{'':<18} {best(lambda: scan_support(folder), count):9.4f} ms per pair")
    print(f"load {count} pairs{'':<18} {best(lambda: [load_pair(p) for p in pairs], count):9.4f} ms per pair")


def time_pictures() -> None:
    """A sheet of 24 tiles and the chart of 240 classes."""
    image, mask = photograph(64, 96)
    group = [(image, mask, mask, 0.5)] * 8
    groups = {"good": group, "bad": group, "re-estimated": group}
    print(f"sheet of 24 tiles{'':<16} {best(lambda: mask_sheet('dog', groups), 1):9.2f} ms")
    values = np.random.default_rng(0).normal(0, 0.1, 240).tolist()
    names = [f"class {n}" for n in range(240)]
    print(f"chart of 240 bars{'':<16} {best(lambda: bar_chart(names, values, 'title'), 1):9.2f} ms")


def main() -> None:
    """Time everything in a temporary folder."""
    with tempfile.TemporaryDirectory() as name:
        for height, width in ((64, 96), (480, 640), (1500, 2000)):
            time_reading(Path(name), height, width)
        time_support(Path(name) / "support", 240, 5)
    time_pictures()


if __name__ == "__main__":
    main()
