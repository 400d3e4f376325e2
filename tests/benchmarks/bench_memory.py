"""Does the memory of a stage grow with the number of items? Run by ``make bench``; prints a Markdown table.

    python tests/benchmarks/bench_memory.py [--items 100 2000] [--only evaluate] [--keep FOLDER]

Each stage is run with few items and then with many, in one process of its own, whose peak memory is read after either
(``ru_maxrss``): a chain on the bundled models at 64 pixels, each stage on what the one before left. Real work, but for
four things: the diffusion model is loaded and the sampler is a stand-in, which hands out the sample pictures, noised,
and their masks as attention maps; noise learning takes 2 steps for 60, the base model of gfss one epoch and gfss two
iterations a step.
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
CLASSES = ("doughnut", "key", "owl", "scissors")
FORMS = ("voc", "coco", "hf", "yolo")
LOOSE = 1.0, 15.0
"""Growth below a tenth, or below this many MB, is not pointed out."""
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
        "mask, hsnet": [*mask, "--out", masks],
        "mask, ssp": [*mask, "--segmenter", "ssp", "--out", chain / "masks-ssp"],
        "mask, attention": ["mask", "--images", synth, "--segmenter", "attention", "--out", chain / "masks-attention"],
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
            *("evaluate", "masks", "--predictions", chain / "masks-ssp" / "masks", "--truth", masks / "masks"),
            *("--out", chain / "results-masks"),
        ],
        "evaluate fss, ssp": ["evaluate", "fss", "--segmenter", "ssp", *pairs, "--out", chain / "results-fss"],
        "evaluate gfss": [*gfss, *brief, "--out", chain / "results-gfss"],
        "prepare own": [
            *("prepare", "own", "--annotations", base, "--classes", "crown,hot pepper", "--shots", 2),
            *("--out", chain / "own"),
        ],
        "status": ["status", synth, masks, *(f"{scenes}-{form}" for form in FORMS)],
        "report": ["report", chain],
    }


def prepare(chain: Path, bank: Path, items: int) -> None:
    """Leave in a folder what the chain begins with: a bank, `items` base scenes and `items` query pairs, as links."""
    shutil.copytree(bank, chain / "bank")
    stems = (SAMPLE / "base/ImageSets/Segmentation/train.txt").read_text().split()
    names = [f"scene{number:05d}" for number in range(items)]
    for folder, ending in (("JPEGImages", "jpg"), ("SegmentationClass", "png")):
        (chain / "base" / folder).mkdir(parents=True)
        for number, name in enumerate(names):
            source = SAMPLE / "base" / folder / f"{stems[number % len(stems)]}.{ending}"
            (chain / "base" / folder / f"{name}.{ending}").symlink_to(source)
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
            (chain / "query" / cls / f"{number:05d}.png").symlink_to(picture)
            (chain / "query" / cls / f"{number:05d}_mask.png").symlink_to(_mask_of(picture))


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
    command = [sys.executable, __file__, "--stage", name, "--keep", str(folder), "--items", *map(str, items)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    few, many, seconds = map(float, done.stderr.split()[-3:])
    return few, many, seconds


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, nargs=2, default=(100, 600), help="few and many")
    parser.add_argument("--only", default="", help="the stages whose name begins so; what they need must be there")
    parser.add_argument("--keep", type=Path, help="folder to work in, which is kept")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(SAMPLE.parent)}
    with tempfile.TemporaryDirectory() as scratch:
        folder = asked.keep or Path(scratch)
        chains = {items: folder / str(items) for items in asked.items}
        if asked.stage:
            measure_here(asked.stage, chains)
            return
        if not chains[asked.items[0]].is_dir():
            invert = ["invert", "--images", SAMPLE / "support", "--out", folder / "bank", "--steps", 1, "--preview", 0]
            subprocess.run([sys.executable, "-m", "aligndiff_cli", *map(str, invert), "--quiet"], check=True)
            for items, chain in chains.items():
                prepare(chain, folder / "bank", items)
        rows = []
        for name in commands(folder, 0):
            if name.startswith(asked.only):
                few, many, seconds = measure(name, folder, asked.items)
                mark = " !" if many > 1.1 * few or many - few > 15 else ""
                rows.append([name, f"{few:.0f}", f"{many:.0f}", f"{many / few:.2f}{mark}", f"{seconds:.0f}"])
                print("| " + " | ".join(rows[-1]) + " |", file=sys.stderr, flush=True)
    few, many = asked.items
    print(Table(["stage", f"MB with {few:,} items", f"with {many:,}", "ratio", "CPU seconds"], rows).markdown())


if __name__ == "__main__":
    main()
