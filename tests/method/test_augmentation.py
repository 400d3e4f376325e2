from __future__ import annotations

import numpy as np
import pytest

from aligndiff_cli.labels import IGNORE
from aligndiff_cli.method.augmentation import augment

GREY = 128


class Scripted:
    """Choices made beforehand: a scale, whether to mirror, and every offset at one end of its range."""

    def __init__(self, scale: float, mirror: bool, high: bool = False) -> None:
        self.scale, self.mirror, self.high = scale, mirror, high

    def uniform(self, low: float, high: float) -> float:
        return self.scale

    def random(self) -> float:
        return 0.0 if self.mirror else 0.99

    def integers(self, low: int, high: int) -> int:
        return high - 1 if self.high else low


def numbered(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Every pixel's label is its own number, and so is its red."""
    labels = np.arange(height * width, dtype=np.uint8).reshape(height, width)
    return np.stack([labels, np.full_like(labels, 7), np.full_like(labels, 9)], axis=2), labels


def scripted(sample: tuple[np.ndarray, np.ndarray], crop: tuple[int, int], *choices: object) -> np.ndarray:
    """Labels of an augmentation; the picture must tell the same."""
    image, labels = augment(Scripted(*choices), *sample, crop)  # type: ignore[arg-type]
    inside = labels != IGNORE
    np.testing.assert_array_equal(image[..., 0], np.where(inside, labels, GREY))
    np.testing.assert_array_equal(image[..., 1], np.where(inside, 7, GREY))
    np.testing.assert_array_equal(image[..., 2], np.where(inside, 9, GREY))
    return labels


@pytest.mark.parametrize("size", [(20, 36), (9, 50), (1, 3), (64, 10)])
@pytest.mark.parametrize("crop", [(16, 24), (33, 17)])
def test_the_window_has_its_size_and_holds_something(size: tuple[int, int], crop: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    image, labels = np.zeros((*size, 3), np.uint8), np.zeros(size, np.uint8)
    for _ in range(30):
        out, out_labels = augment(rng, image, labels, crop)
        assert (out.shape, out_labels.shape) == ((*crop, 3), crop)
        assert (out.dtype, out_labels.dtype) == (np.uint8, np.uint8)
        assert set(np.unique(out_labels)) <= {0, IGNORE}
        assert (out_labels == 0).any()
        np.testing.assert_array_equal(out, np.where(out_labels == IGNORE, GREY, 0)[..., None].repeat(3, 2))
        # a window smaller than the smallest scaled picture is wholly inside
        if size[0] // 2 >= crop[0] and size[1] // 2 >= crop[1]:
            assert (out_labels == 0).all()


def test_the_window_begins_at_either_end() -> None:
    sample = numbered(4, 6)
    np.testing.assert_array_equal(scripted(sample, (2, 3), 1.0, False), [[0, 1, 2], [6, 7, 8]])
    np.testing.assert_array_equal(scripted(sample, (2, 3), 1.0, False, True), [[15, 16, 17], [21, 22, 23]])


def test_mirroring_turns_picture_and_labels_left_to_right() -> None:
    np.testing.assert_array_equal(scripted(numbered(4, 6), (2, 3), 1.0, True), [[2, 1, 0], [8, 7, 6]])


def test_around_a_small_picture_is_grey_and_ignored() -> None:
    sample = numbered(1, 2)
    _ = IGNORE
    np.testing.assert_array_equal(scripted(sample, (2, 4), 1.0, False), [[_] * 4, [_, _, 0, 1]])
    np.testing.assert_array_equal(scripted(sample, (2, 4), 1.0, False, True), [[0, 1, _, _], [_] * 4])
    # smaller along one axis only: cut along the other
    np.testing.assert_array_equal(scripted(numbered(3, 2), (2, 3), 1.0, False), [[_, 0, 1], [_, 2, 3]])


def test_labels_are_scaled_without_mixing_classes() -> None:
    labels = np.array([[0, 200, 0], [200, 0, 255]], np.uint8)
    image = np.zeros((2, 3, 3), np.uint8)
    _, out = augment(Scripted(2.0, False), image, labels, (4, 6))  # type: ignore[arg-type]
    np.testing.assert_array_equal(out, labels.repeat(2, 0).repeat(2, 1))


def test_picture_and_labels_are_cut_alike() -> None:
    rng = np.random.default_rng(1)
    labels = np.zeros((30, 50), np.uint8)
    labels[6:22, 11:44] = 200
    image = np.repeat(labels[..., None], 3, axis=2)
    both = set()
    for _ in range(40):
        out, out_labels = augment(rng, image, labels, (24, 28))
        inside = out_labels != IGNORE
        # bilinear edges differ by half a step at most, so a nearest label lies on the right side of the middle
        wrong = inside & ((out[..., 0] > 100) != (out_labels == 200))
        assert wrong.mean() < 0.04
        both |= set(np.unique(out_labels))
    assert both == {0, 200, IGNORE}


def test_scale_and_mirror_take_their_shares() -> None:
    image, labels = np.zeros((40, 60, 3), np.uint8), np.zeros((40, 60), np.uint8)
    labels[:, :30] = 1
    rng = np.random.default_rng(0)
    sides, mirrored = [], 0
    for _ in range(300):
        _, out = augment(rng, image, labels, (90, 130))
        rows = np.flatnonzero((out != IGNORE).any(1))
        sides.append(len(rows))
        middle = out[rows[0]]
        middle = middle[middle != IGNORE]
        mirrored += middle[0] == 0
    assert min(sides) >= 20
    assert max(sides) <= 80
    assert np.mean(sides) == pytest.approx(50, abs=3)  # (0.5 + 2) / 2 of 40
    assert 120 < mirrored < 180


def test_the_same_state_gives_the_same_bytes_and_leaves_the_input_alone() -> None:
    rng = np.random.default_rng(5)
    image, labels = rng.integers(0, 256, (21, 34, 3), dtype=np.uint8), rng.integers(0, 5, (21, 34), dtype=np.uint8)
    before = image.tobytes(), labels.tobytes()
    one, two, other = (augment(np.random.default_rng(seed), image, labels, (16, 20)) for seed in (3, 3, 4))
    assert [a.tobytes() for a in one] == [a.tobytes() for a in two]
    assert one[0].tobytes() != other[0].tobytes()
    assert (image.tobytes(), labels.tobytes()) == before
