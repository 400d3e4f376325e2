"""What a run with nothing to do costs; run by ``make bench``.

The chain of the demo, a few pictures of each class, is made once with the bundled model in a temporary folder, and
every command is run once more, in a process of its own. Then ``generate``, ``mask`` and ``status`` look at folders of
many pictures of 512 px. The floors: a bare Python that starts and imports numpy, Pillow and typer; and that which also
reads the manifests as JSON and asks the file system about every file. CPU seconds and peak memory of the process.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from aligndiff_cli.disk.images import write_png
from aligndiff_cli.engine.manifest import rewrite
from aligndiff_cli.engine.run_file import write_run
from aligndiff_cli.engine.stage import Made, Stage
from aligndiff_cli.engine.writer import to_record
from aligndiff_cli.stages.generate import GenerateStage
from aligndiff_cli.stages.mask import MaskStage
from aligndiff_cli.stages.options.generate import GenerateOptions
from aligndiff_cli.stages.options.mask import MaskOptions

SAMPLE = Path(__file__).resolve().parents[2] / "sample_data"
CLASSES = 4
PICTURES = int(os.environ.get("PICTURES", "2000"))
"""In the large folders."""
RUNS = 3
BARE = "import numpy, typer, yaml; from PIL import Image"
LOOK = """
import json, os, sys
for folder in sys.argv[1:]:
    for line in open(f"{folder}/manifest.jsonl"):
        for name in json.loads(line)["outputs"]:
            os.stat(f"{folder}/{name}")
"""
Cost = tuple[float, float]
"""CPU seconds, peak memory in MB."""


def cost(arguments: Sequence[object]) -> Cost:
    """Of a Python process: the median of RUNS by CPU time."""
    program = (
        "import os, subprocess, sys, resource\n"
        "done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)\n"
        "if done.returncode: sys.exit(done.stderr)\n"
        "used = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)"
    )
    found = []
    for _ in range(RUNS):
        command = [sys.executable, "-c", program, sys.executable, *map(str, arguments)]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        found.append((float(told[0]), float(told[1])))
    return sorted(found)[RUNS // 2]


def row(name: str, floor: Cost, arguments: Sequence[object]) -> None:
    """Print a line of the table; the first run, which may have something to draw, is not measured."""
    command = ["-m", "aligndiff_cli.cli.main", *arguments]
    subprocess.run([sys.executable, *map(str, command)], capture_output=True, check=True)
    seconds, memory = cost(command)
    print(f"| {name} | {seconds:.2f} s | {seconds / floor[0]:.1f} | {memory:.0f} MB |", flush=True)


def chain(folder: Path) -> dict[str, list[object]]:
    """The demo's commands."""
    support, masks = SAMPLE / "support", folder / "masks"
    pairs = ["--support", support]
    return {
        "invert": ["--images", support, "--out", folder / "bank", "--steps", 2, "--preview", 1],
        "generate": ["--bank", folder / "bank", "--out", folder / "synth", "--per-class", 4, "--steps", 2],
        "mask": ["--images", folder / "synth", *pairs, "--out", masks],
        "compose": ["--foregrounds", masks, *pairs, "--base", SAMPLE / "base", "--out", folder / "scenes"],
        "evaluate fss": [
            *(*pairs, "--query", SAMPLE / "query", "--queries", 4, "--masks", masks),
            *("--out", folder / "results"),
        ],
    }


def pretend(stage: Stage[Any], pictures: Mapping[str, Path], measured: Mapping[str, Any]) -> None:
    """Leave a stage's folder as if it had made what it plans: each file is another name of one picture."""
    write_run(stage.out, stage.describe())
    made = []
    for item in (item for group in stage.plan().groups for item in group):
        names = {f"{folder}/{item.id}.png": picture for folder, picture in pictures.items()}
        for name, picture in names.items():
            (stage.out / name).parent.mkdir(parents=True, exist_ok=True)
            os.link(picture, stage.out / name)
        made.append(Made(item, list(names), measured))
    rewrite(stage.out, [to_record(stage.out, one) for one in made])


def large(folder: Path, bank: Path) -> None:
    """synth/ and masks/ of PICTURES pictures of 512 px, of 270 KB each with its coarse map."""
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 256, (512, 512, 3), dtype=np.uint8)
    picture[:, 170:] = 128
    y, x = np.mgrid[:512, :512] - 256
    soft = np.clip(255 - np.hypot(y, x), 0, 255).astype(np.uint8)
    for name, array in (("picture", picture), ("soft", soft), ("mask", np.uint8(255) * (soft > 100))):
        write_png(folder / f"{name}.png", array)
    synth = GenerateOptions(bank=bank, out=folder / "synth", per_class=PICTURES // CLASSES)
    pretend(
        GenerateStage(synth),
        {"images": folder / "picture.png", "coarse": folder / "soft.png"},
        {"coarse_area": 0.3},
    )
    masks = MaskOptions(images=folder / "synth", support=SAMPLE / "support", out=folder / "masks")
    measured = {"consensus_iou": 0.9, "accepted": True, "round": 1, "area": 0.3}
    pretend(MaskStage(masks), {"masks": folder / "mask.png"}, measured)


def main() -> None:
    """Print the table."""
    os.environ |= {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(SAMPLE.parent)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        bare = cost(["-c", BARE])
        print("| nothing to do | CPU | of the floor | memory |\n|---|---|---|---|")
        print(f"| floor: a Python with numpy, Pillow and typer | {bare[0]:.2f} s | 1 | {bare[1]:.0f} MB |", flush=True)
        commands = chain(folder / "demo")
        for stage, arguments in commands.items():
            row(stage, bare, [*stage.split(), *arguments])
        large(folder, folder / "demo" / "bank")
        synth, masks = folder / "synth", folder / "masks"
        files = cost(["-c", BARE + LOOK, synth, masks])
        print(f"| floor: that, and a look at {3 * PICTURES} files by {2 * PICTURES} records | {files[0]:.2f} s | 1 | |")
        asked = ["--per-class", PICTURES // CLASSES]
        row(f"generate, {PICTURES}", files, ["generate", "--bank", folder / "demo" / "bank", "--out", synth, *asked])
        row(f"mask, {PICTURES}", files, ["mask", "--images", synth, "--support", SAMPLE / "support", "--out", masks])
        row(f"status, {PICTURES} of synth/", files, ["status", synth])
    print(f"peak of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
