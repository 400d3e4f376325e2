"""A data set, as the folders the stages read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from aligndiff_cli.datasets.emoji_prepare import prepare_emoji_5i, prepare_emoji_fss
from aligndiff_cli.datasets.emoji_sprites import fetch_icons
from aligndiff_cli.disk.run_file import RunFile, write_run
from aligndiff_cli.errors import UsageError
from aligndiff_cli.stages.common import versions
from aligndiff_cli.stages.runner import check_same_run, options_dict

DATASETS = ("emoji-5i", "emoji-fss")
CACHE = Path("~/.cache/aligndiff/icons")


@dataclass(frozen=True)
class PrepareOptions:
    """What `aligndiff prepare` was asked for."""

    dataset: str
    out: Path
    icons: Path | None
    fold: int
    split: str
    shots: int
    per_class: int
    scenes: int
    seed: int


def prepare(options: PrepareOptions, *, force: bool = False) -> list[tuple[str, str]]:
    """Write the data set's folders; returns their names and what they hold.

    Raises:
        UsageError: an unknown data set, fold or split.
        InputError: the drawings are not to be had.
        FolderError: the folder holds another data set.
    """
    o = options
    if o.dataset not in DATASETS:
        raise UsageError(f"expected one of {', '.join(DATASETS)}, got {o.dataset!r}")
    run = RunFile("prepare", options_dict(o, without=("out", "icons", "seed")), o.seed, {}, {}, versions())
    check_same_run(o.out, run, force)
    icons = o.icons or fetch_icons(CACHE.expanduser())
    if o.dataset == "emoji-5i":
        prepare_emoji_5i(o.out, icons, o.fold, o.shots, o.seed, scenes=o.scenes)
        made = [
            ("support", f"{o.shots} pairs of each of fold {o.fold}'s five novel classes"),
            ("base", f"{o.scenes} scenes without a novel pixel (VOC layout, split train)"),
            ("query", f"{o.scenes} scenes with all classes (VOC layout, split val)"),
        ]
    else:
        prepare_emoji_fss(o.out, icons, o.split, o.shots, o.seed, o.per_class)
        made = (
            [("train", f"{o.per_class} pairs of each training class")]
            if o.split == "train"
            else [
                ("support", f"{o.shots} pairs of each class"),
                ("query", f"{o.per_class} pairs of each class"),
                ("ood.txt", "the classes that the pocket model has never seen"),
            ]
        )
    write_run(o.out, run)
    return made
