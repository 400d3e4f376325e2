"""Protocol ``gfss``: counts and scores of generalized few-shot segmentation (paper 4.1, D.3, Table 1).

A model that knows the base classes learns novel ones step by step, a few shots each, and after every step labels
the whole validation set, with base and novel classes against one another. Counts are accumulated over the whole
set; an IoU is a ratio of sums. As in GAPS (Qiu et al., 2023) and PIFS (Cermelli et al., 2021), *base includes the
background*, and pixels whose true class has not been seen yet are ignored.

PIFS reports the scores after the last step (:func:`last`), GAPS their mean over the steps (:func:`over_steps`). A fold
is run several times with other support pictures: figures are averaged over the runs of a fold, then over folds.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from aligndiff_cli.evaluation.metrics import mean

BACKGROUND = 0
IGNORED = 255


@dataclass(frozen=True)
class Confusion:
    """What predicted label maps have in common with the true ones, in pixels per class id (0 is the background).

    Attributes:
        intersection: pixels of the class that were predicted as such.
        predicted: counted pixels predicted as the class.
        target: counted pixels of the class.

    A class without pixels may be left out.
    """

    intersection: Mapping[int, int] = field(default_factory=dict)
    predicted: Mapping[int, int] = field(default_factory=dict)
    target: Mapping[int, int] = field(default_factory=dict)

    def __add__(self, other: Confusion) -> Confusion:
        return Confusion(
            _joined(self.intersection, other.intersection),
            _joined(self.predicted, other.predicted),
            _joined(self.target, other.target),
        )

    def iou(self, class_id: int) -> float | None:
        """IoU of one class in [0, 1]; None where it is neither there nor predicted."""
        both = self.intersection.get(class_id, 0)
        union = self.predicted.get(class_id, 0) + self.target.get(class_id, 0) - both
        return both / union if union else None

    def to_json(self) -> dict[str, dict[str, int]]:
        """Plain data; classes as text, in the order of their ids."""
        return {
            "intersection": _as_text(self.intersection),
            "predicted": _as_text(self.predicted),
            "target": _as_text(self.target),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Mapping[str, int]]) -> Confusion:
        """The inverse of :meth:`to_json`."""
        return cls(*({int(c): n for c, n in data[key].items()} for key in ("intersection", "predicted", "target")))


def confusion(prediction: np.ndarray, target: np.ndarray, seen: Collection[int]) -> Confusion:
    """Compare one predicted label map with the true one.

    Args:
        prediction: integers (H, W), class ids. A class that is not in ``seen`` counts as predicted all the same.
        target: integers (H, W), class ids, 255 for ignored pixels.
        seen: classes learnt so far, base and novel; the background always is one. Pixels whose target is another
            class, or 255, count for nothing, whatever was predicted there.

    Raises:
        ValueError: the shapes differ, one is not of integers, or 255 or less than 0 is predicted on a counted pixel.
    """
    if prediction.shape != target.shape:
        raise ValueError(f"expected label maps of one shape, got {prediction.shape} and {target.shape}")
    if not all(np.issubdtype(labels.dtype, np.integer) for labels in (prediction, target)):
        raise ValueError(f"expected integer label maps, got {prediction.dtype} and {target.dtype}")
    counted = np.isin(target, sorted({BACKGROUND, *seen} - {IGNORED}))
    p, t = prediction[counted], target[counted]
    if ((p < 0) | (p == IGNORED)).any():
        raise ValueError(f"expected class ids as prediction, got a value below 0 or {IGNORED}, which marks no class")
    return Confusion(_histogram(t[p == t]), _histogram(p), _histogram(t))


@dataclass(frozen=True)
class Scores:
    """Mean IoU of the base classes, background included, and of the novel ones, and their harmonic mean, in [0, 1]."""

    base: float | None
    novel: float | None
    hm: float | None


def scores(confusion: Confusion, base: Collection[int], novel: Collection[int]) -> Scores:
    """Means of the classes' IoU; a class whose IoU is undefined is left out.

    Args:
        confusion: the accumulated counts.
        base: base classes; the background is added to them.
        novel: novel classes learnt so far.

    Raises:
        ValueError: a class is both.
    """
    known = {BACKGROUND, *base}
    both = sorted(known & set(novel))
    if both:
        raise ValueError(f"classes cannot be base and novel at once: {', '.join(map(str, both))}")
    over_base = mean(confusion.iou(c) for c in sorted(known))
    over_novel = mean(confusion.iou(c) for c in sorted(set(novel)))
    return Scores(over_base, over_novel, harmonic_mean(over_base, over_novel))


def harmonic_mean(one: float | None, other: float | None) -> float | None:
    """Harmonic mean of two ratios: None if either is undefined, 0 if both are 0."""
    if one is None or other is None:
        return None
    return 2 * one * other / (one + other) if one + other else 0.0


@dataclass(frozen=True)
class StepResult:
    """The state after one step.

    Attributes:
        step: number of the step.
        learnt: novel classes so far, those of this step included, in the order learnt; empty before the first one.
        confusion: counts over the validation set with base and learnt classes seen.
    """

    step: int
    learnt: tuple[int, ...]
    confusion: Confusion

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"step": self.step, "learnt": list(self.learnt), "confusion": self.confusion.to_json()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StepResult:
        """The inverse of :meth:`to_json`."""
        return cls(data["step"], tuple(data["learnt"]), Confusion.from_json(data["confusion"]))


@dataclass(frozen=True)
class RunResult:
    """One run: one choice of support pictures, and all steps of learning from them.

    Attributes:
        fold: number or name of the fold.
        run: number of the run within its fold.
        base: ids of the base classes, without the background.
        support: for each novel class, by name, the stems of the pictures it was learnt from.
        steps: at least one, in the order taken.
        measured: other figures taken on the way; plain data.

    Raises:
        ValueError: there is no step, or they are not in ascending order.
    """

    fold: int | str
    run: int
    base: tuple[int, ...]
    support: Mapping[str, Sequence[str]]
    steps: Sequence[StepResult]
    measured: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        numbers = [step.step for step in self.steps]
        if not numbers or numbers != sorted(set(numbers)):
            raise ValueError(
                f"expected steps in ascending order, at least one, in run {self.run} of fold {self.fold}, got {numbers}"
            )

    @property
    def novel(self) -> tuple[int, ...]:
        """Novel classes after the last step, in the order learnt."""
        return self.steps[-1].learnt

    def to_json(self) -> dict[str, Any]:
        """Plain data; classes of the support set in alphabetical order."""
        return {
            "fold": self.fold,
            "run": self.run,
            "base": list(self.base),
            "support": {name: list(stems) for name, stems in sorted(self.support.items())},
            "steps": [step.to_json() for step in self.steps],
            "measured": dict(self.measured),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> RunResult:
        """The inverse of :meth:`to_json`; sequences come back as tuples."""
        return cls(
            data["fold"],
            data["run"],
            tuple(data["base"]),
            {name: tuple(stems) for name, stems in data["support"].items()},
            tuple(StepResult.from_json(step) for step in data["steps"]),
            dict(data["measured"]),
        )


def last(run: RunResult) -> Scores:
    """Scores after the last step: what PIFS reports."""
    return _step_scores(run, run.steps[-1])


def over_steps(run: RunResult) -> Scores:
    """Mean over the steps of base, of novel and of HM, each for itself: what GAPS reports.

    A step before which nothing novel was learnt (the base model's own) is not one of them. HM is the mean of the steps'
    harmonic means, not the harmonic mean of the means.
    """
    found = [_step_scores(run, step) for step in run.steps if step.learnt]
    return Scores(mean(s.base for s in found), mean(s.novel for s in found), mean(s.hm for s in found))


def _step_scores(run: RunResult, step: StepResult) -> Scores:
    return scores(step.confusion, run.base, step.learnt)


@dataclass(frozen=True)
class Spread:
    """A figure measured several times.

    Attributes:
        mean: None if it was never defined.
        sd: standard deviation; None where there is only one value.
        count: number of values.
    """

    mean: float | None
    sd: float | None
    count: int


def spread(values: Iterable[float | None]) -> Spread:
    """Mean and sample standard deviation (n - 1) of the values that are defined."""
    defined = [value for value in values if value is not None]
    return Spread(
        statistics.mean(defined) if defined else None,
        statistics.stdev(defined) if len(defined) > 1 else None,
        len(defined),
    )


def over_folds(folds: Iterable[Spread]) -> Spread:
    """Join the folds: the mean of their means, and the mean of their standard deviations.

    So ``sd`` says how far a fold's figure moves from run to run, on average. It is neither the deviation between folds,
    which are different tasks, nor the error of the joint mean. ``count`` is the number of runs in all. What is
    undefined in a fold is left out.
    """
    folds = list(folds)
    return Spread(mean(fold.mean for fold in folds), mean(fold.sd for fold in folds), sum(f.count for f in folds))


def by_fold(results: Iterable[RunResult]) -> dict[int | str, list[RunResult]]:
    """The runs of each fold, both in ascending order, numbered folds before named ones.

    Raises:
        ValueError: a run is there twice, or runs of one fold differ in their base or novel classes.
    """
    found: dict[int | str, list[RunResult]] = {}
    for result in sorted(results, key=lambda r: (isinstance(r.fold, str), r.fold, r.run)):
        runs = found.setdefault(result.fold, [])
        if any(result.run == other.run for other in runs):
            raise ValueError(f"run {result.run} of fold {result.fold} is there twice")
        if runs and (set(result.base), set(result.novel)) != (set(runs[0].base), set(runs[0].novel)):
            raise ValueError(f"runs {runs[0].run} and {result.run} of fold {result.fold} have different classes")
        runs.append(result)
    return found


def over_runs(results: Iterable[RunResult], figure: Callable[[RunResult], float | None]) -> Spread:
    """A figure of each run, over the runs of each fold first, then over folds."""
    return over_folds(spread(figure(run) for run in runs) for runs in by_fold(results).values())


def _joined(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    return {c: one.get(c, 0) + other.get(c, 0) for c in {**one, **other}}


def _as_text(counts: Mapping[int, int]) -> dict[str, int]:
    return {str(c): n for c, n in sorted(counts.items())}


def _histogram(labels: np.ndarray) -> dict[int, int]:
    """Number of pixels of each class that has any."""
    counts = np.bincount(labels)
    return {int(c): int(counts[c]) for c in np.flatnonzero(counts)}
