"""Algorithm 1 on photographs, with class activation maps for coarse masks; prints Markdown tables.

    python -m tests.benchmarks.photographs_masks --data DIR --backbone DIR --work DIR [--noise] [--sheet CLASS ...]

DIR of the data holds <class>/<stem>.jpg with <stem>.png masks, of PASCAL VOC's 20 classes; fold f holds classes
5f .. 5f + 4 in alphabetical order, which is VOC's. The backbone is a ResNet with its ImageNet classifier, whose maps of
the three most probable classes make the coarse masks: those of each picture, or (--ask class) those of all pictures of a
class. Of a class up to --pictures photographs are taken, in a seeded order. A draw makes 1 or 5 of them the real pairs;
the others stand for synthetic pictures, whose coarse masks are refined by SSP on the same backbone. Per picture the IoU
is taken at its own size, then averaged over the pictures of a class, and over the classes; mean and standard deviation
are over draws. Alpha and what is kept are chosen on folds 0 to 2; fold 3 is reported. Each class leaves a file in --work,
so that a second run goes on where the first was stopped. With --noise noise learning is measured as well, on fold 3
alone: it trains three networks a class. With --sheet the first draw of a class is drawn, as chosen. Where the data or
the backbone are absent, it says so and ends with code 0.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from aligndiff_cli.disk.images import write_png
from aligndiff_cli.disk.support import load_pair, scan_support
from aligndiff_cli.evaluation.gfss import Spread, spread
from aligndiff_cli.method.consensus import ESTIMATE_PROBABILITY, Image, Keep, Mask, iou, refine
from aligndiff_cli.method.noise_learning import learn_noise
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.noise_learner import NoiseLearner, NoiseSettings
from aligndiff_cli.models.segmenters.ssp import SspSegmenter, SspSettings
from aligndiff_cli.report import paint
from aligndiff_cli.report.sheets import CELL, Row, Tile, contact_sheet
from aligndiff_cli.table import Table
from tests.benchmarks.activation_maps import Classifier, load_classifier
from tests.benchmarks.cached_ssp import CachedSsp
from tests.benchmarks.photographs_gfss import shrunk

SEED = 0
SHOTS = (1, 5)
ALPHAS = (0.5, 0.6, 0.7, 0.8, 0.9)
KEEPS: tuple[Keep, ...] = ("coarse", "prediction")
COARSE, ALONE = "coarse", "SSP alone"
CHOSEN_ON = 15
"""Classes of folds 0 to 2."""

Found = list[tuple[float, bool]]
"""IoU of each picture's mask with the true one, and whether Algorithm 1 kept it in scoring."""
Results = Mapping[str, Mapping[str, Sequence[Found]]]
"""Class -> row -> draws."""


@dataclass(frozen=True)
class Photograph:
    """A picture uint8 (H, W, 3), its true mask and its coarse one, bool (H, W)."""

    image: Image
    truth: Mask
    coarse: Mask


def read(root: Path, cls: str, classifier: Classifier, o: argparse.Namespace) -> list[Photograph]:
    """Up to ``o.pictures`` photographs of a class in a seeded order."""
    pairs = [pair for pair in scan_support(root).pairs if pair.cls == cls]
    order = np.random.default_rng(item_seed(SEED, f"photographs {cls}")).permutation(len(pairs))[: o.pictures]
    loaded = [load_pair(pairs[index]) for index in order]
    coarse = classifier.coarse([image for image, _ in loaded], o.size, o.ask)
    return [Photograph(image, truth, mask) for (image, truth), mask in zip(loaded, coarse, strict=True)]


def draws(photographs: Sequence[Photograph], cls: str, shots: int, count: int) -> Iterator[tuple[list, list]]:
    """The real ones and the others, of each draw."""
    for draw in range(count):
        rng = np.random.default_rng(item_seed(SEED, f"real pairs {cls} {shots} {draw}"))
        real = set(rng.choice(len(photographs), shots, replace=False).tolist())
        yield [photographs[i] for i in sorted(real)], [p for i, p in enumerate(photographs) if i not in real]


