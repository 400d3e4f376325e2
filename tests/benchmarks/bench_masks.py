"""Masks, in passes of one picture through the segmenter's own backbone, which is the floor; prints a Markdown table.

    python tests/benchmarks/bench_masks.py [BACKBONE] [--rounds 3]

SSP is measured on a ResNet-50, BACKBONE's or a random one; HSNet is the bundled one. CPU time of one thread; a pass is
measured before and after every figure, and the median of the ratios counts. In Algorithm 1 every second picture is
accepted; the real ones, which need their pass too, count as pictures. Where HSNet is shown more pairs than vote, they
are chosen as Algorithm 1 does.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import torch
from transformers import ResNetConfig, ResNetModel

from aligndiff_cli.disk.support import load_pair, scan_support
from aligndiff_cli.method.consensus import Good, Image, Mask, Pair, refine
from aligndiff_cli.method.diversity import look
from aligndiff_cli.models.segmenters import load_segmenter
from aligndiff_cli.models.segmenters.backbone import Backbone, load_backbone
from aligndiff_cli.models.segmenters.base import Conditioned, FeatureSegmenter
from aligndiff_cli.models.segmenters.hsnet import HsnetSegmenter
from aligndiff_cli.models.segmenters.ssp import SspSegmenter, SspSettings
from aligndiff_cli.table import Table

QUERY = Path(__file__).resolve().parents[2] / "sample_data" / "query"
SIZE = 320


def photographs(count: int) -> list[Pair]:
    """The sample pictures with their masks, over and over."""
    pairs = [load_pair(pair) for pair in scan_support(QUERY).pairs]
    return list(itertools.islice(itertools.cycle(pairs), count))


def resnet_50(source: str | None) -> Backbone:
    """The one of a folder, or a random one: what it costs is the same."""
    if source is not None:
        return load_backbone(source)
    torch.manual_seed(0)
    return Backbone(ResNetModel(ResNetConfig()), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def passes(segmenter: FeatureSegmenter, work: Callable[[], object], pictures: int, rounds: int) -> float:
    """CPU time of the work a picture, over that of a picture's pass; the median of some rounds."""
    assert segmenter.size is not None
    pixels = segmenter.backbone.pixels([image for image, _ in photographs(segmenter.batch)], segmenter.size)
    ratios = []
    _seconds(lambda: segmenter.look(pixels))  # warms up
    for _ in range(rounds):
        floor = _seconds(lambda: segmenter.look(pixels))
        taken = _seconds(work) / pictures
        floor = (floor + _seconds(lambda: segmenter.look(pixels))) / 2 / len(pixels)
        ratios.append(taken / floor)
    return statistics.median(ratios)


@torch.no_grad()
def _seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began


def coarse_masks(segmenter: FeatureSegmenter, real: Sequence[Pair], images: Sequence[Image]) -> list[Mask]:
    """What the segmenter finds in every second picture, so that it is accepted, and the rest of every other."""
    found = [soft >= 0.4 for soft in segmenter.predict(segmenter.condition(real), images)]
    return [mask if number % 2 else ~mask for number, mask in enumerate(found)]


def algorithm_1(segmenter: FeatureSegmenter, shots: int, count: int, rounds: int) -> tuple[float, float]:
    """Passes a picture, and the share of pictures that are accepted."""
    pairs = photographs(shots + count)
    real, images = pairs[:shots], [image for image, _ in pairs[shots:]]
    coarse = coarse_masks(segmenter, real, images)
    accepted: list[bool] = []

    def work() -> None:
        results = refine(segmenter, real, images, coarse, max_supports=segmenter.max_supports)
        accepted.extend(found.accepted for _, found in results)

    return passes(segmenter, work, shots + count, rounds), statistics.mean(accepted)


def shown(segmenter: FeatureSegmenter, count: int, most: int | None) -> Conditioned:
    """The segmenter conditioned on one real pair and what Algorithm 1 chooses of count - 1 good ones."""
    first, *others = photographs(count)
    good: Good[Conditioned] = Good(most)
    for index, (image, mask) in enumerate(others):
        if good.takes(1.0):
            good.offer(index, 1.0, segmenter.condition([(image, mask)]), look(image))
    return segmenter.join([segmenter.condition([first]), *good.states()])


def rows(arguments: argparse.Namespace) -> Iterator[tuple[str, float]]:
    """What is measured, and its passes a picture."""
    rounds = arguments.rounds
    ssp = SspSegmenter(resnet_50(arguments.backbone), SIZE, SspSettings(stages=(3, 4)))
    for shots in (1, 20):
        ratio, share = algorithm_1(ssp, shots, 12, max(1, rounds // 3))
        yield f"Algorithm 1, SSP on a ResNet-50, {shots} real, {share:.0%} accepted", ratio
    hsnet = load_segmenter("hsnet", device="cpu")
    assert isinstance(hsnet, HsnetSegmenter)
    images = [image for image, _ in photographs(16)]
    for count, most in ((1, hsnet.max_supports), (20, hsnet.max_supports), (100, hsnet.max_supports), (20, None)):
        state = shown(hsnet, count, most)
        ratio = passes(hsnet, lambda state=state: hsnet.predict(state, images), len(images), rounds)  # type: ignore[misc]
        yield f"HSNet, bundled, predict, {count} supports of which {len(state)} vote", ratio
    ratio, share = algorithm_1(hsnet, 1, 50, rounds)
    yield f"Algorithm 1, HSNet, bundled, 1 real, {share:.0%} accepted", ratio


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("backbone", nargs="?", help="a ResNet-50: folder or hub id")
    parser.add_argument("--rounds", type=int, default=3, help="a third of them for the ResNet-50")
    torch.set_num_threads(1)
    made = [[name, f"{ratio:.1f}"] for name, ratio in rows(parser.parse_args())]
    print(Table(["work", "backbone passes a picture"], made).markdown())


if __name__ == "__main__":
    main()
