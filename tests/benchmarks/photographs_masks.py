"""Algorithm 1 on photographs, with class activation maps for coarse masks; prints Markdown tables.

    python -m tests.benchmarks.photographs_masks --data DIR --backbone DIR --work DIR [--noise] [--sheet CLASS ...]

DIR of the data holds <class>/<stem>.jpg with <stem>.png masks, of PASCAL VOC's 20 classes; fold f holds classes
5f .. 5f + 4 in alphabetical order, which is VOC's. The backbone is a ResNet with its ImageNet classifier, whose maps of
the three most probable classes make the coarse masks: the most probable of each picture, or of all pictures of a class
together. Of a class up to --pictures photographs are taken, in a seeded order. A draw makes 1 or 5 of them the real
pairs; the others stand for synthetic pictures, whose coarse masks are refined by SSP on the same backbone. Per picture
the IoU is taken at its own size, then averaged over the pictures of a class, and over the classes; mean and standard
deviation are over draws. Alpha and what is kept are chosen on folds 0 to 2; fold 3 is reported. Each class leaves a
file in --work, so that a second run goes on where the first was stopped. With --noise noise learning is measured as
well, on fold 3 alone: it trains three networks a class. With --sheet the first draw of a class is drawn, as chosen.
Where the data or the backbone are absent, it says so and ends with code 0.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from aligndiff_cli.disk.images import write_png
from aligndiff_cli.disk.support import load_pair, scan_support
from aligndiff_cli.method.consensus import ESTIMATE_PROBABILITY, Image, Mask, iou, refine
from aligndiff_cli.method.noise_learning import learn_noise
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.noise_learner import NoiseLearner, NoiseSettings
from aligndiff_cli.models.segmenters.ssp import SspSegmenter, SspSettings
from aligndiff_cli.report import paint
from aligndiff_cli.report.sheets import CELL, Row, Tile, contact_sheet
from aligndiff_cli.table import Table
from tests.benchmarks.activation_maps import Ask, Classifier, load_classifier
from tests.benchmarks.cached_ssp import CachedSsp
from tests.benchmarks.photographs import Remembering
from tests.benchmarks.photographs_gfss import shrunk
from tests.benchmarks.photographs_masks_tables import (
    ALONE,
    ALPHAS,
    ASKS,
    CHOSEN_ON,
    KEEPS,
    SHOTS,
    Found,
    Setting,
    by_class,
    choose,
    coarse_name,
    noise_table,
    row_name,
    table,
)

SEED = 0
SSP = SspSettings(stages=(3, 4))


@dataclass(frozen=True)
class Photograph:
    """A picture uint8 (H, W, 3), its true mask and its coarse ones, bool (H, W)."""

    image: Image
    truth: Mask
    coarse: dict[Ask, Mask]


def read(root: Path, cls: str, classifier: Classifier, o: argparse.Namespace) -> list[Photograph]:
    """Up to ``o.pictures`` photographs of a class in a seeded order."""
    pairs = [pair for pair in scan_support(root).pairs if pair.cls == cls]
    order = np.random.default_rng(item_seed(SEED, f"photographs {cls}")).permutation(len(pairs))[: o.pictures]
    loaded = [load_pair(pairs[index]) for index in order]
    found = {ask: classifier.coarse([image for image, _ in loaded], o.size, ask) for ask in ASKS}
    return [Photograph(*pair, {ask: found[ask][index] for ask in ASKS}) for index, pair in enumerate(loaded)]


def draws(photographs: Sequence[Photograph], cls: str, shots: int, count: int) -> Iterator[tuple[list, list]]:
    """The real ones and the others, of each draw."""
    for draw in range(count):
        rng = np.random.default_rng(item_seed(SEED, f"real pairs {cls} {shots} {draw}"))
        real = set(rng.choice(len(photographs), shots, replace=False).tolist())
        yield [photographs[i] for i in sorted(real)], [p for i, p in enumerate(photographs) if i not in real]


def masks(segmenter: CachedSsp, real: Sequence[Photograph], others: Sequence[Photograph]) -> Iterator[tuple[str, list]]:
    """Row, and each picture's mask with whether it was kept in scoring."""
    pairs, images = [(p.image, p.truth) for p in real], [p.image for p in others]
    state = segmenter.condition(pairs)
    yield ALONE, [(soft >= ESTIMATE_PROBABILITY, False) for soft in segmenter.predict(state, images)]
    for ask in ASKS:
        coarse = [p.coarse[ask] for p in others]
        yield coarse_name(ask), [(mask, False) for mask in coarse]
        for keep in KEEPS:
            for alpha in ALPHAS:
                done = dict(refine(segmenter, pairs, images, coarse, alpha=alpha, keep=keep))
                yield row_name(ask, alpha, keep), [(done[i].mask, done[i].accepted) for i in range(len(others))]
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


