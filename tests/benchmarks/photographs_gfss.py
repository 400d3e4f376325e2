"""Do layout and GAPS's guidance help on photographs? GFSS on PASCAL VOC's classes, few shots alone.

    python3 tests/benchmarks/photographs_gfss.py --data DIR --weights DIR --work DIR [--device cuda] [--jobs 8]

DIR of the data holds <class>/<stem>.jpg with <stem>.png masks, of 20 classes; fold f holds classes 5f .. 5f + 4 in
alphabetical order. A photograph's other objects are unlabelled, hence background: figures are lower bounds, and to be
compared with each other only. Of a class's photographs every fourth is a query; of the others, the base classes' are
the base images and the novel classes' are those that few shots are drawn from. Fold after fold, a model of the base
classes is trained and measured before any novel class is learnt; then four ways are compared that see the same few
shots: pasted onto base images (``--layout paste``) or as they are beside replayed base images (``plain``), each with
base images like the scenes of the few shots nine times of ten (GAPS's guidance) and without (``--guided-share 0``).

The result is written anew after every way, as Markdown. What is done stays in the work folder: a second run goes on
where the first was stopped, by hand or by --limit, and adds runs, shots and folds. Other sizes need another folder.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import aligndiff_cli
from aligndiff_cli.disk import voc
from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.disk.images import read_image, read_mask, write_jpeg, write_png
from aligndiff_cli.disk.support import scan_support
from aligndiff_cli.engine.folds import Place
from aligndiff_cli.engine.manifest import read_records
from aligndiff_cli.evaluation.gfss import Confusion, confusion, scores, spread
from aligndiff_cli.evaluation.tables import percent, spread_percent
from aligndiff_cli.table import Block, Table, markdown

QUERY_EVERY = 4
LAYOUTS = ("plain", "paste")
GUIDED_SHARE = 0.9
BAR = 0.45
"""Base mIoU that a model of the base classes should have for its novel stage to say something."""
FIGURES = ("base", "novel", "hm")
Scores = dict[int, dict[str, float]]
"""Run -> figure -> what it is after the last step, in [0, 1]."""


class OutOfTimeError(Exception):
    """The limit is reached."""


@dataclass(frozen=True)
class Way:
    """One way to learn the novel classes of a fold."""

    fold: int
    shots: int
    layout: str
    guided: bool

    @property
    def name(self) -> str:
        """As tables have it."""
        return f"{self.layout}, {'guided' if self.guided else 'not guided'}"


def shrunk(image: np.ndarray, mask: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """A pair whose long side is ``side`` pixels."""
    factor = side / max(mask.shape)
    size = round(mask.shape[1] * factor), round(mask.shape[0] * factor)
    small = Image.fromarray(mask.astype(np.uint8)).resize(size, Image.Resampling.NEAREST)
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)), np.asarray(small) > 0


def prepare(data: Path, out: Path, fold: int, side: int) -> None:
    """Write base/, support/ and query/ of one fold; the list of the queries, by which it is known as done, last."""
    pairs = scan_support(data).pairs
    classes = sorted({pair.cls for pair in pairs})
    novel = classes[5 * fold : 5 * fold + 5]
    stems: dict[str, list[tuple[tuple[int, ...], str]]] = {"base": [], "query": []}
    for cls in classes:
        for number, pair in enumerate(pair for pair in pairs if pair.cls == cls):
            image, mask = shrunk(read_image(pair.image), read_mask(pair.mask), side)
            part = "query" if number % QUERY_EVERY == 0 else "support" if cls in novel else "base"
            if part == "support":
                write_jpeg(out / part / cls / f"{pair.stem}.jpg", image)
                write_png(out / part / cls / f"{pair.stem}_mask.png", mask.astype(np.uint8) * 255)
                continue
            stem = f"{cls}_{pair.stem}"
            voc.write_item(out / part, stem, image, mask * np.uint8(1 + classes.index(cls)))
            stems[part].append((mask.shape, stem))
    for part, split in (("base", "train"), ("query", "val")):
        voc.write_classes(out / part, classes)
        # pictures of one size side by side: they are predicted together
        voc.write_split(out / part, split, [stem for _, stem in sorted(stems[part])])


class Benchmark:
    """Everything in one work folder.

    Args:
        o: the program's options.
    """

    def __init__(self, o: argparse.Namespace) -> None:
        self.o = o
        self.deadline = time.monotonic() + o.limit
        self._writing = threading.Lock()

    def folder(self, fold: int) -> Path:
        """Of a fold."""
        return self.o.work / f"fold-{fold}"

    def ways(self, fold: int) -> Iterator[Way]:
        """All ways of a fold."""
        for shots in self.o.shots:
            for layout in LAYOUTS:
                for guided in (True, False):
                    yield Way(fold, shots, layout, guided)

    def out(self, way: Way) -> Path:
        """Where the results of a way go."""
        return self.folder(way.fold) / f"{way.shots}-shot-{way.layout}-{'guided' if way.guided else 'unguided'}"

    def settings(self, fold: int) -> dict[str, Any]:
        """Options of `aligndiff evaluate gfss` that all ways of a fold share."""
        at, o = self.folder(fold), self.o
        return {
            **{name: at / name for name in ("base", "support", "query")},
            "base_model": at / "base-model",
            "backbone": str(o.weights),
            "crop": o.crop,
            "epochs": o.epochs,
            "base_batch": o.base_batch,
            "iterations": o.iterations,
            "batch": o.batch,
            "classes_per_step": 0,
            "device": o.device,
        }

    def run(self) -> bool:
        """Fold after fold; while one's base model is trained, the ways of those before are under way.

        Returns:
            Whether nothing went wrong.
        """
        under_way = []
        with ThreadPoolExecutor(self.o.jobs) as pool:
            for fold in self.o.fold:
                try:
                    self.base_stage(fold)
                except OutOfTimeError:
                    say(f"fold {fold}: the limit is reached")
                    break
                under_way += [pool.submit(self.learn, way) for way in self.ways(fold)]
        self.write()
        return all(way.result() for way in under_way)

    def base_stage(self, fold: int) -> None:
        """Prepare a fold, train the model of its base classes, and measure that on the queries' base classes."""
        at = self.folder(fold)
        if (at / "base.json").is_file():
            return
        if not (at / "query" / voc.SPLITS / "val.txt").is_file():
            began = time.monotonic()
            prepare(self.o.data, at, fold, self.o.side)
            say(f"fold {fold}: prepared in {time.monotonic() - began:.0f} s")
        # torch is loaded by what is below alone
        from aligndiff_cli.models.device import pick_device
        from aligndiff_cli.models.semantic.novel import predict
        from aligndiff_cli.stages.gfss.base_model import base_choice
        from aligndiff_cli.stages.gfss.runs import Runs
        from aligndiff_cli.stages.options.evaluate import GfssOptions

        began = time.monotonic()
        options = GfssOptions(**self.settings(fold), shots=1, out=at / "unused")
        opened, _ = Runs(options, base_choice(options)).open(Place("", 0), [])
        model, rows, query = opened.fold.model, opened.fold.rows, opened.fold.query
        model.train(self.progress(fold, model.steps))
        trained = model.load()
        seconds = time.monotonic() - began
        total = Confusion()
        for image, labels in query.images:
            numbers = rows.numbers[predict(trained, [image])[0]]
            total += confusion(numbers, rows.to_numbers(labels), rows.base)
        score = scores(total, rows.base, ()).base
        found = {
            "miou": score,
            "images": len(opened.fold.base.images),
            "queries": len(query.images),
            "seconds": seconds,
            "device": device_name(pick_device(self.o.device)),
            "classes": {rows.names[number]: total.iou(number) for number in rows.base},
        }
        write_text(at / "base.json", json.dumps(found, indent=1))
        say(f"fold {fold}: base mIoU {percent(score)} before the novel stage, {seconds:.0f} s, on {found['device']}")
        self.write()

    def progress(self, fold: int, steps: int) -> Callable[..., None]:
        """Tells of every tenth of the steps, and ends the training where the time is up."""
        done, began = 0, time.monotonic()

        def advance(units: int, _: str = "") -> None:
            nonlocal done
            if time.monotonic() > self.deadline:
                raise OutOfTimeError
            before, done = done, done + units
            if steps and before * 10 // steps < done * 10 // steps:
                say(f"fold {fold}: base step {done} of {steps}, {time.monotonic() - began:.0f} s")

        return advance

    def learn(self, way: Way) -> bool:
        """All runs of a way, in a process of its own; ended where the time is up, when finished runs are kept.

        Returns:
            Whether nothing went wrong in it.
        """
        out, began = self.out(way), time.monotonic()
        options = {
            **self.settings(way.fold),
            "method": "gaps",
            "layout": way.layout,
            "guided_share": GUIDED_SHARE if way.guided else 0.0,
            "shots": way.shots,
            "runs": self.o.runs,
            "out": out,
        }
        flags = [str(part) for name, value in options.items() for part in (f"--{name.replace('_', '-')}", value)]
        root = str(Path(aligndiff_cli.__file__).parents[1])
        path = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = {"OMP_NUM_THREADS": "2", **os.environ, "PYTHONPATH": path}
        log = out.with_suffix(".log")
        left = self.deadline - time.monotonic()
        if left <= 0:
            return True
        with log.open("w") as file:
            program = [sys.executable, "-m", "aligndiff_cli", "evaluate", "gfss", *flags]
            process = subprocess.Popen(program, stdout=file, stderr=subprocess.STDOUT, env=environment)
            try:
                code = process.wait(left)
            except subprocess.TimeoutExpired:
                process.terminate()
                code = process.wait()
        seconds = time.monotonic() - began
        say(f"fold {way.fold}, {way.shots} shot, {way.name}: {len(self.found(way))} runs, {seconds:.0f} s, code {code}")
        if code > 0:
            say(log.read_text()[-800:])
        self.write()
        return code <= 0

    def found(self, way: Way) -> Scores:
        """The runs of a way that are finished."""
        out = self.out(way)
        if not out.is_dir():
            return {}
        records = read_records(out).values()
        return {record.parameters["run"]: record.measured["last"] for record in records}

    def write(self) -> None:
        """Write the result as it stands."""
        with self._writing:
            write_text(self.o.result, markdown(list(self.blocks())))

    def blocks(self) -> Iterator[Block]:
        """Of the result."""
        o = self.o
        yield (
            f"Pictures of {o.side} px, windows of {o.crop} px; {o.epochs} epochs of the base images in steps of "
            f"{o.base_batch}; five novel classes at once, {o.iterations} iterations of {o.batch}. mIoU in percent, "
            "mean ± sd over runs."
        )
        bases = {fold: self.folder(fold) / "base.json" for fold in o.fold}
        told = {fold: json.loads(path.read_text()) for fold, path in bases.items() if path.is_file()}
        rows = []
        for fold, base in told.items():
            over = "yes" if base["miou"] > BAR else "no"
            counts = [str(base["images"]), str(base["queries"])]
            rows.append([str(fold), *counts, percent(base["miou"]), over, f"{base['seconds']:.0f}", base["device"]])
        columns = ["fold", "base pictures", "queries", "base mIoU before the novel stage", f"over {BAR:.0%}", "s", "on"]
        yield Table(columns, rows)
        for fold in told:
            for shots in o.shots:
                results = {(w.layout, w.guided): self.found(w) for w in self.ways(fold) if w.shots == shots}
                if any(results.values()):
                    yield from tables(f"fold {fold}, {shots} shot{'s' * (shots > 1)}", results)


