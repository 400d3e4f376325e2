"""FSS-1000, read as it is unpacked: ROOT/<class>/<1 to 10>.jpg with the mask <1 to 10>.png beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from aligndiff_cli.datasets import fss_classes
from aligndiff_cli.datasets.photographs import check_counts, check_only, link
from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.disk.images import read_mask, write_png
from aligndiff_cli.disk.layout import CLASSES, OOD, QUERY, SUPPORT
from aligndiff_cli.disk.support import PairFiles, load_usable
from aligndiff_cli.errors import AligndiffError, FolderError, InputError, first_few
from aligndiff_cli.method.seeds import item_seed

URL = "https://github.com/HKUSTCV/FSS-1000 (fewshot_data.zip)"
TRAIN = "train"


@dataclass
class FssResult:
    """What was found wrong on the way."""

    warnings: list[str] = field(default_factory=list)
    problems: list[AligndiffError] = field(default_factory=list)


def prepare_fss(root: Path, out: Path, split: str, shots: int, seed: int, *, partial: bool) -> FssResult:
    """Write one split of FSS-1000.

    ``out/support/<class>/`` has K of those of the class's ten pairs that can be used, drawn by a hash of (seed, class,
    number), and ``out/query/<class>/`` the others; the split ``train`` has ``out/train/<class>/`` with all instead.
    Photographs are links; masks are written anew, cut at half of white, as the originals have soft edges.
    ``out/ood.txt`` lists the paper's out-of-distribution classes.

    Args:
        root: folder of the class folders, or the one above it.
        out: folder to write.
        split: train, val or test.
        shots: support pairs per class.
        seed: decides the support pairs.
        partial: go on without classes and pairs that are missing.

    Raises:
        UsageError: no such split.
        FolderError: something is missing and ``partial`` is false, a folder holds pairs of another choice, or no class
            has enough pairs that can be used.
    """
    names = fss_classes.split_classes(split)
    root = next((r for r in (root / "fewshot_data", root) if r.is_dir()), root)
    stems = {name: _stems(root / name) for name in names}
    counts = {f"classes of the split {split}": (len(names), sum((root / name).is_dir() for name in names))}
    counts |= {f"pairs of {name}": (fss_classes.PAIRS, len(own)) for name, own in stems.items() if own}
    result = FssResult(check_counts(counts, root, URL, partial))
    if not any(stems.values()):
        raise FolderError("holds none of the classes", root, f"Give the folder of the class folders; from {URL}")
    parts: dict[str, dict[str, list[str]]] = {}
    for name, own in stems.items():
        try:
            parts |= {name: _parts(root / name, _usable(root / name, own, result.problems), split, shots, seed)}
        except InputError as error:
            result.problems += [error] if own else []
    if not parts:
        raise FolderError(f"no class can be used: {first_few(result.problems)}", root)
    for part in next(iter(parts.values())):
        wanted = {out / part / name / f"{s}{end}" for name in parts for s in parts[name][part] for end in ENDINGS}
        check_only(out / part, wanted)
    for name, by_part in parts.items():
        for part, own in by_part.items():
            for stem in own:
                _write_pair(root / name, stem, out / part / name)
    if split != TRAIN:
        write_text(out / CLASSES, "".join(f"{name}\n" for name in parts))
        write_text(out / OOD, "".join(f"{name}\n" for name in parts if name in fss_classes.OOD))
    return result


ENDINGS = (".jpg", "_mask.png")


def _stems(folder: Path) -> list[str]:
    """Stems of the pairs of a class folder; the hidden files that macOS leaves beside them are none."""
    pictures = (path for path in folder.glob("*.jpg") if not path.name.startswith("."))
    return sorted(path.stem for path in pictures if path.with_suffix(".png").is_file())


def _usable(folder: Path, stems: Sequence[str], problems: list[AligndiffError]) -> list[str]:
    """Those of the pairs that can be used; why the others cannot is added to ``problems``."""
    pairs = [PairFiles(folder.name, stem, folder / f"{stem}.jpg", folder / f"{stem}.png") for stem in stems]
    found: list[InputError] = []
    usable = [pair.stem for pair, _ in load_usable(pairs, found)]
    problems += found
    return usable


def _parts(folder: Path, stems: Sequence[str], split: str, shots: int, seed: int) -> dict[str, list[str]]:
    """Which stems go into which folder.

    Raises:
        InputError: there are too few.
    """
    name = folder.name
    if split == TRAIN and stems:
        return {TRAIN: list(stems)}
    if len(stems) <= shots:
        what = f"{name!r} has {len(stems)} pairs: {shots} for support leave none to segment"
        raise InputError(what, folder, "Lower --shots, or mend its pairs")
    drawn = sorted(stems, key=lambda stem: (item_seed(seed, f"support/{name}/{stem}"), stem))
    return {SUPPORT: drawn[:shots], QUERY: drawn[shots:]}


def _write_pair(folder: Path, stem: str, place: Path) -> None:
    link(place / f"{stem}{ENDINGS[0]}", folder / f"{stem}.jpg")
    write_png(place / f"{stem}{ENDINGS[1]}", read_mask(folder / f"{stem}.png"))
