"""The small rendered part of the emoji world that ships with the repository."""

from __future__ import annotations

from pathlib import Path

from aligndiff_cli.datasets.emoji import EmojiWorld
from aligndiff_cli.datasets.emoji_classes import EMOJI_5I_CLASSES
from aligndiff_cli.datasets.emoji_prepare import folder_name, write_fss, write_scenes
from aligndiff_cli.disk.layout import BASE
from aligndiff_cli.disk.voc import write_classes

CLASSES = ("doughnut", "owl", "key", "scissors")
"""Two classes the pocket diffusion model knows, two it has never seen and draws well from one pair.

All are of the Emoji-FSS validation split, where they were chosen; the model card reports the test split's.
"""


def write_sample_data(out: Path, icons: Path, seed: int, queries: int = 30, scenes: int = 40) -> None:
    """Write support (1 shot), query and base folders; base scenes hold none of `CLASSES`.

    Class ids are Emoji-5i's; the rare classes come after them, in the order of ``classes.txt``.
    """
    world = EmojiWorld(icons)
    write_fss(out, world, CLASSES, shots=1, seed=seed, per_class=queries)
    names = [*EMOJI_5I_CLASSES, *(name for name in CLASSES if name not in EMOJI_5I_CLASSES)]
    base = {i: name for i, name in enumerate(names, 1) if name not in CLASSES}
    write_scenes(out / BASE, "train", world, base, scenes, seed)
    for folder in (out, out / BASE):
        write_classes(folder, [folder_name(name) for name in names])