def tables(title: str, results: dict[tuple[str, bool], Scores]) -> Iterator[Table]:
    """The four ways, and what layout and guidance add, each compared run by run with the same few shots.

    Args:
        results: of each layout, with guidance and without; what has no runs is left out.
    """
    ways = {key: Way(0, 0, *key).name for key in results}
    rows = [[ways[key], str(len(found)), *cells(found.values())] for key, found in results.items() if found]
    yield Table([title, "runs", "base", "novel", "HM"], rows)
    rows = []
    pairs = [(f"layout, {ways['paste', g][7:]}", ("paste", g), ("plain", g)) for g in (True, False)]
    pairs += [(f"guidance, {layout}", (layout, True), (layout, False)) for layout in LAYOUTS]
    for name, one, other in pairs:
        both = sorted(results[one].keys() & results[other].keys())
        gains = [{f: results[one][run][f] - results[other][run][f] for f in FIGURES} for run in both]
        if gains:
            rows.append([name, str(len(both)), *cells(gains, signed=True)])
    if rows:
        yield Table([f"{title}: added by", "runs", "base", "novel", "HM"], rows)


def cells(runs: Iterable[dict[str, float]], signed: bool = False) -> list[str]:
    """Mean ± sd of each figure over runs, in percent; with its sign where it is a difference."""
    runs = list(runs)
    found = [spread(run[figure] for run in runs) for figure in FIGURES]
    return [("+" if signed and (over.mean or 0) > 0 else "") + spread_percent(asdict(over)) for over in found]


def device_name(device: Any) -> str:
    """What the device is called."""
    import torch

    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def main(words: Sequence[str] | None = None) -> int:
    """Prepare, train, compare; the exit code says whether all went well."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="an ImageNet ResNet in transformers' layout")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--result", type=Path, help="the Markdown file; result.md in --work unless given")
    parser.add_argument("--fold", type=int, nargs="+", default=[3], choices=range(4))
    parser.add_argument("--shots", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--side", type=int, default=320, help="long side of the pictures, pixels")
    parser.add_argument("--crop", type=int, default=256, help="side of training windows, pixels")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--base-batch", type=int, default=16)
    parser.add_argument("--iterations", type=int, default=100)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--jobs", type=int, default=1, help="ways under way at a time, each in a process")
    parser.add_argument("--limit", type=float, default=1e9, help="seconds after which what is under way is ended")
    o = parser.parse_args(words)
    o.result = o.result or o.work / "result.md"
    if not (o.data.is_dir() and o.weights.is_dir()):
        say("The photographs or the weights are not there; nothing was measured.")
        return 0
    well = Benchmark(o).run()
    say(o.result.read_text())
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
