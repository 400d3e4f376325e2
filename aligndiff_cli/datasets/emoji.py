"""The emoji world: classes, their drawings, and pictures of them, each from its own seed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aligndiff_cli.datasets import emoji_classes as classes
from aligndiff_cli.datasets.emoji_pictures import Size, rough_picture, scene
from aligndiff_cli.datasets.emoji_sprites import IconSets
from aligndiff_cli.errors import UsageError

MAX_FILL = 0.93
"""A drawing that fills its box like this is a picture with a frame of its own, not an object."""


class EmojiWorld:
    """Drawings by class, and pictures of them.

    Args:
        icons: folder of the artists' packages (see `IconSets`).
    """

    def __init__(self, icons: Path) -> None:
        self.icons = IconSets(icons)
        self._drawings: dict[str, list[NDArray[np.uint8]]] = {}

    def split(self, name: str) -> tuple[str, ...]:
        """The classes of Emoji-FSS's split ``train``, ``val`` or ``test``.

        Raises:
            UsageError: another name.
        """
        splits = {"train": classes.FSS_TRAIN, "val": classes.FSS_VAL, "test": classes.FSS_TEST}
        if name not in splits:
            raise UsageError(f"Emoji-FSS has splits train, val and test, not {name!r}")
        return splits[name]

    def drawings(self, concept: str) -> list[NDArray[np.uint8]]:
        """All artists' sprites of a concept, RGBA uint8 (h, w, 4); framed pictures are left out."""
        if concept not in self._drawings:
            sprites = [self.icons.sprite(artist, concept) for artist in self.icons.artists_of(concept)]
            self._drawings[concept] = [s for s in sprites if (s[..., 3] > 127).mean() < MAX_FILL] or sprites
        return self._drawings[concept]

    def fss_picture(
        self, rng: np.random.Generator, concept: str, size: Size = (128, 128)
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """An object-centric picture as Emoji-FSS has them.

        One object at 0.35 to 0.9 of the frame, turned by up to 20 degrees, mirrored half of the time, on a rough
        background, by any artist.

        Returns:
            image uint8 (H, W, 3), mask bool (H, W).
        """
        sprites = self.drawings(concept)
        return rough_picture(rng, sprites[rng.integers(len(sprites))], size)

    def scene_picture(
        self, rng: np.random.Generator, candidates: dict[int, str], size: Size = (128, 160)
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """A scene as Emoji-5i has them: one to four objects of the candidate classes among clutter.

        Args:
            rng: the only source of chance.
            candidates: class id -> concept.
            size: (H, W).

        Returns:
            image uint8 (H, W, 3), label map uint8 (H, W).
        """
        ids = list(candidates)
        objects = []
        for _ in range(int(rng.integers(1, 5))):
            label = ids[rng.integers(len(ids))]
            sprites = self.drawings(candidates[label])
            objects.append((label, sprites[rng.integers(len(sprites))]))
        clutter = []
        for _ in range(int(rng.integers(0, 4))):
            sprites = self.drawings(classes.FSS_TRAIN[rng.integers(len(classes.FSS_TRAIN))])
            clutter.append(sprites[rng.integers(len(sprites))])
        return scene(rng, objects, clutter, size)
