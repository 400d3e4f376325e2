"""Recipe of the bundled few-shot segmenter: a small ResNet classifier, then HSNet on top of it.

    python -m aligndiff_cli.pocket.recipe.segmenter --icons DIR --work DIR --out DIR

Both see drawings of the Emoji-FSS train classes only, rendered on the fly from their seeds; the
validation classes choose among checkpoints; the test classes are only measured. Either part
resumes from its work folder.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import ResNetConfig, ResNetModel

from aligndiff_cli.datasets.emoji import EmojiWorld
from aligndiff_cli.datasets.emoji_classes import EMOJI_5I_CLASSES, OOD_TEST
from aligndiff_cli.method.schedules import warm_cosine
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.fit import fit
from aligndiff_cli.models.segmenters import load_segmenter
from aligndiff_cli.models.segmenters.backbone import Backbone, load_backbone
from aligndiff_cli.models.segmenters.base import Segmenter, pool_mask, resize_mask
from aligndiff_cli.models.segmenters.checkpoint import save_hsnet
from aligndiff_cli.models.segmenters.hsnet import HSNet, HsnetSegmenter, masked_features
from aligndiff_cli.models.segmenters.prototype import PrototypeSegmenter
from aligndiff_cli.models.segmenters.ssp import SspSegmenter
from aligndiff_cli.models.training_state import load_state, save_state
from aligndiff_cli.pocket.recipe.episodes import Batch, Episode, mean_iou, train_hsnet

MEAN, STD = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)
CLASSIFIER_SIZE = 96
SIZE = 128
"""Side of HSNet's inputs: levels of 16, 8 and 4 positions."""
SSP_SIZE = 256
RENDER_SIZES = (64, 80, 96)


def small_resnet() -> ResNetConfig:
    """About half a million weights, four stages."""
    return ResNetConfig(
        embedding_size=24, hidden_sizes=[48, 96, 192, 320], depths=[2, 3, 4, 3], layer_type="bottleneck"
    )


class Classifier(nn.Module):
    """Names the object, and tells object from background at every position of the last two stages."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.net = ResNetModel(small_resnet())
        widths = self.net.config.hidden_sizes
        self.whole = nn.Linear(widths[3], classes)
        self.dense = nn.ModuleList(nn.Conv2d(width, classes + 1, 1) for width in widths[2:])

    def loss(self, pixels: Tensor, masks: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Pixels (N, 3, S, S), masks (N, 1, S, S), labels (N,) -> loss, share named right."""
        hidden = self.net(pixels, output_hidden_states=True).hidden_states[-2:]
        named = self.whole(hidden[1].mean((2, 3)))
        loss = F.cross_entropy(named, labels, label_smoothing=0.1)
        for head, features in zip(self.dense, hidden, strict=True):
            share = pool_mask(masks, (features.shape[2], features.shape[3]))[:, 0]
            target = torch.where(share > 0.5, labels[:, None, None], self.whole.out_features)
            target = torch.where((share > 0.1) & (share <= 0.5), -100, target)
            loss = loss + 0.5 * F.cross_entropy(head(features), target, ignore_index=-100)
        return loss, (named.argmax(1) == labels).float().mean()


class Renders:
    """Pictures of a split, each from its own seed.

    Args:
        world: where drawings come from.
        split: "train", "val" or "test".
        seed: of the run.
    """

    def __init__(self, world: EmojiWorld, split: str, seed: int) -> None:
        self.world, self.seed = world, seed
        self.names = world.split(split)

    def labelled(self, step: int, count: int, side: int) -> tuple[Tensor, Tensor, Tensor]:
        """A classifier batch: pixels (N, 3, side, side) in [0, 1], masks (N, 1, side, side), labels (N,)."""
        rng = np.random.default_rng(item_seed(self.seed, f"classifier {step}"))
        labels = rng.integers(len(self.names), size=count)
        drawn = int(rng.choice(RENDER_SIZES))
        pairs = [self.world.fss_picture(rng, self.names[label], (drawn, drawn)) for label in labels]
        images = torch.stack([torch.tensor(image) for image, _ in pairs]).permute(0, 3, 1, 2).float() / 255
        masks = torch.stack([resize_mask(mask, side) for _, mask in pairs])
        images = F.interpolate(images, (side, side), mode="bilinear", antialias=True)
        return _recolour(images, rng), masks, torch.tensor(labels)

    def episode(self, item: str, shots: int, name: str | None = None) -> Episode:
        """An episode of a random class, or of a given one."""
        rng = np.random.default_rng(item_seed(self.seed, item))
        name = name or self.names[rng.integers(len(self.names))]
        pairs = [self.world.fss_picture(rng, name) for _ in range(shots + 1)]
        return Episode(name, pairs[1:], *pairs[0])