def row_name(alpha: float, keep: Keep) -> str:
    """Of Algorithm 1 at one setting."""
    return f"Algorithm 1, alpha {alpha}, keep {keep}"


def masks(segmenter: CachedSsp, real: Sequence[Photograph], others: Sequence[Photograph]) -> Iterator[tuple[str, list]]:
    """Row, and each picture's mask with whether it was kept in scoring."""
    pairs, images, coarse = [(p.image, p.truth) for p in real], [p.image for p in others], [p.coarse for p in others]
    yield COARSE, [(mask, False) for mask in coarse]
    state = segmenter.condition(pairs)
    yield ALONE, [(soft >= ESTIMATE_PROBABILITY, False) for soft in segmenter.predict(state, images)]
    for keep in KEEPS:
        for alpha in ALPHAS:
            done = dict(refine(segmenter, pairs, images, coarse, alpha=alpha, keep=keep))
            yield row_name(alpha, keep), [(done[i].mask, done[i].accepted) for i in range(len(others))]
    segmenter.forget()


def measure(photographs: Sequence[Photograph], cls: str, segmenter: CachedSsp, count: int) -> dict[str, list[Found]]:
    """``"<shots> <row>"`` -> draws, of one class."""
    results: dict[str, list[Found]] = {}
    for shots in SHOTS:
        for real, others in draws(photographs, cls, shots, count):
            for name, made in masks(segmenter, real, others):
                found = [(iou(mask, p.truth), kept) for (mask, kept), p in zip(made, others, strict=True)]
                results.setdefault(f"{shots} {name}", []).append(found)
    return results


def noise(photographs: Sequence[Photograph], cls: str, backbone: Path, o: argparse.Namespace) -> dict:
    """Per picture the IoU of the coarse mask, of the held-out prediction if it is kept (else None); CPU time."""
    began = time.process_time()
    small = [shrunk(p.image, p.coarse, o.noise_side) for p in photographs]
    settings = NoiseSettings(o.noise_steps, o.noise_batch)
    learner = NoiseLearner(backbone, settings, torch.device("cpu"), item_seed(SEED, cls), lambda _: None)
    images, coarse = [image for image, _ in small], [mask for _, mask in small]
    ids = [str(index) for index in range(len(small))]
    found: list = [None] * len(small)
    for index, result in learn_noise(learner, ids, images, coarse, keep="prediction", seed=SEED):
        if result.accepted:
            truth = shrunk(photographs[index].image, photographs[index].truth, o.noise_side)[1]
            found[index] = iou(result.mask, truth)
    seconds = (time.process_time() - began) / len(small)
    return {"coarse": [iou(p.coarse, p.truth) for p in photographs], "kept": found, "seconds": seconds}


def overall(results: Results, classes: Sequence[str], row: str) -> Spread:
    """Mean and deviation over draws of the mean over classes of the mean over pictures, in percent."""
    per_class = [[np.mean([value for value, _ in draw]) for draw in results[cls][row]] for cls in classes]
    return spread(100 * float(value) for value in np.mean(per_class, axis=0))


def gain(results: Results, classes: Sequence[str], row: str, other: str) -> Spread:
    """The same of the difference between two rows, draw by draw."""
    both = [
        [[np.mean([value for value, _ in draw]) for draw in results[cls][name]] for cls in classes]
        for name in (row, other)
    ]
    return spread(100 * float(value) for value in np.mean(np.subtract(*both), axis=0))


def kept(results: Results, classes: Sequence[str], row: str, other: str) -> tuple[float, float, float, float, float]:
    """Percent kept in scoring; IoU of the kept and of the rest, each by ``row`` and by ``other``."""
    mine = [item for cls in classes for draw in results[cls][row] for item in draw]
    theirs = [value for cls in classes for draw in results[cls][other] for value, _ in draw]
    parts = []
    for part in (True, False):
        chosen = [(value, them) for (value, flag), them in zip(mine, theirs, strict=True) if flag == part]
        parts += [100 * float(np.mean(side)) for side in zip(*chosen, strict=True)] if chosen else [np.nan] * 2
    return (100 * float(np.mean([flag for _, flag in mine])), *parts)


