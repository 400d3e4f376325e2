"""Does layout help on photographs? GFSS on PASCAL VOC's classes with GAPS, few shots alone; prints a Markdown table.

    python tests/benchmarks/photographs_gfss.py --data DIR --backbone DIR --work DIR [--fold F ...] [--side 160]

DIR of the data holds <class>/<stem>.jpg with <stem>.png masks, of 20 classes; fold f holds classes 5f .. 5f + 4 in
alphabetical order. A photograph's other objects are unlabelled, hence background: figures are lower bounds, and to be
compared with each other only. Of a class's photographs every fourth is a query; of the others, the base classes' are
the base images and the novel classes' are those that few shots are drawn from. Compared are the few shots shown as they
are beside replayed base images (``--layout plain``) and pasted onto base images (``--layout paste``).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from aligndiff_cli.disk import voc
from aligndiff_cli.disk.images import read_image, read_mask, write_png
from aligndiff_cli.disk.support import scan_support
from aligndiff_cli.table import Table

QUERY_EVERY = 4


def shrunk(image: np.ndarray, mask: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """A pair whose long side is ``side`` pixels."""
    factor = side / max(mask.shape)
    size = round(mask.shape[1] * factor), round(mask.shape[0] * factor)
    small = Image.fromarray(mask.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)), np.asarray(small) > 0


def prepare(data: Path, out: Path, fold: int, side: int) -> None:
    """Write base/, query/ and support/ of one fold."""
    pairs = scan_support(data).pairs
    classes = sorted({pair.cls for pair in pairs})
    novel = classes[5 * fold : 5 * fold + 5]
    stems: dict[str, list[str]] = {"base": [], "query": []}
    for cls in classes:
        for number, pair in enumerate(pair for pair in pairs if pair.cls == cls):
            image, mask = shrunk(read_image(pair.image), read_mask(pair.mask), side)
            part = "query" if number % QUERY_EVERY == 0 else "support" if cls in novel else "base"
            if part == "support":
                write_png(out / part / cls / f"{pair.stem}.png", image)
                write_png(out / part / cls / f"{pair.stem}_mask.png", mask.astype(np.uint8) * 255)
                continue
            stem = f"{cls}_{pair.stem}"
            voc.write_item(out / part, stem, image, mask * np.uint8(1 + classes.index(cls)))
            stems[part].append(stem)
    for part, split in (("base", "train"), ("query", "val")):
        voc.write_split(out / part, split, stems[part])
        voc.write_classes(out / part, classes)


def main() -> None:
    """Prepare, train, evaluate; everything but the table is kept in the work folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--fold", type=int, nargs="+", default=[3])
    parser.add_argument("--shots", type=int, default=1)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--side", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--iterations", type=int, default=60)
    o = parser.parse_args()
    if not (o.data.is_dir() and o.backbone.is_dir()):
        print("The photographs or the backbone are not there; nothing was measured.")
        return
    rows = []
    for fold in o.fold:
        at = o.work / f"fold-{fold}"
        if not (at / "query" / voc.SPLITS / "val.txt").is_file():
            prepare(o.data, at, fold, o.side)
        for layout in ("plain", "paste"):
            out = at / f"gaps-{layout}-{o.shots}"
            data = ["--base", at / "base", "--support", at / "support", "--query", at / "query"]
            size = [
                "--crop",
                o.side,
                "--epochs",
                o.epochs,
                "--base-batch",
                8,
                "--batch",
                8,
                "--iterations",
                o.iterations,
            ]
            choice = ["--shots", o.shots, "--runs", o.runs, "--classes-per-step", 0, "--layout", layout]
            model = ["--backbone", o.backbone, "--base-model", at / "base-model"]
            command = [*data, *size, *choice, *model, "--method", "gaps", "--out", out]
            program = [sys.executable, "-m", "aligndiff_cli.cli.main", "evaluate", "gfss"]
            subprocess.run([*program, *map(str, command)], check=True, stdout=subprocess.DEVNULL)
            figures = json.loads((out / "metrics.json").read_text())["overall"]["last"]
            cells = (figures[key] for key in ("base", "novel", "hm"))
            words = [
                f"{100 * c['mean']:.1f}" + (f" ± {100 * c['sd']:.1f}" if c["sd"] is not None else "") for c in cells
            ]
            rows.append([f"fold {fold}, {layout}", *words])
    print(Table([f"{o.shots} shot, {o.runs} runs, {o.side} px", "base", "novel", "HM"], rows).markdown())


if __name__ == "__main__":
    main()