def noise(photographs: Sequence[Photograph], cls: str, o: argparse.Namespace) -> dict:
    """Per picture the IoU of the coarse mask, of the held-out prediction if it is kept (else None); CPU time."""
    began = time.process_time()
    small = [shrunk(p.image, p.coarse["class"], o.noise_side) for p in photographs]
    settings = NoiseSettings(o.noise_steps, o.noise_batch)
    learner = NoiseLearner(o.backbone, settings, torch.device("cpu"), item_seed(SEED, cls), lambda _: None)
    images, coarse = [image for image, _ in small], [mask for _, mask in small]
    ids = [str(index) for index in range(len(small))]
    found: list = [None] * len(small)
    for index, result in learn_noise(learner, ids, images, coarse, keep="prediction", seed=SEED):
        if result.accepted:
            truth = shrunk(photographs[index].image, photographs[index].truth, o.noise_side)[1]
            found[index] = iou(result.mask, truth)
    seconds = (time.process_time() - began) / len(small)
    return {"coarse": [iou(p.coarse["class"], p.truth) for p in photographs], "kept": found, "seconds": seconds}


def seconds(photographs: Sequence[Photograph], classifier: Classifier, segmenter: SspSegmenter) -> Table:
    """CPU seconds per picture of each way with nothing kept from before, one real pair, the rest refined."""
    (first, *others), size = photographs, segmenter.size or 0
    pairs, images, coarse = [(first.image, first.truth)], [p.image for p in others], [p.coarse["class"] for p in others]
    ways: dict[str, Callable[[], object]] = {
        "coarse": lambda: classifier.coarse(images, size, "class"),
        ALONE: lambda: segmenter.predict(segmenter.condition(pairs), images),
        "Algorithm 1, alpha 0.6": lambda: list(refine(segmenter, pairs, images, coarse, alpha=0.6)),
    }
    rows = []
    for name, way in ways.items():
        began = time.process_time()
        way()
        rows.append([name, f"{(time.process_time() - began) / len(images):.2f}"])
    return Table(["way", "CPU seconds a picture"], rows)


def sheet(photographs: Sequence[Photograph], segmenter: CachedSsp, cls: str, chosen: Setting) -> Image:
    """First draw, one shot: coarse, SSP alone and refined outlines; what was kept in scoring has a green frame."""
    real, others = next(draws(photographs, cls, 1, 1))
    made = dict(masks(segmenter, real, others))
    source = paint.outline(paint.fitted(real[0].image, CELL), paint.fitted_mask(real[0].truth, CELL), paint.GREEN)
    rows = [Row([Tile(source)], "the real pair")]
    for name, colour in (
        (coarse_name("class"), paint.YELLOW),
        (ALONE, paint.MAGENTA),
        (row_name("class", *chosen), paint.CYAN),
    ):
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


def kept_on_disk(path: Path, settings: dict, make: Callable[[str], dict]) -> dict:
    """What the class's file holds if it was made with these settings; else it is made."""
    if path.is_file():
        held = json.loads(path.read_text(encoding="utf-8"))
        if held["settings"] == settings:
            return held["results"]
    results = make(path.stem)
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
    parser.add_argument("--size", type=int, default=256, help="side of the backbone's inputs")
    parser.add_argument("--pictures", type=int, default=16, help="most photographs of a class")
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
    classes = sorted({pair.cls for pair in scan_support(o.data).pairs})

    def opened(cls: str) -> tuple[list[Photograph], CachedSsp]:
        features = Remembering(classifier.backbone, every_block=False)
        photographs = read(o.data, cls, replace(classifier, backbone=features), o)
        return photographs, CachedSsp(SspSegmenter(features, o.size, SSP))

    def measured(cls: str) -> dict:
        photographs, segmenter = opened(cls)
        return measure(photographs, cls, segmenter, o.draws)

    def judged(cls: str) -> dict:
        return noise(opened(cls)[0], cls, o)

    settings = {"size": o.size, "pictures": o.pictures, "draws": o.draws}
    if o.noise:
        training = {"side": o.noise_side, "steps": o.noise_steps, "batch": o.noise_batch, **settings}
        noises = {cls: kept_on_disk(o.work / "noise" / f"{cls}.json", training, judged) for cls in classes[CHOSEN_ON:]}
        print(noise_table(noises).markdown())
    results = {cls: kept_on_disk(o.work / f"{cls}.json", settings, measured) for cls in classes}
    chosen = {ask: choose(results, classes[:CHOSEN_ON], ask) for ask in ASKS}
    for shots in SHOTS:
        print(table(results, shots, classes).markdown())
    print("Chosen on folds 0 to 2:", "; ".join(row_name(ask, *chosen[ask]) for ask in ASKS), "\n")
    print(by_class(results, classes, chosen).markdown())
    print(seconds(opened(classes[-1])[0], classifier, SspSegmenter(classifier.backbone, o.size, SSP)).markdown())
    for cls in o.sheet:
        write_png(o.work / "sheets" / f"{cls}.png", sheet(*opened(cls), cls, chosen["class"]))


if __name__ == "__main__":
    main()
