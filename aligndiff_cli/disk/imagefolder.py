"""Hugging Face's imagefolder form of a segmentation data set, and its card.

::

    README.md                   dataset card: what it is, in YAML for programs and in words for people
    id2label.json               index of a class, as text -> its name; "0" is background
    train/metadata.jsonl        one line per picture: file_name, mask_file_name, classes
    train/images/<stem>.jpg
    train/masks/<stem>.png      palette PNG: index = class, 0 = background, 255 = ignore
    validation/                 the same, where there is such a split

``datasets.load_dataset("imagefolder", data_dir=...)`` gives the columns ``image``, ``mask`` and ``classes``: it opens
whatever a column named ``file_name`` or ``*_file_name`` refers to, relative to the metadata's folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import yaml

from aligndiff_cli.disk.atomic import atomic_write, write_text
from aligndiff_cli.disk.images import write_jpeg
from aligndiff_cli.disk.voc import write_label_map
from aligndiff_cli.labels import IGNORE

TRAIN, VALIDATION = "train", "validation"
"""Folders of the splits, by the hub's names."""
PICTURES = "images"
LABELS = "masks"
METADATA = "metadata.jsonl"
CARD = "README.md"
NAMES = "id2label.json"


def write_item(root: Path, stem: str, image: np.ndarray, labels: np.ndarray, split: str = TRAIN) -> tuple[Path, Path]:
    """Write one item: the image as JPEG and its label map as palette PNG.

    Args:
        image: uint8 (H, W, 3).
        labels: integers (H, W) in [0, 255].

    Returns:
        The two files written, picture first.
    """
    picture, label_map = root / split / PICTURES / f"{stem}.jpg", root / split / LABELS / f"{stem}.png"
    write_jpeg(picture, image)
    write_label_map(label_map, labels)
    return picture, label_map


def write_metadata(
    root: Path, shown: Iterable[tuple[str, Sequence[int]]], names: Sequence[str], split: str = TRAIN
) -> None:
    """Write the list of items.

    Args:
        shown: stem, and the indices of the classes its label map holds; 0 and 255 are passed over.
        names: of classes 1, 2, ...
    """
    with atomic_write(root / split / METADATA) as file:
        for stem, classes in shown:
            row = {
                "file_name": f"{PICTURES}/{stem}.jpg",
                "mask_file_name": f"{LABELS}/{stem}.png",
                "classes": [names[number - 1] for number in classes if number not in (0, IGNORE)],
            }
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def write_names(root: Path, names: Sequence[str]) -> None:
    """Write the names of classes 0 (background), 1, 2, ..."""
    table = {str(number): name for number, name in enumerate(["background", *names])}
    write_text(root / NAMES, json.dumps(table, ensure_ascii=False, indent=1) + "\n")


def write_card(
    root: Path, title: str, about: str, names: Sequence[str], counts: Mapping[str, int], license: str = ""
) -> None:
    """Write the dataset card; without a licence it says that one is the user's to add.

    Args:
        title: heading.
        about: a paragraph: how the set was made.
        names: of classes 1, 2, ...
        counts: number of pictures of each split that has any.
        license: the user's words.
    """
    header = {
        "pretty_name": title,
        "task_categories": ["image-segmentation"],
        "tags": ["synthetic"],
        "size_categories": [size_category(sum(counts.values()))],
        "configs": [{"config_name": "default", "data_files": [{"split": s, "path": f"{s}/**"} for s in counts]}],
    }
    if license:
        header = {"license": license, **header}
    front = yaml.safe_dump(header, sort_keys=False, allow_unicode=True)
    cells = [name.replace("|", "\\|") for name in ("background", *names)]
    rows = "".join(f"| {number} | {name} |\n" for number, name in enumerate(cells))
    told = " and ".join(f"{count} pictures in the split `{split}`" for split, count in counts.items())
    licence = (
        f"Their licence is {license}."
        if license
        else "Before you publish them, add `license:` to the head of this file;\n"
        "which licence is yours to give depends on the pictures and on the model behind them."
    )
    text = f"""---
{front}---

# {title}

{about}

There are {told}. {licence}

| column | what it is |
| :-- | :-- |
| image | picture, RGB |
| mask | label map of the same size: each pixel the index of its class, {IGNORE} where it should be ignored |
| classes | names of the classes the label map holds |

| index | class |
| --: | :-- |
{rows}"""
    write_text(root / CARD, text)


def size_category(items: int) -> str:
    """The hub's word for a number of items."""
    bounds = [(1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M")]
    return next((name for bound, name in bounds if items < bound), "n>1M")
