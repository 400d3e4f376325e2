"""Emoji-5i and Emoji-FSS as folders: what the other stages read, rendered from a seed, item by item."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from aligndiff_cli.datasets import emoji_classes as classes
from aligndiff_cli.datasets.emoji import EmojiWorld
from aligndiff_cli.datasets.emoji_pictures import Size
from aligndiff_cli.datasets.photographs import check_only
from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.disk.images import read_mask, write_png
from aligndiff_cli.disk.layout import BASE, CLASSES, OOD, QUERY, SUPPORT, SUPPORT_LABELS
from aligndiff_cli.disk.voc import write_classes, write_item, write_label_map, write_split
from aligndiff_cli.method.seeds import item_seed

SCENE_SIZE: Size = (128, 160)
OBJECT_SIZE: Size = (128, 128)


def prepare_emoji_5i(
    out: Path, icons: Path, fold: int, shots: int = 1, seed: int = 0, size: Size = SCENE_SIZE, scenes: int = 500
) -> None:
    """Render one fold of Emoji-5i.

    ``out/support/<class>/<nn>.png`` with ``<nn>_mask.png`` holds the fold's novel classes, and
    ``out/support_labels/<class>/<nn>.png`` their label maps; ``out/base`` (split train, no pixel of a novel class) and
    ``out/query`` (split val, all classes) are scenes in VOC's layout; line i of ``out/classes.txt`` names class i.

    Args:
        out: folder to write; files of the same name are replaced.
        icons: folder of the artists' packages.
        fold: 0 to 3.
        shots: support pairs per novel class.
        seed: of everything; a picture depends on it and on the picture's own id alone.
        size: (H, W) of all pictures, pixels.
        scenes: how many for base, and again for query.

    Raises:
        UsageError: no such fold.
        InputError: an artist's package is missing.
    """
    novel = classes.novel_ids(fold)
    world = EmojiWorld(icons)
    names = dict(enumerate(classes.EMOJI_5I_CLASSES, 1))
    _write_objects(out / SUPPORT, world, [names[i] for i in novel], shots, seed, size)
    _write_label_maps(out, {i: names[i] for i in novel}, shots)
    base = {i: name for i, name in names.items() if i not in novel}
    write_scenes(out / BASE, "train", world, base, scenes, seed, size)
    write_scenes(out / QUERY, "val", world, names, scenes, seed, size)
    for folder in (out, out / BASE, out / QUERY):
        write_classes(folder, [folder_name(name) for name in names.values()])


def prepare_emoji_fss(
    out: Path,
    icons: Path,
    split: str = "test",
    shots: int = 1,
    seed: int = 0,
    per_class: int = 10,
    size: Size = OBJECT_SIZE,
) -> None:
    """Render one split of Emoji-FSS.

    ``out/support/<class>/<nn>.png`` with ``<nn>_mask.png``, and ``out/query/<class>/`` alike; the split ``train`` has
    ``out/train/<class>/`` instead. ``out/ood.txt`` lists the split's classes that the pocket model has never seen.

    Args:
        out: folder to write; files of the same name are replaced.
        icons: folder of the artists' packages.
        split: train, val or test.
        shots: support pairs per class (not for train).
        seed: of everything.
        per_class: query (or training) pairs per class.
        size: (H, W), pixels.

    Raises:
        UsageError: no such split.
        InputError: an artist's package is missing.
    """
    world = EmojiWorld(icons)
    names = world.split(split)
    if split == "train":
        _write_objects(out / "train", world, names, per_class, seed, size)
    else:
        write_fss(out, world, names, shots, seed, per_class, size)


def write_fss(
    out: Path,
    world: EmojiWorld,
    names: Iterable[str],
    shots: int,
    seed: int,
    per_class: int,
    size: Size = OBJECT_SIZE,
) -> None:
    """Support and query folders and ``ood.txt`` for these classes (see `prepare_emoji_fss`)."""
    names = list(names)
    _write_objects(out / SUPPORT, world, names, shots, seed, size)
    _write_objects(out / QUERY, world, names, per_class, seed, size)
    write_text(out / CLASSES, "".join(f"{folder_name(name)}\n" for name in names))
    write_text(out / OOD, "".join(f"{folder_name(name)}\n" for name in names if name in classes.OOD))


def folder_name(concept: str) -> str:
    """A class's name as a folder: ``"hot-pepper"`` -> ``"hot_pepper"``."""
    return classes.prompt_name(concept).replace(" ", "_")


def _write_objects(folder: Path, world: EmojiWorld, names: Iterable[str], count: int, seed: int, size: Size) -> None:
    names = list(names)
    endings = [f"{number:02d}{ending}" for number in range(count) for ending in (".png", "_mask.png")]
    check_only(folder, {folder / folder_name(name) / ending for name in names for ending in endings})
    for name in names:
        for number in range(count):
            rng = np.random.default_rng(item_seed(seed, f"{folder.name}/{name}/{number}"))
            image, mask = world.fss_picture(rng, name, size)
            write_png(folder / folder_name(name) / f"{number:02d}.png", image)
            write_png(folder / folder_name(name) / f"{number:02d}_mask.png", mask)


def _write_label_maps(out: Path, names: dict[int, str], shots: int) -> None:
    """The label maps of the support pictures: each shows the object of its class and no other."""
    stems = [f"{number:02d}" for number in range(shots)]
    folder = out / SUPPORT_LABELS
    check_only(folder, {folder / folder_name(name) / f"{stem}.png" for name in names.values() for stem in stems})
    for number, name in names.items():
        for stem in stems:
            mask = read_mask(out / SUPPORT / folder_name(name) / f"{stem}_mask.png")
            write_label_map(folder / folder_name(name) / f"{stem}.png", mask * number)


def write_scenes(
    folder: Path,
    split: str,
    world: EmojiWorld,
    candidates: dict[int, str],
    count: int,
    seed: int,
    size: Size = SCENE_SIZE,
) -> None:
    """Scenes of the candidate classes (id -> concept) in VOC's layout, all in one split."""
    stems = []
    for number in range(count):
        stem = f"{number:05d}"
        rng = np.random.default_rng(item_seed(seed, f"{folder.name}/{stem}"))
        image, labels = world.scene_picture(rng, candidates, size)
        write_item(folder, stem, image, labels)
        stems.append(stem)
    write_split(folder, split, stems)
