"""What of a synthetic pair costs a few-shot segmenter IoU: its mask, its resolution, the VAE, or what is drawn?

    python tests/benchmarks/sample_cost.py --work DIR [--seed 1] [--queries 20]

Emoji-FSS validation classes. The bundled segmenter is shown one real pair and 20 more, which are real to begin with and
from row to row more like a sample: with predicted masks, at the pocket model's 64 pixels, through its VAE; at last
samples, with the masks that Algorithm 1 gave them and with better ones. Prints a Markdown table. Every command keeps
what is done.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch

from aligndiff_cli.disk.images import read_image, read_mask
from aligndiff_cli.disk.support import load_pair, scan_support
from aligndiff_cli.evaluation.metrics import Overlap, mean, overlap
from aligndiff_cli.evaluation.tables import percent
from aligndiff_cli.method.consensus import ESTIMATE_PROBABILITY
from aligndiff_cli.method.framing import resized, resized_mask
from aligndiff_cli.models.diffusion import DiffusionModel, load_diffusion
from aligndiff_cli.models.segmenters import load_segmenter
from aligndiff_cli.models.segmenters.base import Pair, Segmenter
from aligndiff_cli.stages.common import POCKET_FOLDER
from aligndiff_cli.table import Table
from tests.benchmarks.embeddings import aligndiff

MORE = 20


def made(work: Path, seed: int, queries: int) -> None:
    """Real pairs, queries, samples and their masks."""
    data = ("prepare", "emoji-fss", "--split", "val", "--seed", seed)
    aligndiff(*data, "--shots", 1, "--per-class", queries, "--out", work / "data")
    aligndiff(*data, "--shots", 1 + MORE, "--per-class", 1, "--out", work / "more")
    aligndiff("invert", "--images", work / "data/support", "--out", work / "bank", "--seed", seed)
    aligndiff("generate", "--bank", work / "bank", "--out", work / "synth", "--per-class", 2 * MORE, "--seed", seed)
    support = ("--support", work / "data/support")
    aligndiff("mask", "--images", work / "synth", *support, "--out", work / "masks", "--seed", seed)


def pairs_of(folder: Path) -> list[Pair]:
    """All pairs of one class, in order."""
    return [load_pair(pair) for pair in scan_support(folder).pairs]


def samples(work: Path, name: str, kind: str) -> list[Pair]:
    """A class's inverted or text samples with the masks that Algorithm 1 gave them; without those that are empty."""
    paths = sorted((work / "synth/images" / name).glob(f"{kind}-*.png"))
    pairs = [(read_image(path), read_mask(work / "masks/masks" / name / path.name)) for path in paths]
    return [(image, mask) for image, mask in pairs if mask.any()]


def predicted(segmenter: Segmenter, shown: Sequence[Pair], images: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Masks of images by what is shown."""
    return [soft >= ESTIMATE_PROBABILITY for soft in segmenter.predict(segmenter.condition(shown), images)]


@torch.no_grad()
def through_vae(model: DiffusionModel, image: np.ndarray) -> np.ndarray:
    """An image of the model's size, encoded and decoded."""
    return model.decode(model.encode_images([image]).mean)[0]


def ways(segmenter: Segmenter, model: DiffusionModel, work: Path, name: str) -> Iterator[tuple[str, Sequence[Pair]]]:
    """The pairs shown beside the real one, by what was done to them."""
    real, *more = pairs_of(work / "more/support" / name)
    pictures, masks = [image for image, _ in more], [mask for _, mask in more]
    height, width = model.image_size
    small = [resized(image, height, width, "window") for image in pictures]
    small_masks = [resized_mask(mask, height, width) for mask in masks]
    yield "none", []
    yield "20 real pairs", more
    yield "with masks predicted from the one pair", zipped(pictures, predicted(segmenter, [real], pictures))
    yield f"with true masks, at {height} x {width} pixels", zipped(small, small_masks)
    yield "the same through the VAE", zipped([through_vae(model, image) for image in small], small_masks)
    for kind in ("text", "inverted"):
        drawn = samples(work, name, kind)
        images = [image for image, _ in drawn]
        yield f"{kind} samples, masks by Algorithm 1", drawn
        better = predicted(segmenter, more, images)
        yield f"{kind} samples, masks predicted from 20 real pairs", zipped(images, better)


def zipped(images: Sequence[np.ndarray], masks: Sequence[np.ndarray]) -> list[Pair]:
    """Pairs."""
    return list(zip(images, masks, strict=True))


def score(segmenter: Segmenter, shown: Sequence[Pair], queries: Sequence[Pair]) -> float | None:
    """IoU over all queries of a class together."""
    found = predicted(segmenter, [pair for pair in shown if pair[1].any()], [image for image, _ in queries])
    overlaps = (overlap(mask, truth) for mask, (_, truth) in zip(found, queries, strict=True))
    return sum(overlaps, Overlap()).iou


def main() -> None:
    """Make what is missing, then measure class by class."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--queries", type=int, default=20)
    o = parser.parse_args()
    made(o.work, o.seed, o.queries)
    rare = set((o.work / "data/ood.txt").read_text().split())
    names = (o.work / "data/classes.txt").read_text().split()
    segmenter, model = load_segmenter(device="cpu"), load_diffusion(POCKET_FOLDER, device="cpu")
    scores: dict[str, dict[str, float | None]] = {}
    for name in names:
        real, queries = (pairs_of(o.work / "data" / part / name) for part in ("support", "query"))
        for way, more in ways(segmenter, model, o.work, name):
            scores.setdefault(way, {})[name] = score(segmenter, [*real, *more], queries)
    known = [name for name in names if name not in rare]
    rows = [
        [way, *(percent(mean(found[name] for name in group)) for group in (names, known, sorted(rare)))]
        for way, found in scores.items()
    ]
    print(Table(["beside the real pair", "all", "known", "rare"], rows).markdown())


if __name__ == "__main__":
    main()
