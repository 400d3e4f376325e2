"""Samples that start from their real picture against v* alone, on the pocket model's rare validation classes.

    python tests/benchmarks/start_real.py --icons DIR --judge DIR --work DIR [--per-class 8] [--steps N] [--scheduler S]

One real pair of each class is inverted; its v* then draws the class from noise, and from the noised pair at several
strengths. Prints two Markdown tables. The pictures: the share recognised by the recipe's judge, diversity (the mean
distance of pairs within a class) and the distance to the real picture, both 1 - cosine of the bundled backbone's pooled
features. The masks: how well coarse ones agree with what Algorithm 1 makes of them. A synthetic picture has no true
mask; "reference" is what the bundled segmenter finds when it is shown other real pairs.

What is drawn is kept in the work folder, and drawn again only where it is missing.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from aligndiff_cli.datasets.emoji import EmojiWorld
from aligndiff_cli.datasets.emoji_classes import OOD_VAL, prompt_name
from aligndiff_cli.disk.images import write_png
from aligndiff_cli.method.coarse import both_coarse
from aligndiff_cli.method.consensus import iou, refine
from aligndiff_cli.method.framing import framed, resized, resized_mask
from aligndiff_cli.method.prompts import ADJECTIVE_TEMPLATE, Prompt
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.diffusion import DiffusionModel, SampleOptions, load_diffusion, sample
from aligndiff_cli.models.diffusion.inversion_options import suggested
from aligndiff_cli.models.diffusion.start import Start
from aligndiff_cli.models.segmenters import POCKET, load_segmenter
from aligndiff_cli.models.segmenters.backbone import load_backbone
from aligndiff_cli.models.segmenters.base import Segmenter
from aligndiff_cli.pocket.recipe.judge import JUDGED, load_judge, verdicts
from aligndiff_cli.pocket.recipe.measure import inverted
from aligndiff_cli.report.sheets import Row, Tile, contact_sheet
from aligndiff_cli.stages.common import POCKET_FOLDER
from aligndiff_cli.table import Table

NOISE = "noise"
Pair = tuple[np.ndarray, np.ndarray]
Combine = Callable[[np.ndarray, np.ndarray, float, float], np.ndarray]
COARSE: dict[str, Combine] = {
    "attention": lambda soft, real, cut, strength: soft >= cut,
    "real": lambda soft, real, cut, strength: real,
    "intersection": lambda soft, real, cut, strength: (soft >= cut) & real,
    "union": lambda soft, real, cut, strength: (soft >= cut) | real,
    "both": both_coarse,
}
"""Ways to a coarse mask, of attention (H, W), the real mask (H, W), where attention is cut, and strength."""


@dataclass(frozen=True)
class Drawn:
    """Samples of a class: images (n, H, W, 3), attention (n, H, W)."""

    images: np.ndarray
    soft: np.ndarray


def real_pair(world: EmojiWorld, seed: int, name: str, number: int) -> Pair:
    """A real pair of a class; number 0 is the one that is inverted."""
    return world.fss_picture(np.random.default_rng(item_seed(seed, f"support/{name}/{number}")), name)


def seen(pair: Pair, model: DiffusionModel) -> Pair:
    """A pair in the model's frame."""
    height, width = model.image_size
    image, mask = framed(*pair, height / width, "window")
    return resized(image, height, width, "window"), resized_mask(mask, height, width)


def learnt(o: argparse.Namespace, model: DiffusionModel, world: EmojiWorld, name: str) -> torch.Tensor:
    """v* of a class, kept."""
    path = o.work / f"{name}.safetensors"
    if not path.exists():
        options = suggested(model.defaults, steps=o.inversion_steps)
        save_file({"v": inverted(model, world.fss_picture, [name], options, o.seed)[0]}, path)
        print(f"inverted {name}", flush=True)
    return load_file(path)["v"]


def draw(o: argparse.Namespace, model: DiffusionModel, name: str, v: torch.Tensor, pair: Pair, kind: str) -> Drawn:
    """The samples of a class from noise, or at a strength, kept."""
    path = o.work / f"{name}-{kind}.npz"
    if not path.exists():
        prompt = Prompt(ADJECTIVE_TEMPLATE, prompt_name(name), v)
        seeds = [item_seed(o.seed, f"start/{name}/{i}") for i in range(o.per_class)]
        start = None if kind == NOISE else Start([seen(pair, model)[0]] * o.per_class, float(kind))
        options = SampleOptions(steps=o.steps, scheduler=o.scheduler)
        images, soft = sample(model, [prompt] * o.per_class, seeds, options, start)
        np.savez(path, images=images, soft=soft)
        print(f"drew {name} from {kind}", flush=True)
    with np.load(path) as kept:
        return Drawn(kept["images"], kept["soft"])


class Distances:
    """1 - cosine of the bundled backbone's pooled features."""

    def __init__(self) -> None:
        self._backbone = load_backbone(POCKET).eval()

    @torch.no_grad()
    def features(self, images: Sequence[np.ndarray]) -> torch.Tensor:
        """(n, C) of unit length."""
        pixels = self._backbone.pixels(images, 128)
        return torch.nn.functional.normalize(self._backbone.maps(pixels, [4])[0].mean((2, 3)), dim=1)

    def within(self, images: Sequence[np.ndarray]) -> float:
        """Mean over pairs."""
        f = self.features(images)
        return float(1 - (f @ f.T)[~torch.eye(len(f), dtype=torch.bool)].mean())

    def to(self, images: Sequence[np.ndarray], other: np.ndarray) -> float:
        """Mean over images."""
        return float(1 - (self.features(images) @ self.features([other]).T).mean())