def choose(results: Results, classes: Sequence[str]) -> tuple[float, Keep]:
    """The setting with the highest mean over 1 and 5 shots."""

    def score(setting: tuple[float, Keep]) -> float:
        means = [overall(results, classes, f"{shots} {row_name(*setting)}").mean for shots in SHOTS]
        return sum(mean for mean in means if mean is not None)

    return max(((alpha, keep) for keep in KEEPS for alpha in ALPHAS), key=score)


def words(value: Spread, sign: str = "") -> str:
    """``34.1 ± 0.6``."""
    return f"{value.mean:{sign}.1f} ± {value.sd:.1f}"


def table(results: Results, shots: int, classes: Sequence[str]) -> Table:
    """Every row on folds 0 to 2 and on fold 3, with what Algorithm 1 kept on fold 3."""
    before, last = classes[:CHOSEN_ON], classes[CHOSEN_ON:]
    alone = f"{shots} {ALONE}"
    rows = []
    for name in (COARSE, ALONE, *(row_name(alpha, keep) for keep in KEEPS for alpha in ALPHAS)):
        row = f"{shots} {name}"
        cells = [words(overall(results, before, row)), words(overall(results, last, row))]
        if name not in (COARSE, ALONE):
            share, *ious = kept(results, last, row, alone)
            cells += [words(gain(results, last, row, alone), "+"), f"{share:.0f}"]
            cells += [" / ".join("-" if np.isnan(v) else f"{v:.0f}" for v in ious[i : i + 2]) for i in (0, 2)]
        rows.append([name, *cells, *[""] * (6 - len(cells))])
    heads = ["folds 0-2", "fold 3", "over SSP alone", "kept, %", "kept: IoU / SSP's", "rest: IoU / SSP's"]
    return Table([f"{shots} shot", *heads], rows)


def by_class(results: Results, classes: Sequence[str], chosen: tuple[float, Keep]) -> Table:
    """Mean over draws, class by class."""
    names = (COARSE, ALONE, row_name(*chosen))
    columns = [f"{shots} {name}" for shots in SHOTS for name in names][:3] + [f"5 {name}" for name in names[1:]]
    rows = [[cls, *(f"{overall(results, [cls], column).mean:.1f}" for column in columns)] for cls in classes]
    heads = [column.replace("1 ", "1 shot: ", 1).replace("5 ", "5 shot: ", 1) for column in columns]
    return Table(["class", "coarse", *heads[1:]], rows)


def seconds(photographs: Sequence[Photograph], classifier: Classifier, segmenter: SspSegmenter) -> Table:
    """CPU seconds per picture of each way with nothing kept from before, one real pair, the rest refined."""
    (first, *others), size = photographs, segmenter.size or 0
    pairs, images, coarse = [(first.image, first.truth)], [p.image for p in others], [p.coarse for p in others]
    ways: dict[str, Callable[[], object]] = {
        COARSE: lambda: classifier.coarse(images, size, "class"),
        ALONE: lambda: segmenter.predict(segmenter.condition(pairs), images),
        row_name(0.6, "coarse"): lambda: list(refine(segmenter, pairs, images, coarse, alpha=0.6)),
    }
    rows = []
    for name, way in ways.items():
        began = time.process_time()
        way()
        rows.append([name, f"{(time.process_time() - began) / len(images):.2f}"])
    return Table(["way", "CPU seconds a picture"], rows)


def noise_table(noises: Mapping[str, dict]) -> Table:
    """What noise learning kept of each class."""
    rows = []
    for cls, found in noises.items():
        flags = np.array([value is not None for value in found["kept"]])
        coarse = 100 * np.array(found["coarse"])
        predicted = [100 * value for value in found["kept"] if value is not None]
        means = [coarse.mean(), coarse[flags].mean() if flags.any() else np.nan, np.mean(predicted or [np.nan])]
        rows.append([cls, str(len(flags)), str(flags.sum()), *(f"{m:.1f}" for m in means), f"{found['seconds']:.0f}"])
    heads = ["pictures", "kept", "coarse, all", "coarse, kept", "prediction, kept", "CPU seconds a picture"]
    return Table(["noise learning", *heads], rows)


