"""Learning-rate schedules at steps computed by hand."""

from __future__ import annotations

import math

import pytest

from aligndiff_cli.method.schedules import cosine, poly, trapezoid, warm_cosine


def test_poly() -> None:
    assert poly(0, 10) == 1.0
    assert poly(5, 10) == pytest.approx(0.5359, abs=1e-4)  # 0.5 ** 0.9
    assert poly(9, 10) == pytest.approx(0.1259, abs=1e-4)  # 0.1 ** 0.9
    assert poly(10, 10) == 0.0


def test_cosine() -> None:
    assert cosine(0, 10) == 1.0
    assert cosine(5, 10) == pytest.approx(0.5)
    assert 0 < cosine(9, 10) == pytest.approx((1 + math.cos(0.9 * math.pi)) / 2)


@pytest.mark.parametrize(
    ("step", "expected"),
    [(0, 0.01), (99, 1.0), (100, 1.0), (600, 0.505), (1100, 0.01), (5000, 0.01)],
)
def test_the_rate_rises_and_falls(step: int, expected: float) -> None:
    assert warm_cosine(step, 1100) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.002), (499, 1.0), (7999, 1.0), (9000, 0.5), (10000, 0.0), (11000, 0.0)]
)
def test_the_level_rate_ends_in_a_straight_line(step: int, expected: float) -> None:
    assert trapezoid(step, 10000) == pytest.approx(expected, abs=1e-3)
