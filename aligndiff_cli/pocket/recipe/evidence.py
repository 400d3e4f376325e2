"""One row of the card's tables: what a training, finished or not, reaches on the validation classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from transformers import CLIPTokenizer

from aligndiff_cli.datasets import emoji_classes as classes
from aligndiff_cli.datasets.emoji import EmojiWorld
from aligndiff_cli.models.diffusion.inversion_options import InversionOptions
from aligndiff_cli.models.diffusion.load import load_diffusion
from aligndiff_cli.models.diffusion.sampling import SampleOptions
from aligndiff_cli.models.segmenters import POCKET
from aligndiff_cli.models.segmenters.backbone import load_backbone
from aligndiff_cli.pocket.recipe.denoiser import build_scheduler
from aligndiff_cli.pocket.recipe.export import averaged, export_model
from aligndiff_cli.pocket.recipe.gauge import spread
from aligndiff_cli.pocket.recipe.judge import load_judge
from aligndiff_cli.pocket.recipe.looks_figures import UnseenArtist, nearer_by_v, own_vectors
from aligndiff_cli.pocket.recipe.measure import attention_iou, inverted, recognised
from aligndiff_cli.pocket.recipe.pool import Pool


def evidence(
    icons: Path,
    work: Path,
    judge_work: Path,
    per_class: int,
    seed: int,
    sampling: SampleOptions,
    inversion: InversionOptions,
) -> dict[str, object]:
    """Figures of the averaged weights in `work`, exported to ``work/export``, on the validation classes.

    Args:
        icons: folder of the artists' packages.
        work: folder of the training.
        judge_work: folder of the judge.
        per_class: images per class and figure.
        seed: of everything.
        sampling, inversion: how images are drawn and v* is learnt.
    """
    export_model(work, work / "export")
    tokenizer, pool = CLIPTokenizer.from_pretrained(work / "tokenizer"), Pool.load(work)
    networks = averaged(work, tokenizer, pool)
    model, judge, world = load_diffusion(work / "export", device="cpu"), load_judge(judge_work), EmojiWorld(icons)
    known, rare = classes.KNOWN_VAL, classes.OOD_VAL
    artist = UnseenArtist(icons)
    x0 = pool.latents[:1].float() * pool.scale
    alphas_bar = build_scheduler().alphas_cumprod
    own = own_vectors(model, networks.looks, icons, rare, seed)
    learnt = inverted(model, world.fss_picture, rare, inversion, seed)

    def share(names: tuple[str, ...], embeddings: list) -> dict[str, float]:
        return recognised(model, judge, names, embeddings, per_class, seed, sampling)

    rows: dict[str, dict[str, float]] = {
        "known by name": share(known, [None] * len(known)),
        "rare by name": share(rare, [None] * len(rare)),
        "rare by the encoder's vector": share(rare, own),
        "rare by v*": share(rare, learnt),
        "attention IoU": attention_iou(model, world, known, per_class, seed, sampling),
        "nearer the unseen artist by v*": nearer_by_v(
            model, artist, load_backbone(POCKET), artist.drew(known), per_class, seed, sampling, inversion
        ),
    }
    means: dict[str, object] = {name: round(float(np.mean(list(row.values()))), 4) for name, row in rows.items()}
    gains = rows["nearer the unseen artist by v*"].values()
    means["classes nearer the unseen artist by v*"] = float(np.mean([gain > 0 for gain in gains]))
    for bare in (False, True):
        levels = spread(networks, tokenizer, alphas_bar, x0, bare)
        means["gauge, name's own states" if bare else "gauge"] = {k: round(v, 4) for k, v in levels.items()}
    return {**means, "per class": {name: {k: round(v, 3) for k, v in row.items()} for name, row in rows.items()}}
