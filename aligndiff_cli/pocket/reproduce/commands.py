"""The commands behind the tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from aligndiff_cli.pocket.reproduce.published import (
    FOLD_ROWS,
    LONG,
    LONG_ITERATIONS,
    OTHER_FOLDS,
    OTHER_FOLDS_EPOCHS,
    OTHER_FOLDS_SAMPLES,
    SAMPLE_COUNTS,
)
from aligndiff_cli.pocket.reproduce.running import Step

FOLD = "3"
SCENES = 1000
INVERT = ("--steps", "60", "--lr", "0.05")
DRAW = ("--inverted-share", "0.3334", "--steps", "8", "--scheduler", "dpm++")
REAL = ("--start", "real", "--strength", "0.6")
TUNED = ("--backbone-lr", "0.003", "--classifier-lr", "0.03")


@dataclass(frozen=True)
class Reproduction:
    """Which figures are made, and where.

    Attributes:
        work: folder of everything the commands make.
        runs: support choices per row.
        shots: real pairs per class, each a table of its own.
        per_class: synthetic samples per novel class in all but Fig. A12 (paper: 1000).
        epochs: of a fold's base model.
    """

    work: Path
    runs: int
    shots: tuple[int, ...]
    per_class: int
    epochs: int = 96

    def steps(self) -> Iterator[Step]:
        """Every command; of those that wait for nothing the first is run first."""
        gfss, runs = self.work / "gfss", [str(number) for number in range(self.runs)]
        yield from self.base(gfss, FOLD)
        for shots in self.shots:
            for run in runs:
                yield from self.few_shots(gfss / str(shots) / run, FOLD, shots, run)
        for run in runs:
            yield from self.fss(self.work / "fss" / run, run)
        for shots in self.shots:
            yield from self.rows(gfss, shots, self.table_1(gfss / str(shots)), self.runs)
        if 1 in self.shots:
            yield from self.one_shot(gfss, runs)
            check = replace(self, runs=1, per_class=OTHER_FOLDS_SAMPLES, epochs=OTHER_FOLDS_EPOCHS)
            for fold in OTHER_FOLDS:
                yield from check.other_fold(self.work / "folds" / fold, fold)

    def one_shot(self, world: Path, runs: Sequence[str]) -> Iterator[Step]:
        """What is made with one shot alone: Tables A1 and A2, longer trainings, a start from real pairs, Fig. A12."""
        at = world / "1"
        for run in runs:
            yield self.mask(at / run, "masks-noise", "--segmenter", "noise-learning")
            yield from self.from_real(at / run, self.pool, run)
        yield from self.rows(world, 1, self.ablations(at), self.runs)
        for run in runs:
            yield from self.many(at / run, run)
        yield from self.rows(world, 1, self.curve(at), self.runs)

    def other_fold(self, world: Path, fold: str) -> Iterator[Step]:
        """Rows that learn from samples, and a start from real pairs, once on a fold where settings were chosen."""
        yield from self.base(world, fold)
        yield from self.few_shots(world / "1/0", fold, 1, "0")
        yield from self.from_real(world / "1/0", self.pool, "0")
        rows = self.table_1(world / "1") | self.ablations(world / "1")
        yield from self.rows(world, 1, {name: rows[name] for name in FOLD_ROWS}, self.runs)

    def base(self, world: Path, fold: str) -> Iterator[Step]:
        """A fold's base and query scenes, and the model of its base classes."""
        data = f"{world}/data"
        scenes = ["--shots", "5", "--scenes", str(SCENES)]
        yield Step(["prepare", "emoji-5i", "--fold", fold, *scenes, "--out", data])
        row = self.row(world, "warm", ["--method", "gfs", "--shots", "1"], f"{data}/support")
        yield Step(row.command, also=f"{world}/base-model")

    @property
    def pool(self) -> int:
        """Samples per class: half as many again as the full method takes, for rows without inversion take plain ones
        alone."""
        return self.per_class * 3 // 2

    def few_shots(self, at: Path, fold: str, shots: int, run: str) -> Iterator[Step]:
        """The few shots of one run of a fold, their embeddings, samples and masks."""
        prepare = ["prepare", "emoji-5i", "--fold", fold, "--shots", str(shots), "--scenes", "1"]
        yield Step([*prepare, "--seed", run, "--out", f"{at}/data"])
        yield from self.samples(at, self.pool, run)
        # GD is trained once a fold, by the first command that needs it
        world = at.parent.parent
        first = run == "0" and shots == self.shots[0]
        base = ["--base", f"{world}/data/base"] if first else []
        made = self.mask(at, "masks-grounding", "--segmenter", "grounding", "--grounding", f"{world}/grounding", *base)
        yield Step(made.command, also=f"{world}/grounding" if first else None)

    def fss(self, at: Path, run: str) -> Iterator[Step]:
        """Table 2: Emoji-FSS test classes with one real pair, 10 inverted and 20 plain samples each."""
        prepare = ["prepare", "emoji-fss", "--split", "test", "--per-class", "10", "--seed", run]
        yield Step([*prepare, "--shots", "1", "--out", f"{at}/data"])
        yield from self.samples(at, 30, run)
        grounding = ["--segmenter", "grounding", "--grounding", f"{self.work}/gfss/grounding"]
        yield self.mask(at, "masks-grounding", *grounding)
        yield from self.from_real(at, 30, run)
        query = ["--query", f"{at}/data/query", "--ood", f"{at}/data/ood.txt", "--queries", "5", "--seed", run]
        common = ["evaluate", "fss", "--support", f"{at}/data/support", *query]
        yield Step([*common, "--masks", f"{at}/masks", "--out", f"{at}/results"])
        yield Step([*common, "--masks", f"{at}/masks", "--filter", "all", "--out", f"{at}/results-tested"])
        yield Step([*common, "--masks", f"{at}/masks-real", "--out", f"{at}/results-real"])
        # no filter follows GD's masks
        yield Step([*common, "--masks", f"{at}/masks-grounding", "--beta", "0", "--out", f"{at}/results-grounding"])
        # what real pairs would do in the samples' place; the first of them is the one pair
        yield Step([*prepare, "--shots", "21", "--out", f"{at}/data-21"])
        yield Step(["evaluate", "fss", "--support", f"{at}/data-21/support", *query, "--out", f"{at}/results-21"])

    def samples(self, at: Path, per_class: int, run: str) -> Iterator[Step]:
        """Embeddings of the few shots, samples, and their masks by Algorithm 1."""
        yield Step(["invert", "--images", f"{at}/data/support", "--out", f"{at}/bank", *INVERT, "--seed", run])
        yield self.generate(at, "synth", per_class, run, *DRAW)
        yield self.refined(at, "masks", "synth", run)

    def from_real(self, at: Path, per_class: int, run: str) -> Iterator[Step]:
        """The same with inverted samples that start from their real pair (not in the paper)."""
        yield self.generate(at, "synth-real", per_class, run, *DRAW, *REAL)
        yield self.refined(at, "masks-real", "synth-real", run)

    def many(self, at: Path, run: str) -> Iterator[Step]:
        """As many samples of one run as Fig. A12 asks for, and their masks."""
        yield self.generate(at, "synth-many", max(SAMPLE_COUNTS), run, *DRAW, "--inverted-share", "0.5")
        yield self.refined(at, "masks-many", "synth-many", run)

    def generate(self, at: Path, out: str, per_class: int, run: str, *flags: str) -> Step:
        """Samples of a folder's embeddings."""
        command = ["generate", "--bank", f"{at}/bank", "--out", f"{at}/{out}", "--per-class", str(per_class)]
        return Step([*command, *flags, "--seed", run])

    def mask(self, at: Path, out: str, *flags: str, images: str = "synth") -> Step:
        """One way to make masks for a folder's samples."""
        return Step(["mask", "--images", f"{at}/{images}", "--out", f"{at}/{out}", *flags])

    def refined(self, at: Path, out: str, images: str, run: str) -> Step:
        """S.Mask: Algorithm 1."""
        return self.mask(at, out, "--support", f"{at}/data/support", "--seed", run, images=images)

    def row(self, world: Path, name: str, flags: Sequence[str], support: str) -> Step:
        """One row of a GFSS table."""
        data = ["--base", f"{world}/data/base", "--query", f"{world}/data/query", "--base-model", f"{world}/base-model"]
        row = ["evaluate", "gfss", *data, "--epochs", str(self.epochs), "--support", support]
        return Step([*row, "--classes-per-step", "0", *flags, "--out", f"{world}/{name}"])

    def rows(self, world: Path, shots: int, rows: dict[str, list[str]], runs: int) -> Iterator[Step]:
        """Rows of GFSS tables, by name, over several runs."""
        for name, flags in rows.items():
            support = f"{world}/{shots}/{{run}}/data/support"
            yield self.row(world, f"{shots}/rows/{name}", [*flags, "--runs", str(runs)], support)

    def table_1(self, at: Path) -> dict[str, list[str]]:
        """Table 1."""
        full, grounded = self.learning_from(at, "masks"), self.learning_from(at, "masks-grounding")
        text = [*grounded, "--conditioning", "text"]
        return {
            "gaps": ["--method", "gaps", *TUNED],
            "gaps-alignd": ["--method", "gaps", *TUNED, *full],
            "gaps-gd": ["--method", "gaps", *TUNED, *text],
            "gfs": ["--method", "gfs"],
            "finetune": ["--method", "finetune", *TUNED],
            "finetune-gd": ["--method", "finetune", *TUNED, *text, "--layout", "plain"],
            "finetune-alignd": ["--method", "finetune", *TUNED, *full],
            "pifs": ["--method", "pifs"],
        }

    def ablations(self, at: Path) -> dict[str, list[str]]:
        """Tables A1 and A2, rows of Table 1 trained longer, and one that starts from real pairs."""
        text = ["--conditioning", "text"]
        gaps = ["--method", "gaps", *TUNED]
        found = {
            "gaps-plain": [*gaps, *self.learning_from(at, "masks-grounding"), *text, "--layout", "plain"],
            "gaps-smask": [*gaps, *self.learning_from(at, "masks"), *text],
            "gaps-noise": [*gaps, *self.learning_from(at, "masks-noise")],
            "gaps-real": [*gaps, *self.learning_from(at, "masks-real")],
        }
        every = {**self.table_1(at), **found}
        longer = {f"{name}-long": [*every[name], "--iterations", str(LONG_ITERATIONS)] for name in LONG}
        return found | longer

    def curve(self, at: Path) -> dict[str, list[str]]:
        """The points of Fig. A12 but those of Table 1, without samples and with ``per_class``."""
        wanted = [count for count in SAMPLE_COUNTS if count not in (0, self.per_class)]
        pool = {count: "masks" if count < self.per_class else "masks-many" for count in wanted}
        gaps = ["--method", "gaps", *TUNED]
        return {f"gaps-{count}": [*gaps, *self.learning_from(at, pool[count], count)] for count in wanted}

    def learning_from(self, at: Path, masks: str, count: int | None = None) -> list[str]:
        """Flags of a row that learns from samples with such masks."""
        return ["--masks", f"{at}/{{run}}/{masks}", "--per-class", str(count or self.per_class)]
