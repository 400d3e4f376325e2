from __future__ import annotations

import json

import numpy as np
import pytest

from aligndiff_cli.evaluation.gfss import (
    Confusion,
    RunResult,
    Scores,
    Spread,
    StepResult,
    by_fold,
    confusion,
    harmonic_mean,
    last,
    over_folds,
    over_runs,
    over_steps,
    scores,
    spread,
)

# 3 x 4; base 1, novel 2 learnt, novel 3 not yet
TARGET = np.array([[0, 0, 1, 1], [2, 2, 1, 255], [3, 3, 0, 2]], np.uint8)
PREDICTION = np.array([[0, 1, 1, 2], [2, 0, 1, 1], [2, 0, 0, 2]], np.uint8)


def test_confusion_counts_pixels_of_seen_classes() -> None:
    # (1, 3) is ignored, (2, 0) and (2, 1) show a class not seen: what is predicted there counts for nothing
    assert confusion(PREDICTION, TARGET, {1, 2}) == Confusion(
        intersection={0: 2, 1: 2, 2: 2}, predicted={0: 3, 1: 3, 2: 3}, target={0: 3, 1: 3, 2: 3}
    )


def test_a_class_once_seen_counts() -> None:
    found = confusion(PREDICTION, TARGET, {1, 2, 3})
    assert found.target == {0: 3, 1: 3, 2: 3, 3: 2}
    assert found.predicted == {0: 4, 1: 3, 2: 4}
    assert found.iou(3) == 0.0
    assert found.iou(2) == pytest.approx(2 / 5)


def test_the_background_is_always_seen_and_255_never() -> None:
    found = confusion(PREDICTION, TARGET, [255])
    assert found == Confusion({0: 2}, {0: 2, 1: 1}, {0: 3})
    assert found.iou(0) == pytest.approx(2 / 3)
    # predicted though not seen: a union without intersection
    assert found.iou(1) == 0.0
    assert found.iou(2) is None


def test_confusion_takes_any_integers_and_an_image_without_a_counted_pixel() -> None:
    wide = confusion(PREDICTION.astype(np.int64), TARGET.astype(np.int32), [np.int64(1), np.int64(2)])
    assert wide == confusion(PREDICTION, TARGET, {1, 2})
    assert confusion(PREDICTION, np.full((3, 4), 255, np.uint8), {1}) == Confusion()


def test_confusion_equals_counting_pixel_by_pixel() -> None:
    rng = np.random.default_rng(0)
    target, prediction = rng.integers(0, 6, (17, 29)), rng.integers(0, 6, (17, 29))
    target[rng.random((17, 29)) < 0.1] = 255
    found = confusion(prediction, target, {1, 3, 4})
    pairs = [(p, t) for p, t in zip(prediction.flat, target.flat, strict=True) if t in (0, 1, 3, 4)]
    for c in range(6):
        both = sum(p == c and t == c for p, t in pairs)
        either = sum(p == c or t == c for p, t in pairs)
        assert found.iou(c) == both / either


@pytest.mark.parametrize(
    ("prediction", "message"),
    [
        (PREDICTION.T, r"\(4, 3\) and \(3, 4\)"),
        (PREDICTION.astype(np.float32), "float32"),
        (np.full((3, 4), 255, np.uint8), "marks no class"),
        (np.full((3, 4), -1, np.int64), "below 0"),
    ],
)
def test_confusion_refuses(prediction: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        confusion(prediction, TARGET, {1, 2})


def test_confusions_add_up_and_an_iou_is_a_ratio_of_sums() -> None:
    one, other = Confusion({1: 10}, {1: 10}, {1: 40}), Confusion({1: 30, 7: 5}, {1: 30, 7: 5}, {1: 30, 7: 5})
    both = one + other
    assert both == Confusion({1: 40, 7: 5}, {1: 40, 7: 5}, {1: 70, 7: 5}) == other + one
    # 40 / 70, not the mean of 0.25 and 1
    assert both.iou(1) == pytest.approx(4 / 7)
    assert sum([one, other], Confusion()) == both


def test_confusion_survives_json_with_its_classes_in_order() -> None:
    counts = Confusion({10: 1, 2: 3}, {2: 3, 10: 4}, {0: 5, 10: 1})
    data = json.loads(json.dumps(counts.to_json()))
    assert list(data["intersection"]) == ["2", "10"]
    assert Confusion.from_json(data) == counts


def ratios(**percents: int) -> Confusion:
    """Counts whose IoU is the percentage given: c0=50 says that of class 0."""
    hits = {int(name[1:]): value for name, value in percents.items()}
    return Confusion(hits, hits, dict.fromkeys(hits, 100))


@pytest.mark.parametrize(
    ("base", "novel", "expected"),
    [
        ([1, 2], [5, 6], Scores(0.6, 0.3, 0.4)),  # base: background 90, and 60 and 30
        ([0, 1, 2], [6, 5], Scores(0.6, 0.3, 0.4)),
        ([1, 2, 99], [5, 6, 98], Scores(0.6, 0.3, 0.4)),  # neither there nor predicted: left out
        ([1], [5], Scores(0.75, 0.4, 0.521739)),
        ([], [6], Scores(0.9, 0.2, 0.327273)),
        ([1, 2], [], Scores(0.6, None, None)),
        ([1, 2], [7], Scores(0.6, 0.0, 0.0)),
    ],
)
def test_scores(base: list[int], novel: list[int], expected: Scores) -> None:
    counts = ratios(c0=90, c1=60, c2=30, c5=40, c6=20, c7=0)
    found = scores(counts, base, novel)
    assert found.base == pytest.approx(expected.base)
    assert found.novel == pytest.approx(expected.novel)
    assert found.hm == pytest.approx(expected.hm, abs=1e-6)


@pytest.mark.parametrize("novel", [[2, 5], [0]])
def test_a_class_is_not_both_base_and_novel(novel: list[int]) -> None:
    with pytest.raises(ValueError, match="base and novel at once"):
        scores(Confusion(), [1, 2], novel)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [(0.472, 0.039, 0.072047), (0.0, 0.0, 0.0), (0.5, 0.0, 0.0), (None, 0.5, None), (0.5, None, None)],
)
def test_harmonic_mean(one: float | None, other: float | None, expected: float | None) -> None:
    assert harmonic_mean(one, other) == (None if expected is None else pytest.approx(expected, abs=1e-6))


