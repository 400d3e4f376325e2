"""The figures of the model card: what is recognised, and how well attention outlines the object.

The judge knows real renders only (`aligndiff_cli.pocket.recipe.judge`); everything is drawn by the same code as the
stages use, so that the figures are those of the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aligndiff_cli.datasets import emoji_classes as classes
from aligndiff_cli.datasets.emoji import EmojiWorld
from aligndiff_cli.datasets.emoji_classes import prompt_name
from aligndiff_cli.method.attention import soft_maps
from aligndiff_cli.method.prompts import ADJECTIVE_TEMPLATE, Prompt
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.diffusion.inversion import Instance, invert
from aligndiff_cli.models.diffusion.inversion_options import InversionOptions
from aligndiff_cli.models.diffusion.model import DiffusionModel
from aligndiff_cli.models.diffusion.sampling import SampleOptions, sample
from aligndiff_cli.pocket.recipe.judge import JUDGED, Judge, held_out_accuracy, real_picture, verdicts

NOISE_LEVELS = (100, 200, 300, 400, 500, 600, 700)
"""Steps (of 1000) at which held-out renders are noised to read their attention; the maps are averaged."""

_BATCH = 32


@dataclass(frozen=True)
class Subjects:
    """What is measured.

    Attributes:
        known: classes the model was trained on.
        ood: classes it never saw.
    """

    known: tuple[str, ...]
    ood: tuple[str, ...]


SPLITS = {
    "val": Subjects(classes.KNOWN_VAL, classes.OOD_VAL),
    "test": Subjects(classes.KNOWN, classes.OOD_TEST),
}
"""Settings are chosen on val and reported on test; (a) is reported over all known classes, val among them."""


def recognised(
    model: DiffusionModel,
    judge: Judge,
    names: Sequence[str],
    embeddings: Sequence[Tensor | None],
    per_class: int,
    seed: int,
    options: SampleOptions,
) -> dict[str, float]:
    """Per class, the share of images of "a photo of a {class}" (with v*, if given) judged to be of that class."""
    shares = {}
    for name, embedding in zip(names, embeddings, strict=True):
        prompt = Prompt(ADJECTIVE_TEMPLATE, prompt_name(name), embedding)
        seeds = [item_seed(seed, f"measure/{name}/{i}") for i in range(per_class)]
        images = [
            sample(model, [prompt] * len(part), part, replace(options, capture=False))[0]
            for part in (seeds[i : i + _BATCH] for i in range(0, per_class, _BATCH))
        ]
        shares[name] = float((verdicts(judge, np.concatenate(images)) == JUDGED.index(name)).mean())
    return shares


Picture = Callable[[np.random.Generator, str], tuple[NDArray[np.uint8], NDArray[np.bool_]]]
"""Makes an image (H, W, 3) and mask (H, W) of a class."""


def inverted(
    model: DiffusionModel, picture: Picture, names: Sequence[str], options: InversionOptions, seed: int
) -> list[Tensor]:
    """v* of each class from one real pair: of `EmojiWorld.fss_picture`, the first that `prepare_emoji_fss` renders."""
    embeddings: list[Tensor] = []
    for i in range(0, len(names), 4):
        part = names[i : i + 4]
        instances = []
        for name in part:
            image, mask = picture(np.random.default_rng(item_seed(seed, f"support/{name}/0")), name)
            instances.append(Instance(prompt_name(name), (image,), (mask,)))
        seeds = [item_seed(seed, f"measure/invert/{name}") for name in part]
        embeddings += [result.embedding for result in invert(model, instances, options, seeds)]
    return embeddings


@torch.no_grad()
def attention_iou(
    model: DiffusionModel,
    world: EmojiWorld,
    names: Sequence[str],
    per_class: int,
    seed: int,
    options: SampleOptions,
) -> dict[str, float]:
    """Per class, the mean IoU of coarse masks with the true ones.

    Held-out renders are noised to `NOISE_LEVELS`; the maps are made, and cut, as for generated images.
    """
    scaling = options.attention_scaling or model.defaults.attention_scaling
    height, width = model.image_size
    ious = {}
    for name in names:
        rngs = [np.random.default_rng(item_seed(seed, f"attention/{name}/{i}")) for i in range(per_class)]
        pairs = [world.fss_picture(rng, name, (height, width)) for rng in rngs]
        x0 = model.encode_images([image for image, _ in pairs]).mean
        noise = torch.from_numpy(rngs[0].standard_normal(x0.shape, np.float32)).to(x0)
        conditioning = model.encode_prompts([Prompt("a photo of a {class}", prompt_name(name))] * per_class)
        wanted = (conditioning.class_tokens, options.attention_levels, options.attention_tokens)
        with model.capture(model.latent_size(height, width), *wanted) as sums:
            for level in NOISE_LEVELS:
                t = torch.full((per_class,), level, device=x0.device)
                model.predict(model.noise_and_target(x0, noise, t)[0], t, conditioning)
        soft = soft_maps(sums.means(), sums.valid, (height, width), scaling).cpu().numpy()
        coarse = soft > model.defaults.mask_threshold
        ious[name] = float(np.mean([_iou(m, mask) for m, (_, mask) in zip(coarse, pairs, strict=True)]))
    return ious


def _iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


def measure(
    model: DiffusionModel,
    judge: Judge,
    world: EmojiWorld,
    split: str,
    per_class: int,
    seed: int,
    sampling: SampleOptions,
    inversion: InversionOptions,
) -> dict:
    """All figures (a) to (d) of one split, with chance and what real renders score.

    Args:
        model: the pocket model.
        judge: the trained classifier.
        world: the drawings.
        split: a key of `SPLITS`.
        per_class: images per class and figure.
        seed: of everything.
        sampling: how images are drawn.
        inversion: how v* is learned.
    """
    subjects = SPLITS[split]
    nothing = [None] * len(subjects.ood)
    real = {
        "known": held_out_accuracy(judge, world, subjects.known, per_class, seed),
        "ood": held_out_accuracy(judge, world, subjects.ood, per_class, seed),
    }
    known = recognised(model, judge, subjects.known, [None] * len(subjects.known), per_class, seed, sampling)
    plain = recognised(model, judge, subjects.ood, nothing, per_class, seed, sampling)
    learnt = inverted(model, world.fss_picture, subjects.ood, inversion, seed)
    steered = recognised(model, judge, subjects.ood, learnt, per_class, seed, sampling)
    outlined = attention_iou(model, world, subjects.known, per_class, seed, sampling)
    return {
        "split": split,
        "images_per_class": per_class,
        "seed": seed,
        "chance": 1 / len(JUDGED),
        "real_renders": real,
        "a_known_recognised": _summary(known),
        "b_ood_recognised": _summary(plain),
        "c_ood_recognised_after_inversion": _summary(steered),
        "d_attention_iou": _summary(outlined),
        "after_the_vae_alone": through_vae(model, judge, world, subjects, per_class, seed),
    }


def through_vae(
    model: DiffusionModel, judge: Judge, world: EmojiWorld, subjects: Subjects, per_class: int, seed: int
) -> dict[str, float]:
    """Share of held-out real renders still recognised after encoding and decoding: what the VAE alone costs."""
    shares: dict[str, float] = {}
    for group, names in (("known", subjects.known), ("ood", subjects.ood)):
        right = []
        for name in names:
            rngs = [np.random.default_rng(item_seed(seed, f"judge-test/{name}/{i}")) for i in range(per_class)]
            images = model.decode(model.encode_images([real_picture(world, rng, name) for rng in rngs]).mean)
            right.append(float((verdicts(judge, images) == JUDGED.index(name)).mean()))
        shares[group] = float(np.mean(right))
    return shares


def _summary(shares: dict[str, float]) -> dict:
    return {"mean": float(np.mean(list(shares.values()))), "per_class": {k: round(v, 4) for k, v in shares.items()}}
