"""Few-shot segmenters on photographs of PASCAL VOC's classes; prints a Markdown table.

    python tests/benchmarks/photographs.py --data DIR --backbone DIR [--fold F] [--train STEPS --work DIR]

DIR of the data holds <class>/<stem>.jpg with <stem>.png masks (any non-zero pixel is the class), of 20
classes; fold f holds classes 5f .. 5f + 4 in alphabetical order. The episodes are a fixed, seeded list:
class j of the fold in turn, the query and its supports drawn without repetition. mIoU: intersections and
unions are pooled per class at the photographs' own size, divided, and averaged over the five classes.
With --train, HSNet is trained on the 15 other classes of --fold, and scored on the same episodes.
Where the data or the backbone are absent, it says so and ends with code 0.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image as Pil
from torch import Tensor

from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.segmenters.backbone import Backbone, load_backbone
from aligndiff_cli.models.segmenters.base import Pair, Segmenter, resize_mask
from aligndiff_cli.models.segmenters.checkpoint import save_hsnet
from aligndiff_cli.models.segmenters.hsnet import HSNet, HsnetSegmenter, masked_features
from aligndiff_cli.models.segmenters.prototype import PrototypeSegmenter
from aligndiff_cli.models.segmenters.ssp import SspSegmenter, SspSettings
from aligndiff_cli.pocket.recipe.episodes import Batch, Episode, mean_iou, train_hsnet

FOLDS = range(4)
SEED = 0


class Remembering(Backbone):
    """A backbone that computes each image once and keeps its blocks in float16.

    Args:
        backbone: whose network and statistics are used.
        every_block: keep every block of stages 2 to 4, or only the last of stages 3 and 4.
    """

    def __init__(self, backbone: Backbone, *, every_block: bool) -> None:
        super().__init__(backbone.net, backbone.mean.flatten().tolist(), backbone.std.flatten().tolist())
        self.every_block = every_block
        self._kept: dict[bytes, list[list[Tensor]]] = {}

    def stages(self, pixels: Tensor, last: int = 4) -> list[list[Tensor]]:
        kept = [self._one(image) for image in pixels]
        return [
            [torch.stack([image[stage][block] for image in kept]).float() for block in range(len(blocks))]
            for stage, blocks in enumerate(kept[0][:last])
        ]

    def _one(self, pixels: Tensor) -> list[list[Tensor]]:
        key = pixels.numpy().tobytes()[:: max(1, pixels.numel() // 5000)] + bytes(str(pixels.sum()), "ascii")
        if key not in self._kept:
            with torch.no_grad():
                stages = super().stages(pixels[None])
            wanted = stages[1:] if self.every_block else [blocks[-1:] for blocks in stages[2:]]
            short = [[block[0].half() for block in blocks] for blocks in wanted]
            self._kept[key] = [[] for _ in range(4 - len(short))] + short
        return self._kept[key]


class Photographs:
    """The classes' photographs with their masks, read once."""

    def __init__(self, root: Path) -> None:
        self.classes = sorted(folder.name for folder in root.iterdir() if folder.is_dir())
        self.pairs = {name: [_read(path) for path in sorted((root / name).glob("*.jpg"))] for name in self.classes}

    def novel(self, fold: int) -> list[str]:
        """The five classes of a fold."""
        return self.classes[5 * fold : 5 * fold + 5]

    def episodes(self, fold: int, shots: int, count: int) -> Iterator[Episode]:
        """The fixed list of a fold and a number of shots."""
        rng = np.random.default_rng(item_seed(SEED, f"episodes {fold} {shots}"))
        names = self.novel(fold)
        for index in range(count):
            pool = self.pairs[names[index % len(names)]]
            query, *supports = rng.choice(len(pool), shots + 1, replace=False)
            yield Episode(names[index % len(names)], [pool[i] for i in supports], *pool[query])

    def held_out(self, fold: int, count: int) -> Iterator[Episode]:
        """One-shot episodes of base classes, from every fifth photograph: never trained on."""
        rng = np.random.default_rng(item_seed(SEED, f"held out {fold}"))
        base = self.base(fold)
        for index in range(count):
            pool = self.pairs[base[index % len(base)]][::5]
            query, support = rng.choice(len(pool), 2, replace=False)
            yield Episode(base[index % len(base)], [pool[support]], *pool[query])

    def base(self, fold: int) -> list[str]:
        """The fifteen other classes."""
        return [name for name in self.classes if name not in self.novel(fold)]

    def training_batch(self, backbone: Backbone, fold: int, size: int, step: int, pairs: int) -> Batch:
        """Pairs of photographs of base classes; each is once the query, once the support."""
        rng = np.random.default_rng(item_seed(SEED, f"training {fold} {step}"))
        base = self.base(fold)
        chosen: list[Pair] = []
        for _ in range(pairs):
            pool = [pair for at, pair in enumerate(self.pairs[base[rng.integers(len(base))]]) if at % 5]
            chosen += [pool[i] for i in rng.choice(len(pool), 2, replace=False)]
        masks = torch.stack([resize_mask(mask, size) for _, mask in chosen])
        with torch.no_grad():
            stages = backbone.stages(backbone.pixels([image for image, _ in chosen], size))
        levels = [torch.stack(blocks, dim=1) for blocks in stages[1:]]
        flipped = torch.from_numpy(rng.random(2 * pairs) < 0.5)
        levels = [torch.where(flipped.view(-1, 1, 1, 1, 1), level.flip(-1), level) for level in levels]
        masks = torch.where(flipped.view(-1, 1, 1, 1), masks.flip(-1), masks)
        other = torch.arange(2 * pairs).view(-1, 2).flip(1).flatten()
        supports = [masked_features(level, masks)[other] for level in levels]
        return Batch(levels, supports, masks[:, 0].long())


