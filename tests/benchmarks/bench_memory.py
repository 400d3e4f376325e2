"""Does the memory of a stage grow with the number of items? Run by ``make bench``; prints a Markdown table.

    python tests/benchmarks/bench_memory.py [--full] [--only STAGE] [--keep FOLDER]

Each stage is run with few items and then with many, in one process of its own, whose peak memory is read after either
(``ru_maxrss``): a chain on the bundled models at 64 pixels, each stage on what others left. In full these are all
stages, with 100 and 2,000 items, some 15 minutes of CPU time; else the cheap ones, with 100 and 600.

Real work, but for four things: the diffusion model is loaded and the sampler is a stand-in, which hands out the sample
pictures, noised, and their masks as attention maps; noise learning takes 2 steps for 60, the base model of gfss one
epoch for 20, and gfss two iterations a step.

Some grow up to a limit: pictures seen by a segmenter (256 MB), decoded scenes of gfss (256 MB a folder), cut-outs of
compose (128 MB). The rest of what grows is the records and the plan, some kB an item.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from aligndiff_cli.disk.images import read_image, read_mask
from aligndiff_cli.table import Table

SAMPLE = Path(__file__).resolve().parents[2] / "sample_data"
CLASSES = ("candle", "skull", "sunflower", "t_shirt")
FORMS = ("voc", "coco", "hf", "yolo")
FEW, SOME, MANY = 100, 600, 2000
CHEAP = ("generate", "mask, attention", "compose, voc", "export, coco", "evaluate masks", "status", "report")
"""Measured where not all are."""
Cost = tuple[float, float, float]
"""Peak memory in MB with few and with many items, CPU seconds of both."""


def commands(chain: Path, items: int) -> dict[str, list[object]]:
    """What is measured, in the order in which one needs the other: name -> arguments of ``aligndiff``.

    Args:
        chain: folder of the run with so many items, prepared by `prepare`.
    """
    support, base, query = SAMPLE / "support", chain / "base", chain / "query"
    synth, masks, scenes = chain / "synth", chain / "masks", chain / "scenes"
    generate: list[object] = ["generate", "--bank", chain / "bank", "--per-class", items // len(CLASSES)]
    mask: list[object] = ["mask", "--images", synth, "--support", support]
    compose: list[object] = ["compose", "--foregrounds", masks, "--support", support, "--base", base, "--count", items]
    pairs: list[object] = ["--support", support, "--query", query, "--masks", masks]
    gfss: list[object] = ["evaluate", "gfss", "--support", support, "--masks", masks, "--base", base, "--query", base]
    brief: list[object] = ["--epochs", 1, "--iterations", 2]
    return {
        "generate": [*generate, "--out", synth],
        "mask, attention": ["mask", "--images", synth, "--segmenter", "attention", "--out", masks],
        "mask, hsnet": [*mask, "--out", chain / "masks-hsnet"],
        "mask, ssp": [*mask, "--segmenter", "ssp", "--out", chain / "masks-ssp"],
        "mask, noise-learning": [
            *("mask", "--images", synth, "--segmenter", "noise-learning", "--noise-steps", 2),
            *("--out", chain / "masks-noise"),
        ],
        **{f"compose, {form}": [*compose, "--format", form, "--out", f"{scenes}-{form}"] for form in FORMS},
        **{
            f"export, {form}": ["export", "--masks", masks, "--format", form, "--out", chain / "export" / form]
            for form in FORMS
        },
        "evaluate masks": [
            *("evaluate", "masks", "--predictions", synth / "coarse", "--threshold", 0.9, "--truth", masks / "masks"),
            *("--out", chain / "results-masks"),
        ],
        "evaluate fss, ssp": ["evaluate", "fss", "--segmenter", "ssp", *pairs, "--out", chain / "results-fss"],
        "evaluate gfss": [*gfss, *brief, "--out", chain / "results-gfss"],
        "prepare own": [
            *("prepare", "own", "--annotations", base, "--classes", "crown,hot pepper", "--shots", 2),
            *("--out", chain / "own"),
        ],
        "status": ["status", synth, masks, f"{scenes}-voc"],
        "report": ["report", chain],
    }


def prepare(chain: Path, items: int) -> None:
    """Leave in a folder what the chain begins with besides its bank: base scenes and query pairs, as many as items."""
    stems = (SAMPLE / "base/ImageSets/Segmentation/train.txt").read_text().split()
    names = [f"scene{number:05d}" for number in range(items)]
    for folder, ending in (("JPEGImages", "jpg"), ("SegmentationClass", "png")):
        (chain / "base" / folder).mkdir(parents=True)
        for number, name in enumerate(names):
            source = SAMPLE / "base" / folder / f"{stems[number % len(stems)]}.{ending}"
            shutil.copy(source, chain / "base" / folder / f"{name}.{ending}")
    splits = chain / "base/ImageSets/Segmentation"
    splits.mkdir(parents=True)
    for split in ("train", "val"):
        (splits / f"{split}.txt").write_text("\n".join(names) + "\n")
    shutil.copy(SAMPLE / "base/classes.txt", chain / "base/classes.txt")
    for cls in CLASSES:
        (chain / "query" / cls).mkdir(parents=True)
        pictures = _query(cls)
        for number in range(items // len(CLASSES)):
            picture = pictures[number % len(pictures)]
            shutil.copy(picture, chain / "query" / cls / f"{number:05d}.png")
            shutil.copy(_mask_of(picture), chain / "query" / cls / f"{number:05d}_mask.png")


def _query(cls: str) -> list[Path]:
    return sorted(path for path in (SAMPLE / "query" / cls).glob("*.png") if not path.stem.endswith("_mask"))


def _mask_of(picture: Path) -> Path:
    return picture.with_name(f"{picture.stem}_mask.png")


def stand_in_sampler() -> None:
    """Put sample pictures in the sampler's place; every third has a coarse mask that nothing agrees with."""
    from aligndiff_cli.models.diffusion import sampling
    from aligndiff_cli.models.diffusion.start import Start

    drawn = {cls: [(read_image(path), read_mask(_mask_of(path))) for path in _query(cls)] for cls in CLASSES}

    def sample(
        model: object, prompts: Sequence[object], seeds: Sequence[int], options: object, start: Start | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        images, maps = [], []
        for prompt, seed in zip(prompts, seeds, strict=True):
            rng = np.random.default_rng(seed)
            own = drawn[prompt.class_name]  # type: ignore[attr-defined]
            image, mask = own[int(rng.integers(len(own)))]
            noise = rng.integers(-4, 5, image.shape)
            images.append(np.clip(image + noise, 0, 255).astype(np.uint8))
            maps.append((~mask if seed % 3 == 0 else mask).astype(np.float32))
        return np.stack(images), np.stack(maps)

    sampling.sample = sample  # type: ignore[assignment]


def measure_here(name: str, chains: Mapping[int, Path]) -> None:
    """Run one stage with few items and with many in this process; print its peak memory after either, in MB."""
    from aligndiff_cli.cli.main import app

    if name == "generate":
        stand_in_sampler()
    for items, chain in chains.items():
        arguments = [str(argument) for argument in commands(chain, items)[name]]
        quiet = [] if name == "status" else ["--quiet"]
        if app([*arguments, *quiet], standalone_mode=False):
            sys.exit(f"{name}, {items}: failed")
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, file=sys.stderr)
    print(time.process_time(), file=sys.stderr)


