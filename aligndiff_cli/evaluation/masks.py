"""Protocol ``masks``: how good are the masks of one folder, taken those of another for true?

Files are matched by their path within the folders (``<class>/<id>.png``). A mask without a counterpart is named and
counted, and scored as nothing: a truth that has no prediction is no empty prediction. What the true mask marks as
ignored (VOC's 255) counts for nothing.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from aligndiff_cli.disk.images import MaskArray, read_ignored, read_mask, read_soft
from aligndiff_cli.errors import FolderError, InputError
from aligndiff_cli.evaluation.metrics import Counts, score

NO_CLASS = "all"


@dataclass(frozen=True)
class MaskPair:
    """A predicted mask and the true one."""

    name: str
    prediction: Path
    truth: Path


@dataclass(frozen=True)
class MatchedMasks:
    """What two folders have in common.

    Attributes:
        classes: pairs of each class, sorted by name; masks outside any folder are of class "all".
        missing: names of true masks without a prediction.
        extra: names of predictions without a true mask.
        problems: files that share one name.
    """

    classes: Mapping[str, list[MaskPair]]
    missing: list[str]
    extra: list[str]
    problems: Sequence[InputError] = ()


@dataclass(frozen=True)
class MaskScores:
    """Counts of the pairs that could be scored, and why the others could not."""

    counts: Counts
    problems: list[InputError]


def match_masks(predictions: Path, truth: Path) -> MatchedMasks:
    """Pair the PNG files of two folders by their paths within them.

    Raises:
        FolderError: a folder does not exist or holds no PNG, or the two have no path in common.
    """
    problems: list[InputError] = []
    predicted, true = _listed(predictions, problems), _listed(truth, problems)
    classes: dict[str, list[MaskPair]] = {}
    for name in sorted(predicted.keys() & true.keys()):
        cls = name.rpartition("/")[0] or NO_CLASS
        classes.setdefault(cls, []).append(MaskPair(name, predicted[name], true[name]))
    if not classes:
        raise FolderError(
            f"has no mask in common with '{truth}': {next(iter(predicted))!r} here, {next(iter(true))!r} there",
            predictions,
            "Lay both out as <class>/<id>.png",
        )
    missing, extra = sorted(true.keys() - predicted.keys()), sorted(predicted.keys() - true.keys())
    return MatchedMasks(classes, missing, extra, problems)


def score_masks(cls: str, pairs: Iterable[MaskPair], threshold: float | None = None) -> MaskScores:
    """Count the overlaps of the pairs of one class, reading one pair at a time.

    Args:
        cls: name of the class.
        pairs: what to compare.
        threshold: predictions are soft maps in [0, 1], foreground from this value up; None: they are masks.
    """
    counts = Counts()
    problems: list[InputError] = []
    for pair in pairs:
        try:
            counts = counts + _score_pair(cls, pair, threshold)
        except InputError as error:
            problems.append(error)
    return MaskScores(counts, problems)


def _score_pair(cls: str, pair: MaskPair, threshold: float | None) -> Counts:
    truth = read_mask(pair.truth)
    prediction = read_thresholded(pair.prediction, threshold)
    if prediction.shape != truth.shape:
        raise InputError(
            f"expected a mask of {truth.shape[1]} x {truth.shape[0]} (width x height), the size of the true one, "
            f"got {prediction.shape[1]} x {prediction.shape[0]}",
            pair.prediction,
            "Predict at the image's own size",
        )
    return score(prediction, truth, cls, read_ignored(pair.truth))


def read_thresholded(path: Path, threshold: float | None) -> MaskArray:
    """Read a mask, or with a threshold a soft map that becomes one: bool (H, W)."""
    return read_mask(path) if threshold is None else read_soft(path) >= threshold


def _listed(folder: Path, problems: list[InputError]) -> dict[str, Path]:
    """PNG files of a folder by their path within it, in Unicode's NFC form, sorted.

    Of two files of one name, neither is taken, and a problem is added.
    """
    if not folder.is_dir():
        raise FolderError("there is no such folder", folder)
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder)
        hidden = any(part.startswith(".") for part in inside.parts)
        if path.suffix.lower() == ".png" and not hidden and not path.is_dir():
            found.setdefault(unicodedata.normalize("NFC", inside.with_suffix("").as_posix()), []).append(path)
    if not found:
        raise FolderError("holds no masks (PNG files)", folder)
    for name, paths in found.items():
        if len(paths) > 1:
            endings = " and ".join(path.name for path in paths)
            problems.append(InputError(f"expected one mask called {name!r}, got {endings}", folder, "Keep one of them"))
    return {name: paths[0] for name, paths in found.items() if len(paths) == 1}