def _read(path: Path) -> Pair:
    image = np.asarray(Pil.open(path).convert("RGB"))
    return image, np.asarray(Pil.open(path.with_suffix(".png")).convert("L")) > 0


def row(name: str, segmenter: Segmenter, data: Photographs, folds: Sequence[int], shots: int, count: int) -> str:
    """One line of the table: mIoU of each fold and their mean."""
    began = time.time()
    scores = [mean_iou(segmenter, data.episodes(fold, shots, count))[0] for fold in folds]
    cells = " | ".join(f"{score:.3f}" for score in [*scores, sum(scores) / len(scores)])
    return f"| {name} | {segmenter.size} | {shots} | {cells} | {(time.time() - began) / count / len(folds):.2f} |"


def train(backbone: Backbone, data: Photographs, fold: int, options: argparse.Namespace) -> HsnetSegmenter:
    """HSNet on the base classes of a fold, validated on base-class photographs left out of it."""
    torch.manual_seed(SEED)
    size = options.train_size
    net = HSNet(backbone.depths[1:])

    def validate(candidate: HSNet) -> float:
        return mean_iou(HsnetSegmenter(backbone, candidate, size), data.held_out(fold, 60))[0]

    train_hsnet(
        net,
        lambda step: data.training_batch(backbone, fold, size, step, options.pairs),
        validate,
        options.work,
        steps=options.train,
        every=100,
        log=lambda line: print(line, flush=True),
    )
    save_hsnet(net, options.work / "hsnet.safetensors", size=size, backbone=backbone.fingerprint())
    return HsnetSegmenter(backbone, net, size)


def main() -> None:
    """Measure, and train first where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--backbone", type=Path, required=True)
    parser.add_argument("--size", type=int, default=320, help="side of SSP's and the prototype's inputs")
    parser.add_argument("--count", type=int, default=200, help="episodes per fold and number of shots")
    parser.add_argument("--fold", type=int, choices=FOLDS, help="this fold only")
    parser.add_argument("--train", type=int, default=0, metavar="STEPS", help="train HSNet on --fold first")
    parser.add_argument("--train-size", type=int, default=200)
    parser.add_argument("--pairs", type=int, default=4, help="pairs per training step, each used both ways")
    parser.add_argument("--work", type=Path, help="checkpoints of the training")
    options = parser.parse_args()
    for needed in (options.data, options.backbone):
        if not needed.is_dir():
            print(f"{needed}: not there; nothing was measured")
            return
    data, network = Photographs(options.data), load_backbone(options.backbone)
    folds = list(FOLDS) if options.fold is None else [options.fold]
    if options.train:
        if options.fold is None or options.work is None:
            parser.error("--train needs --fold and --work")
        trained = train(Remembering(network, every_block=True), data, options.fold, options)
    print(f"| segmenter | size | shots | {' | '.join(f'fold {fold}' for fold in folds)} | mean | s / episode |")
    print("|---" * (5 + len(folds)) + "|")
    if options.train:
        for shots in (1, 5):
            print(row("HSNet", trained, data, folds, shots, options.count), flush=True)
    features = Remembering(network, every_block=False)
    for shots in (1, 5):
        both = SspSettings(stages=(3, 4))
        print(row("prototype", PrototypeSegmenter(features, options.size), data, folds, shots, options.count))
        print(row("SSP, stage 3", SspSegmenter(features, options.size), data, folds, shots, options.count))
        print(
            row("SSP, stages 3 and 4", SspSegmenter(features, options.size, both), data, folds, shots, options.count),
            flush=True,
        )


if __name__ == "__main__":
    main()