def sheet(photographs: Sequence[Photograph], cls: str, segmenter: CachedSsp, chosen: tuple[float, Keep]) -> Image:
    """First draw, one shot: coarse, SSP alone and refined outlines; what was kept in scoring has a green frame."""
    real, others = next(draws(photographs, cls, 1, 1))
    made = dict(masks(segmenter, real, others))
    source = paint.outline(paint.fitted(real[0].image, CELL), paint.fitted_mask(real[0].truth, CELL), paint.GREEN)
    rows = [Row([Tile(source)], "the real pair")]
    for name, colour in ((COARSE, paint.YELLOW), (ALONE, paint.MAGENTA), (row_name(*chosen), paint.CYAN)):
        tiles = [
            Tile(
                paint.outline(paint.fitted(p.image, CELL), paint.fitted_mask(mask, CELL), colour),
                f"IoU {iou(mask, p.truth):.2f}",
                paint.GREEN if flag else None,
            )
            for (mask, flag), p in zip(made[name][:8], others[:8], strict=True)
        ]
        rows.append(Row(tiles, name))
    return contact_sheet(rows, f"{cls}: one real pair, eight photographs")


def kept_on_disk(path: Path, settings: dict, make: Callable[[], dict]) -> dict:
    """What the file holds if it was made with these settings; else it is made."""
    if path.is_file():
        held = json.loads(path.read_text(encoding="utf-8"))
        if held["settings"] == settings:
            return held["results"]
    results = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"settings": settings, "results": results}), encoding="utf-8")
    print(f"{path.stem}: {settings} done", flush=True)
    return json.loads(path.read_text(encoding="utf-8"))["results"]


def parsed() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--size", type=int, default=320, help="side of the backbone's inputs")
    parser.add_argument("--ask", choices=("picture", "class"), default="picture", help="whose maps are read")
    parser.add_argument("--pictures", type=int, default=20, help="most photographs of a class")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--sheet", nargs="+", default=[], metavar="CLASS")
    parser.add_argument("--noise", action="store_true")
    parser.add_argument("--noise-side", type=int, default=96, help="long side of noise learning's pictures")
    parser.add_argument("--noise-steps", type=int, default=60)
    parser.add_argument("--noise-batch", type=int, default=4)
    return parser.parse_args()


def main() -> None:
    """Measure what is not measured yet, and print."""
    o = parsed()
    for needed in (o.data, o.backbone):
        if not needed.is_dir():
            print(f"{needed}: not there; nothing was measured")
            return
    classifier = load_classifier(o.backbone)
    segmenter = SspSegmenter(classifier.backbone, o.size, SspSettings(stages=(3, 4)))
    classes = sorted({pair.cls for pair in scan_support(o.data).pairs})

    def photographs(cls: str) -> list[Photograph]:
        return read(o.data, cls, classifier, o)

    settings = {"size": o.size, "pictures": o.pictures, "draws": o.draws, "ask": o.ask}
    results = {
        cls: kept_on_disk(
            o.work / o.ask / f"{cls}.json",
            settings,
            lambda cls=cls: measure(photographs(cls), cls, CachedSsp(segmenter), o.draws),
        )
        for cls in classes
    }
    chosen = choose(results, classes[:CHOSEN_ON])
    for shots in SHOTS:
        print(table(results, shots, classes).markdown())
    print(f"Chosen on folds 0 to 2: {row_name(*chosen)}\n")
    print(by_class(results, classes, chosen).markdown())
    print(seconds(photographs(classes[-1]), classifier, segmenter).markdown())
    for cls in o.sheet:
        write_png(o.work / f"{o.ask}-sheets" / f"{cls}.png", sheet(photographs(cls), cls, CachedSsp(segmenter), chosen))
    if o.noise:
        training = {"side": o.noise_side, "steps": o.noise_steps, "batch": o.noise_batch, **settings}
        noises = {
            cls: kept_on_disk(
                o.work / f"{o.ask}-noise" / f"{cls}.json",
                training,
                lambda cls=cls: noise(photographs(cls), cls, o.backbone, o),
            )
            for cls in classes[CHOSEN_ON:]
        }
        print(noise_table(noises).markdown())


if __name__ == "__main__":
    main()
