from __future__ import annotations

import numpy as np
import pytest

from aligndiff_cli.method.gaps import clamped_scale, diverse_memory, memory_scores, most_similar, paste_probability


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_memory_scores() -> None:
    found = memory_scores(np.array([0.8, 0.8, -0.3]), np.array([0.5, 0.1, 1.0]))
    np.testing.assert_allclose(found, [1.6, 8.0, -0.3])


@pytest.mark.parametrize("area", [0.0, -0.1, 1.5, float("nan")])
def test_an_area_ratio_is_a_positive_share(area: float) -> None:
    with pytest.raises(ValueError, match=r"\(0, 1\]"):
        memory_scores(np.array([0.5, 0.5]), np.array([0.5, area]))


def test_scores_need_as_many_areas() -> None:
    with pytest.raises(ValueError, match=r"\(2,\) and \(3,\)"):
        memory_scores(np.ones(2), np.ones(3))


def test_one_image_is_drawn_from_every_interval_of_the_score() -> None:
    # 12 images each, 2 classes, 4 places: twice 4 // 2, so 4 intervals of 3; the index tells the rank, highest first
    scores = {7: [(k, 12.0 - k) for k in range(12)], 3: [(100 + k, -float(k)) for k in range(12)]}
    drawn = [diverse_memory(scores, rng(seed), size=4) for seed in range(200)]
    for chosen in drawn:
        intervals = [(index >= 100, index % 100 // 3) for index in chosen]
        assert len(set(intervals)) == len(chosen) == 4  # of the 8 drawn
        assert intervals == sorted(intervals, key=lambda interval: (not interval[0], interval[1]))
    assert {index for chosen in drawn for index in chosen} == {*range(12), *range(100, 112)}


def test_one_class_may_fill_more_than_its_even_share() -> None:
    # 10 // 2 = 5 places each, twice that before the memory is cut; class 2 shares all its images with class 1
    scores = {1: [(k, float(k)) for k in range(40)], 2: [(k, 0.0) for k in range(5)]}
    for seed in range(20):
        assert len(diverse_memory(scores, rng(seed), size=10)) == 10


def test_a_place_for_every_image_takes_them_all_by_score() -> None:
    scores = {1: [(4, 0.1), (2, 0.3), (9, 0.2)]}
    assert diverse_memory(scores, rng(), size=3) == [2, 9, 4]
    assert diverse_memory(scores, rng()) == [2, 9, 4]


def test_equal_scores_are_ordered_by_index_and_the_order_given_does_not_matter() -> None:
    there = {1: [(k, float(k % 2)) for k in range(30)], 2: [(k, float(k % 3)) for k in range(15, 45)]}
    back = {c: there[c][::-1] for c in (2, 1)}
    assert diverse_memory(there, rng(5), size=10) == diverse_memory(back, rng(5), size=10)
    assert diverse_memory({1: [(5, 0.0), (1, 0.0), (3, 0.0)]}, rng(), size=3) == [1, 3, 5]


def test_a_shared_image_is_taken_once_and_leaves_the_memory_smaller() -> None:
    scores = {1: [(0, 3.0), (1, 2.0)], 2: [(1, 9.0), (2, 1.0)]}
    assert diverse_memory(scores, rng(), size=4) == [0, 1, 2]


def test_a_poor_class_has_no_more_places_than_images_and_an_empty_one_none() -> None:
    scores = {1: [(0, 1.0)], 2: [(k, float(k)) for k in range(1, 21)], 3: []}
    chosen = diverse_memory(scores, rng(), size=10)
    # two classes have images: 10 places each, of which the first can fill one; one of the 11 is left out
    assert len(set(chosen)) == 10
    assert set(chosen) <= set(range(21))
    assert 0 in diverse_memory({1: [(0, 1.0)], 2: [(k, float(k)) for k in range(1, 4)]}, rng(), size=10)
    assert diverse_memory({}, rng()) == diverse_memory({1: []}, rng()) == []


def test_more_classes_than_places_are_cut_at_random_but_seeded() -> None:
    scores = {c: [(c, 1.0)] for c in range(20)}
    cut = diverse_memory(scores, rng(1), size=6)
    assert len(set(cut)) == 6
    assert cut == sorted(cut)
    assert cut == diverse_memory(scores, rng(1), size=6)
    assert cut != list(range(6))
    assert cut != diverse_memory(scores, rng(2), size=6)


def test_a_memory_of_nothing_and_scores_without_order_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        diverse_memory({1: [(0, 1.0)]}, rng(), size=0)
    with pytest.raises(ValueError, match="finite"):
        diverse_memory({1: [(0, float("nan")), (1, 1.0)]}, rng())


@pytest.mark.parametrize(
    ("classes", "shots", "memory", "expected"),
    [
        (20, 1, 500, 0.625),  # t = 0.05, f = 0.002, r = 5
        (5, 1, 500, 20 / 31),  # r = 10
        (20, 5, 500, 0.580179),  # r = sqrt(5)
        (5, 4, 80, 0.571429),  # t = 0.2, f = 0.05, r = 2
        (10, 50, 500, 0.5),  # t = f
        (10, 400, 500, 0.5),  # f > t: r is 1, not below
    ],
)
def test_paste_probability(classes: int, shots: int, memory: int, expected: float) -> None:
    assert paste_probability(classes, shots, memory) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("numbers", [(0, 1, 500), (5, 0, 500), (5, 1, 0)])
def test_paste_probability_needs_numbers_from_one(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="from 1"):
        paste_probability(*numbers)


SCENES = np.array([[0.0, 1.0], [8.0, 6.0], [0.0, 0.0], [0.1, 0.0], [-5.0, 0.0]])


@pytest.mark.parametrize(
    ("share", "expected"),
    [(0.05, [3]), (0.2, [3]), (0.21, [3, 1]), (0.5, [3, 1, 0]), (1.0, [3, 1, 0, 2, 4])],
)
def test_most_similar_goes_by_direction(share: float, expected: list[int]) -> None:
    # cosines to (2, 0): 0, 0.8, 0 (no direction), 1, -1
    assert most_similar(np.array([2.0, 0.0]), SCENES, share) == expected


@pytest.mark.parametrize(("share", "scenes", "count"), [(0.05, 500, 25), (0.05, 501, 26), (0.07, 100, 7), (0.05, 3, 1)])
def test_most_similar_counts(share: float, scenes: int, count: int) -> None:
    descriptors = rng().normal(size=(scenes, 4))
    assert len(set(most_similar(descriptors[1], descriptors, share))) == count
    assert most_similar(descriptors[1], descriptors, share)[0] == 1


@pytest.mark.parametrize(
    ("query", "scenes", "share", "message"),
    [
        (np.ones(3), SCENES, 0.05, "scenes"),
        (np.ones((1, 2)), SCENES, 0.05, "scenes"),
        (np.ones(2), SCENES[:0], 0.05, "scenes"),
        (np.ones(2), SCENES, 0.0, "share"),
        (np.ones(2), SCENES, 1.1, "share"),
    ],
)
def test_most_similar_refuses(query: np.ndarray, scenes: np.ndarray, share: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        most_similar(query, scenes, share)


@pytest.mark.parametrize(
    ("box", "frame", "limit"),
    [
        ((10, 10), (1000, 1000), 2.0),  # always fits
        ((100, 20), (120, 300), 1.2),  # too high first
        ((20, 100), (300, 80), 0.8),  # too wide first
        ((20, 100), (30, 300), 1.5),  # height and width are not to be swapped
    ],
)
def test_clamped_scale(box: tuple[int, int], frame: tuple[int, int], limit: float) -> None:
    source = rng(3)
    drawn = np.array([clamped_scale(source, box, frame) for _ in range(400)])
    free = rng(3).uniform(0.1, 2.0, 400)
    np.testing.assert_allclose(drawn, np.minimum(free, limit))
    assert drawn.max() <= limit


def test_an_object_far_too_large_goes_below_the_range() -> None:
    assert clamped_scale(rng(), (2000, 10), (100, 150), low=0.5) == pytest.approx(0.05)


@pytest.mark.parametrize(
    ("box", "low", "high"), [((0, 5), 0.1, 2.0), ((5, 5), 0.0, 2.0), ((5, 5), 2.0, 0.1), ((5, -1), 0.1, 2.0)]
)
def test_clamped_scale_refuses(box: tuple[int, int], low: float, high: float) -> None:
    with pytest.raises(ValueError, match="low <= high"):
        clamped_scale(rng(), box, (10, 20), low, high)