def mask_figures(
    segmenter: Segmenter, pair: Pair, reference: Sequence[np.ndarray], drawn: Drawn, coarse: Sequence[np.ndarray]
) -> tuple[float, ...]:
    """Means over a class: IoU of coarse and refined masks, share accepted, IoU of either with the reference.

    Args:
        reference, coarse: masks (H, W) of the samples.
    """
    refined = dict(refine(segmenter, [pair], list(drawn.images), coarse, max_supports=5))
    rows = [
        (iou(c, refined[i].mask), refined[i].accepted, iou(c, r), iou(refined[i].mask, r))
        for i, (c, r) in enumerate(zip(coarse, reference, strict=True))
    ]
    return tuple(np.mean(rows, axis=0).tolist())


def sheet(rows: Mapping[str, Sequence[Drawn]], reals: Sequence[Pair], kinds: Sequence[str], shown: int) -> np.ndarray:
    """A row for each class: the real picture, then samples of each kind."""
    lines = []
    for (name, drawn), (image, _) in zip(rows.items(), reals, strict=True):
        tiles = [Tile(image, "real")]
        tiles += [Tile(d.images[i], kind) for kind, d in zip(kinds, drawn, strict=True) for i in range(shown)]
        lines.append(Row(tiles, name))
    return contact_sheet(lines, "From noise, and from the real picture at several strengths", cell=96)


def options() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--icons", type=Path, required=True)
    parser.add_argument("--judge", type=Path, required=True, help="folder of judge.safetensors")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--model", type=Path, default=POCKET_FOLDER)
    parser.add_argument("--classes", nargs="+", default=list(OOD_VAL))
    parser.add_argument("--strengths", nargs="+", default=["0.3", "0.5", "0.6", "0.7", "0.8", "0.9"])
    parser.add_argument("--per-class", type=int, default=8)
    parser.add_argument("--steps", type=int, help="of sampling; the model's own")
    parser.add_argument("--scheduler", help="the model's own")
    parser.add_argument("--inversion-steps", type=int, help="the model's own")
    parser.add_argument("--coarse", nargs="*", choices=COARSE, default=list(COARSE), help="ways to coarse masks")
    parser.add_argument("--segmenter", help="of Algorithm 1; the bundled one's default")
    parser.add_argument("--references", type=int, default=5, help="other real pairs the reference is shown")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--draw-only", action="store_true")
    return parser.parse_args()


def percent(values: Sequence[float]) -> str:
    """Their mean."""
    return f"{100 * float(np.mean(values)):.1f}"


def main() -> None:
    """Draw, write the sheet, then print both tables."""
    o = options()
    o.work.mkdir(parents=True, exist_ok=True)
    model, world = load_diffusion(o.model, device="cpu"), EmojiWorld(o.icons)
    kinds = [NOISE, *o.strengths]
    reals = {name: real_pair(world, o.seed, name, 0) for name in o.classes}
    rows: dict[str, list[Drawn]] = {}
    for name in o.classes:
        v = learnt(o, model, world, name)
        rows[name] = [draw(o, model, name, v, reals[name], kind) for kind in kinds]
    write_png(o.work / "sheet.png", sheet(rows, list(reals.values()), kinds, 2))
    if o.draw_only:
        return
    judge, distances, segmenter = load_judge(o.judge), Distances(), load_segmenter(o.segmenter, device="cpu")
    bundled = load_segmenter(device="cpu")
    pictures: dict[str, list[tuple[float, ...]]] = {}
    masks: dict[tuple[str, str], list[tuple[float, ...]]] = {}
    for name in o.classes:
        image, real = seen(reals[name], model)
        others = [real_pair(world, o.seed, name, i + 1) for i in range(max(o.per_class, o.references))]
        drawn_or_real = dict(zip(kinds, (list(d.images) for d in rows[name]), strict=True))
        drawn_or_real["other real pictures"] = [seen(pair, model)[0] for pair in others]
        for kind, images in drawn_or_real.items():
            right = float((verdicts(judge, np.stack(images)) == JUDGED.index(name)).mean())
            pictures.setdefault(kind, []).append((right, distances.within(images), distances.to(images, image)))
        state = bundled.condition(others[: o.references])
        for kind, drawn in zip(kinds, rows[name], strict=True):
            reference = [soft >= 0.5 for soft in bundled.predict(state, list(drawn.images))]
            for way in (way for way in o.coarse if kind != NOISE or way == "attention"):
                cut, strength = model.defaults.mask_threshold, 1.0 if kind == NOISE else float(kind)
                coarse = [COARSE[way](soft, real, cut, strength) for soft in drawn.soft]
                figures = mask_figures(segmenter, reals[name], reference, drawn, coarse)
                masks.setdefault((kind, way), []).append(figures)
    head = ["start", "recognised, %", "diversity", "to the real picture"]
    lines = []
    for kind, found in pictures.items():
        right, within, to = np.mean(found, axis=0)
        lines.append([kind, percent([right]), f"{within:.3f}", f"{to:.3f}"])
    print(Table(head, lines).markdown())
    head = ["start", "coarse mask", "coarse and refined, IoU", "accepted, %", "coarse: reference", "refined: reference"]
    if masks:
        print(Table(head, [[*key, *map(percent, np.transpose(found))] for key, found in masks.items()]).markdown())


if __name__ == "__main__":
    main()