def result(fold: int | str = 0, run: int = 0, novel: int = 40, measured: dict[str, float] | None = None) -> RunResult:
    """Base class 1; novel 5 is learnt, then 6, whose IoU is ``novel`` percent."""
    steps = (
        StepResult(0, (), ratios(c0=100, c1=100)),
        StepResult(1, (5,), ratios(c0=90, c1=70, c5=20)),
        StepResult(2, (5, 6), ratios(c0=80, c1=40, c5=20, c6=novel)),
    )
    return RunResult(fold, run, (1,), {"cat": ("b", "a"), "bird": ("c",)}, steps, measured or {})


def test_last_and_mean_over_steps() -> None:
    found = last(result())
    assert (found.base, found.novel, found.hm) == (pytest.approx(0.6), pytest.approx(0.3), pytest.approx(0.4))
    # the base model's own step is left out; HM: mean of 0.32 and 0.4, not of the means 0.7 and 0.25
    found = over_steps(result())
    assert (found.base, found.novel, found.hm) == (pytest.approx(0.7), pytest.approx(0.25), pytest.approx(0.36))


def test_a_run_survives_json() -> None:
    run = result("odd", 3, measured={"loss": 0.25})
    data = json.loads(json.dumps(run.to_json()))
    assert list(data["support"]) == ["bird", "cat"]
    assert data["support"]["cat"] == ["b", "a"]
    assert RunResult.from_json(data) == run
    assert run.novel == (5, 6)


@pytest.mark.parametrize("numbers", [[], [1, 1], [2, 1]])
def test_a_run_has_steps_in_order(numbers: list[int]) -> None:
    with pytest.raises(ValueError, match="run 4 of fold 2"):
        RunResult(2, 4, (1,), {}, [StepResult(n, (5,), Confusion()) for n in numbers])


@pytest.mark.parametrize(
    ("values", "mean", "sd", "count"),
    [
        ([0.2, 0.4, 0.9], 0.5, 0.360555, 3),  # squares 0.09, 0.01, 0.16 over 2
        ([0.2, None, 0.4], 0.3, 0.141421, 2),
        ([0.7], 0.7, None, 1),
        ([None], None, None, 0),
        ([], None, None, 0),
    ],
)
def test_spread(values: list[float | None], mean: float | None, sd: float | None, count: int) -> None:
    found = spread(values)
    assert found.mean == (None if mean is None else pytest.approx(mean))
    assert found.sd == (None if sd is None else pytest.approx(sd, abs=1e-6))
    assert found.count == count


def test_over_folds_averages_means_and_deviations() -> None:
    found = over_folds([Spread(0.2, 0.01, 5), Spread(0.6, 0.03, 2), Spread(0.7, None, 1), Spread(None, None, 0)])
    assert found == Spread(pytest.approx(0.5), pytest.approx(0.02), 8)
    assert over_folds([Spread(0.3, None, 1)]) == Spread(0.3, None, 1)
    assert over_folds([]) == Spread(None, None, 0)


def test_over_runs_averages_within_a_fold_first() -> None:
    # fold 0: 0.1, 0.2, 0.6 (mean 0.3, sd 0.264575); fold 1: 0.8: every fold counts alike
    runs = [result(0, k, novel) for k, novel in enumerate((10, 20, 60))] + [result(1, 0, 80)]
    found = over_runs(runs, lambda run: run.steps[-1].confusion.iou(6))
    assert found == Spread(pytest.approx(0.55), pytest.approx(0.264575, abs=1e-6), 4)


def test_by_fold_sorts_numbers_before_names() -> None:
    runs = [result("own", 0), result(10, 1), result(2, 0), result(10, 0)]
    found = by_fold(runs)
    assert list(found) == [2, 10, "own"]
    assert [run.run for run in found[10]] == [0, 1]


def test_by_fold_refuses_runs_that_cannot_be_averaged() -> None:
    with pytest.raises(ValueError, match="run 1 of fold 0 is there twice"):
        by_fold([result(0, 1), result(0, 0), result(0, 1)])
    short = RunResult(0, 1, (1,), {}, result().steps[:2])
    with pytest.raises(ValueError, match="runs 0 and 1 of fold 0 have different classes"):
        by_fold([result(0, 0), short])