def _recolour(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Each image with its own gain per channel, brightness and, one time in eight, no colour."""
    count = len(images)
    gain = torch.tensor(rng.uniform(0.8, 1.2, (count, 3, 1, 1)), dtype=torch.float32)
    shift = torch.tensor(rng.uniform(-0.1, 0.1, (count, 1, 1, 1)), dtype=torch.float32)
    grey = torch.tensor(rng.random((count, 1, 1, 1)) < 0.125)
    images = torch.where(grey, images.mean(1, keepdim=True), images)
    return (images * gain + shift).clamp(0, 1)


def train_classifier(renders: Renders, folder: Path, *, steps: int, batch: int = 48, every: int = 200) -> ResNetModel:
    """AdamW with a rise to 3e-3 and a cosine fall; saves every `every` steps, and resumes from `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    model = Classifier(len(renders.names))
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.02)
    path = folder / "classifier.safetensors"
    first = load_state(path, model, optimizer)
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    began, right = time.time(), 0.0

    def loss(step: int, _: int) -> Tensor:
        nonlocal right
        images, masks, labels = renders.labelled(step, batch, CLASSIFIER_SIZE)
        found, share = model.loss((images - mean) / std, masks, labels)
        right = 0.98 * right + 0.02 * float(share)
        return found

    def after(taken: int, found: Tensor | None) -> None:
        assert found is not None
        if taken % every == 0 or taken == steps:
            print(f"step {taken}: loss {found.item():.3f} right {right:.3f} {time.time() - began:.0f} s", flush=True)
            save_state(path, model, optimizer, taken)

    def rate(step: int) -> float:
        return warm_cosine(step, steps, round(0.15 * steps), 0.0)

    fit(optimizer, range(first, steps), loss, rate, after, first=first)
    return model.net


def save_backbone(net: ResNetModel, folder: Path) -> Backbone:
    """Write the ResNet in transformers' layout, float16, and read it back as it will be used."""
    folder.mkdir(parents=True, exist_ok=True)
    net.half().save_pretrained(folder)
    settings: dict[str, object] = {"do_normalize": True, "do_rescale": True, "rescale_factor": 1 / 255}
    settings |= {"image_mean": MEAN, "image_std": STD}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
    return load_backbone(folder)


def hsnet_batch(backbone: Backbone, renders: Renders, step: int, count: int) -> Batch:
    """`count` pairs of pictures of random train classes; each is once the query, once the support."""
    pairs = []
    for index in range(count):
        episode = renders.episode(f"hsnet {step} {index}", 1)
        pairs += [(episode.image, episode.mask), episode.supports[0]]
    with torch.no_grad():
        pixels = backbone.pixels([image for image, _ in pairs], SIZE)
        levels = [torch.stack(blocks, dim=1) for blocks in backbone.stages(pixels)[1:]]
    masks = torch.stack([resize_mask(mask, SIZE) for _, mask in pairs])
    other = torch.arange(len(pairs)).view(-1, 2).flip(1).flatten()
    supports = [masked_features(level, masks)[other] for level in levels]
    return Batch(levels, supports, masks[:, 0].long())


def measure(segmenter: Segmenter, renders: Renders, names: Sequence[str], shots: int, each: int) -> float:
    """mIoU over `names`, `each` episodes per class."""
    episodes = (renders.episode(f"measure {name} {i} {shots}", shots, name) for name in names for i in range(each))
    return mean_iou(segmenter, episodes)[0]


def figures(folder: Path, val: Renders, test: Renders, each: int) -> dict[str, dict[str, float]]:
    """mIoU of every segmenter on the bundled backbone, as users load it, by split and shots."""
    parts = {
        "validation": (val, val.names),
        "test known": (test, EMOJI_5I_CLASSES),
        "test OOD": (test, OOD_TEST),
    }
    segmenters: dict[str, Segmenter] = {
        "hsnet": load_segmenter("hsnet", backbone=folder, weights=folder / "hsnet.safetensors", device="cpu"),
        "ssp": SspSegmenter(load_backbone(folder), SSP_SIZE),
        "prototype": PrototypeSegmenter(load_backbone(folder), SSP_SIZE),
    }
    table: dict[str, dict[str, float]] = {}
    for name, segmenter in segmenters.items():
        table[name] = {
            f"{part}, {shots} shot": round(measure(segmenter, renders, names, shots, each), 4)
            for part, (renders, names) in parts.items()
            for shots in (1, 5)
        }
        print(name, table[name], flush=True)
    return table


def main() -> None:
    """Train both parts and write the folder that ships."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--icons", type=Path, required=True, help="folder of the artists' packages")
    parser.add_argument("--work", type=Path, required=True, help="folder for checkpoints")
    parser.add_argument("--out", type=Path, required=True, help="folder that ships")
    parser.add_argument("--classifier-steps", type=int, default=4000)
    parser.add_argument("--hsnet-steps", type=int, default=800)
    parser.add_argument("--pairs", type=int, default=5, help="pairs per HSNet step, each used both ways")
    parser.add_argument("--each", type=int, default=10, help="episodes per class when measuring")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    world = EmojiWorld(options.icons)
    train, val = (Renders(world, split, options.seed) for split in ("train", "val"))
    net = train_classifier(train, options.work, steps=options.classifier_steps)
    backbone = save_backbone(net, options.out)
    hsnet = HSNet(backbone.depths[1:])

    def validate(candidate: HSNet) -> float:
        return measure(HsnetSegmenter(backbone, candidate, SIZE), val, val.names, 1, 6)

    best = train_hsnet(
        hsnet,
        lambda step: hsnet_batch(backbone, train, step, options.pairs),
        validate,
        options.work,
        steps=options.hsnet_steps,
        every=100,
        log=lambda line: print(line, flush=True),
    )
    save_hsnet(hsnet, options.out / "hsnet.safetensors", size=SIZE, backbone=backbone.fingerprint())
    print(f"best validation mIoU {best:.4f}")
    about = {
        "what": f"mIoU over classes at 128 x 128, {options.each} episodes per class",
        "seed": options.seed,
        "steps": {"classifier": options.classifier_steps, "hsnet": options.hsnet_steps},
        "mIoU": figures(options.out, val, Renders(world, "test", options.seed), options.each),
    }
    (options.out / "figures.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
