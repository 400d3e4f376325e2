"""The commands behind the tables, and how a chain of them is run and timed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.errors import AligndiffError
from aligndiff_cli.pocket.reproduce.published import LONG, LONG_ITERATIONS, SAMPLE_COUNTS

FOLD = "3"
SCENES = 1000
INVERT = ("--steps", "60")
DRAW = ("--steps", "8", "--scheduler", "dpm++")
TUNED = ("--backbone-lr", "0.003", "--classifier-lr", "0.03")


@dataclass(frozen=True)
class Reproduction:
    """Which figures are made, and where.

    Attributes:
        work: folder of everything the commands make.
        runs: support choices per row.
        shots: real pairs per class, each a table of its own.
        per_class: synthetic samples per novel class in all but Fig. A12 (paper: 1000).
    """

    work: Path
    runs: int
    shots: tuple[int, ...]
    per_class: int

    def phases(self) -> Iterator[list[list[list[str]]]]:
        """Phases follow one another; a phase's chains are independent; a chain's commands follow one another."""
        runs = [str(number) for number in range(self.runs)]
        gfss = [f"gfss/{shots}/{run}" for shots in self.shots for run in runs]
        yield [self.base(), *map(self.fss_samples, runs), *map(self.gfss_samples, gfss)]
        yield [[self.grounding("fss/0", ["--base", f"{self.work}/gfss/data/base"])]]
        yield [[self.refined(f"fss/{run}"), self.grounding(f"fss/{run}")] for run in runs] + [
            [self.refined(folder), self.grounding(folder)] + [self.noise(folder)] * folder.startswith("gfss/1/")
            for folder in gfss
        ]
        yield [*map(self.fss_scores, runs), *([command] for shots in self.shots for command in self.rows(shots))]
        if 1 in self.shots:
            yield [*map(self.many, runs)]
            yield [[command] for command in self.curve()]

    def base(self) -> list[list[str]]:
        """Fold 3's base and query scenes, and the model of its base classes."""
        data = f"{self.work}/gfss/data"
        return [
            ["prepare", "emoji-5i", "--fold", FOLD, "--shots", "5", "--scenes", str(SCENES), "--out", data],
            self.gfss("warm", ["--method", "gfs", "--shots", "1", "--runs", "1"], f"{data}/support"),
        ]

    def fss_samples(self, run: str) -> list[list[str]]:
        """Emoji-FSS test classes with one real pair, 10 inverted and 20 plain samples each."""
        at = f"{self.work}/fss/{run}"
        prepare = ["prepare", "emoji-fss", "--split", "test", "--shots", "1", "--per-class", "10"]
        draw = ["--per-class", "30", "--inverted-share", "0.3334", *DRAW]
        return [
            [*prepare, "--seed", run, "--out", f"{at}/data"],
            ["invert", "--images", f"{at}/data/support", "--out", f"{at}/bank", *INVERT, "--seed", run],
            ["generate", "--bank", f"{at}/bank", "--out", f"{at}/synth", *draw, "--seed", run],
        ]

    def gfss_samples(self, folder: str) -> list[list[str]]:
        """The few shots of one run of fold 3, their embeddings, and samples."""
        _, shots, run = folder.split("/")
        at = f"{self.work}/{folder}"
        prepare = ["prepare", "emoji-5i", "--fold", FOLD, "--shots", shots, "--scenes", "1"]
        # twice as many plain samples as the full method needs: the rows without inversion have plain ones alone
        draw = ["--per-class", str(self.per_class * 3 // 2), "--inverted-share", "0.3334", *DRAW]
        return [
            [*prepare, "--seed", run, "--out", f"{at}/data"],
            ["invert", "--images", f"{at}/data/support", "--out", f"{at}/bank", *INVERT, "--seed", run],
            ["generate", "--bank", f"{at}/bank", "--out", f"{at}/synth", *draw, "--seed", run],
        ]

    def many(self, run: str) -> list[list[str]]:
        """As many samples of one run as Fig. A12 asks for, and their masks."""
        at = f"{self.work}/gfss/1/{run}"
        draw = ["--per-class", str(max(SAMPLE_COUNTS)), *DRAW, "--seed", run]
        return [
            ["generate", "--bank", f"{at}/bank", "--out", f"{at}/synth-many", *draw],
            self.refined(f"gfss/1/{run}", "masks-many", "synth-many"),
        ]

    def mask(self, folder: str, out: str, *flags: str, images: str = "synth") -> list[str]:
        """One way to make masks for a folder's samples."""
        at = f"{self.work}/{folder}"
        return ["mask", "--images", f"{at}/{images}", "--out", f"{at}/{out}", *flags]

    def refined(self, folder: str, out: str = "masks", images: str = "synth") -> list[str]:
        """S.Mask: Algorithm 1."""
        support = ["--support", f"{self.work}/{folder}/data/support"]
        return self.mask(folder, out, *support, "--seed", folder.rsplit("/", 1)[1], images=images)

    def grounding(self, folder: str, base: Sequence[str] = ()) -> list[str]:
        """GD: trained once on fold 3's base scenes."""
        flags = ["--segmenter", "grounding", "--grounding", f"{self.work}/grounding", *base]
        return self.mask(folder, "masks-grounding", *flags)

    def noise(self, folder: str) -> list[str]:
        """DiffuMask's noise learning."""
        return self.mask(folder, "masks-noise", "--segmenter", "noise-learning")

    def fss_scores(self, run: str) -> list[list[str]]:
        """Table 2: Algorithm 1's masks, filtered as in the paper and more strictly; GD's, which no filter follows."""
        at = f"{self.work}/fss/{run}"
        data = ["--support", f"{at}/data/support", "--query", f"{at}/data/query", "--ood", f"{at}/data/ood.txt"]
        common = ["evaluate", "fss", *data, "--queries", "5", "--seed", run]
        return [
            [*common, "--masks", f"{at}/masks", "--out", f"{at}/results"],
            [*common, "--masks", f"{at}/masks", "--filter", "all", "--out", f"{at}/results-tested"],
            [*common, "--masks", f"{at}/masks-grounding", "--beta", "0", "--out", f"{at}/results-grounding"],
        ]

    def gfss(self, name: str, flags: Sequence[str], support: str) -> list[str]:
        """One row of a GFSS table."""
        at = f"{self.work}/gfss"
        data = ["--base", f"{at}/data/base", "--query", f"{at}/data/query", "--base-model", f"{at}/base-model"]
        row = ["evaluate", "gfss", *data, "--support", support, "--classes-per-step", "0", *flags]
        return [*row, "--out", f"{at}/{name}"]

    def rows(self, shots: int) -> Iterator[list[str]]:
        """All rows of Table 1 with so many shots; with one shot also those of Tables A1 and A2, and longer ones."""
        at = f"{self.work}/gfss/{shots}"
        full, grounded = ["--masks", f"{at}/{{run}}/masks"], ["--masks", f"{at}/{{run}}/masks-grounding"]
        text = ["--conditioning", "text"]
        count = ["--per-class", str(self.per_class)]
        rows = {
            "gaps": ["--method", "gaps", *TUNED],
            "gaps-alignd": ["--method", "gaps", *TUNED, *full, *count],
            "gaps-gd": ["--method", "gaps", *TUNED, *grounded, *text, *count],
            "gfs": ["--method", "gfs"],
            "finetune": ["--method", "finetune", *TUNED],
            "finetune-gd": ["--method", "finetune", *TUNED, *grounded, *text, *count, "--layout", "plain"],
            "finetune-alignd": ["--method", "finetune", *TUNED, *full, *count],
            "pifs": ["--method", "pifs"],
        }
        if shots == 1:
            rows |= {
                "gaps-plain": ["--method", "gaps", *TUNED, *grounded, *text, *count, "--layout", "plain"],
                "gaps-smask": ["--method", "gaps", *TUNED, *full, *text, *count],
                "gaps-noise": ["--method", "gaps", *TUNED, "--masks", f"{at}/{{run}}/masks-noise", *count],
            }
            rows |= {f"{name}-long": [*rows[name], "--iterations", str(LONG_ITERATIONS)] for name in LONG}
        for name, flags in rows.items():
            yield self.gfss(f"{shots}/rows/{name}", [*flags, "--runs", str(self.runs)], f"{at}/{{run}}/data/support")

    def curve(self) -> Iterator[list[str]]:
        """The points of Fig. A12 but those of Table 1, without samples and with ``per_class``."""
        at = f"{self.work}/gfss/1"
        for wanted in SAMPLE_COUNTS:
            if wanted in (0, self.per_class):
                continue
            masks = "masks" if wanted < self.per_class else "masks-many"
            flags = ["--method", "gaps", *TUNED, "--masks", f"{at}/{{run}}/{masks}", "--per-class", str(wanted)]
            yield self.gfss(f"1/rows/gaps-{wanted}", [*flags, "--runs", str(self.runs)], f"{at}/{{run}}/data/support")


class Times:
    """Wall-clock seconds of each command that has been run, summed over resumed tries."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self.seconds: dict[str, float] = json.loads(path.read_text()) if path.is_file() else {}

    def add(self, out: str, seconds: float) -> None:
        """Add to what is known of a command, told apart by its output folder."""
        with self._lock:
            self.seconds[out] = round(self.seconds.get(out, 0.0) + seconds, 1)
            write_text(self.path, json.dumps(self.seconds, indent=1, sort_keys=True) + "\n")


def run_chain(chain: Sequence[Sequence[str]], times: Times) -> None:
    """Run commands one after another; what is done is passed over by the commands themselves.

    Raises:
        AligndiffError: one failed.
    """
    for command in chain:
        out = command[command.index("--out") + 1]
        if command[0] == "prepare" and (Path(out) / layout.RUN).is_file():
            continue  # it is written last, and rendering has nothing to resume
        print("aligndiff", *command, flush=True)
        began = time.monotonic()
        # one thread each: two processes on two cores do more than two threads in one
        environment = {**os.environ, "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        program = [sys.executable, "-m", "aligndiff_cli.cli.main", *command, "--quiet"]
        done = subprocess.run(program, env=environment, capture_output=True, text=True, check=False)
        times.add(out, time.monotonic() - began)
        if done.returncode:
            raise AligndiffError(done.stderr.strip() or done.stdout.strip() or "failed", " ".join(command))
