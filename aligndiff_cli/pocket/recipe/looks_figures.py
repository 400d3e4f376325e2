"""What vectors of looks and v* bring: the ceiling for v*, and the artist who was never drawn for the model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from aligndiff_cli.datasets.emoji_classes import prompt_name
from aligndiff_cli.datasets.emoji_pictures import rough_picture
from aligndiff_cli.datasets.emoji_sprites import IconSets
from aligndiff_cli.method.prompts import ADJECTIVE_TEMPLATE, Prompt
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.diffusion.inversion_options import InversionOptions
from aligndiff_cli.models.diffusion.model import DiffusionModel
from aligndiff_cli.models.diffusion.sampling import SampleOptions, sample
from aligndiff_cli.models.segmenters.backbone import Backbone
from aligndiff_cli.pocket.recipe.drawings import UNSEEN_ARTIST, Drawing, load_drawings
from aligndiff_cli.pocket.recipe.looks import LooksEncoder
from aligndiff_cli.pocket.recipe.measure import inverted
from aligndiff_cli.pocket.recipe.pictures import calm_picture


@torch.no_grad()
def own_vectors(
    model: DiffusionModel, looks: LooksEncoder, icons: Path, names: Sequence[str], seed: int
) -> list[Tensor]:
    """The encoder's vector (1, width) of a calm picture of each class, as drawn by its first training artist.

    For classes never seen: what v* could say at best, if the search for it found what the encoder says.
    """
    vectors = []
    for name in names:
        drawing = load_drawings(icons, [name], model.image_size[0])[0]
        rng = np.random.default_rng(item_seed(seed, f"looks/{name}"))
        image, _ = calm_picture(rng, drawing, model.image_size[0])
        vectors.append(looks(model.encode_images([image]).mean))
    return vectors


class UnseenArtist:
    """Pictures by the artist who was never drawn for the model.

    Args:
        icons: folder of the artists' packages.
    """

    def __init__(self, icons: Path) -> None:
        self._sets = IconSets(icons, [UNSEEN_ARTIST])

    def drew(self, names: Sequence[str]) -> list[str]:
        """Those of the classes that he drew."""
        return [name for name in names if self._sets.artists_of(name)]

    def drawing(self, name: str) -> Drawing:
        """His drawing of a class."""
        return Drawing(UNSEEN_ARTIST, name, self._sets.sprite(UNSEEN_ARTIST, name))

    def picture(self, rng: np.random.Generator, name: str) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """An image and mask of 128 pixels, as rough as those of Emoji-FSS."""
        return rough_picture(rng, self.drawing(name).sprite, (128, 128))


def nearer_by_v(
    model: DiffusionModel,
    artist: UnseenArtist,
    backbone: Backbone,
    names: Sequence[str],
    per_class: int,
    seed: int,
    sampling: SampleOptions,
    inversion: InversionOptions,
) -> dict[str, float]:
    """Per class, by how much pictures from v* are nearer the unseen artist's drawing than pictures from the name.

    Distances are 1 - cosine of mean features (the backbone's last two stages); positive means that v* is nearer.
    """
    quiet = replace(sampling, capture=False)
    embeddings = inverted(model, artist.picture, names, inversion, seed)
    gains = {}
    for name, v in zip(names, embeddings, strict=True):
        rngs = [np.random.default_rng(item_seed(seed, f"artist/{name}/{i}")) for i in range(per_class)]
        own = np.stack([calm_picture(rng, artist.drawing(name), model.image_size[0])[0] for rng in rngs])
        seeds = [item_seed(seed, f"measure/{name}/{i}") for i in range(per_class)]
        drawn = [
            sample(model, [Prompt(ADJECTIVE_TEMPLATE, prompt_name(name), e)] * per_class, seeds, quiet)[0]
            for e in (None, v)
        ]
        plain, steered = (_distance(backbone, images, own) for images in drawn)
        gains[name] = plain - steered
    return gains


@torch.no_grad()
def _distance(backbone: Backbone, images: NDArray[np.uint8], others: NDArray[np.uint8]) -> float:
    a, b = (_mean_features(backbone, list(pictures)) for pictures in (images, others))
    return 1 - float(torch.nn.functional.cosine_similarity(a, b, dim=0))


def _mean_features(backbone: Backbone, images: list[NDArray[np.uint8]]) -> Tensor:
    maps = backbone.maps(backbone.pixels(images, 64), (3, 4))
    return torch.cat([m.mean((0, 2, 3)) for m in maps])