def measure(name: str, folder: Path, items: Sequence[int]) -> Cost:
    """What a stage costs, in a process of its own."""
    command = [sys.executable, __file__, "--stage", name, "--keep", str(folder), *["--full"] * (items[1] == MANY)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    few, many, seconds = map(float, done.stderr.split()[-3:])
    return few, many, seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="all stages, with more items")
    parser.add_argument("--only", default="", help="stages whose name begins so; what they need must be there")
    parser.add_argument("--keep", type=Path, help="folder to work in, which is kept")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(SAMPLE.parent)}
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        few, many = FEW, MANY if asked.full else SOME
        chains = {items: folder / str(items) for items in (few, many)}
        if asked.stage:
            measure_here(asked.stage, chains)
            return
        if not chains[few].is_dir():
            bank = chains[few] / "bank"
            invert = ["invert", "--images", SAMPLE / "support", "--out", bank, "--steps", 1, "--preview", 0]
            subprocess.run([sys.executable, "-m", "aligndiff_cli", *map(str, invert), "--quiet"], check=True)
            shutil.copytree(bank, chains[many] / "bank")
            for items, chain in chains.items():
                prepare(chain, items)
        rows = []
        for name in commands(folder, 0):
            if name.startswith(asked.only) and (asked.full or name in CHEAP):
                first, last, seconds = measure(name, folder, (few, many))
                kilobytes = 1000 * (last - first) / (many - few)
                cells = f"{first:.0f}", f"{last:.0f}", f"{last / first:.2f}", f"{kilobytes:.0f}", f"{seconds:.0f}"
                rows.append([name, *cells])
                print(name, *cells, file=sys.stderr, flush=True)
    columns = ["stage", f"MB with {few:,} items", f"with {many:,}", "ratio", "kB an item", "CPU seconds"]
    print(Table(columns, rows).markdown())


if __name__ == "__main__":
    main()
