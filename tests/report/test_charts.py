"""Charts show the figures they were given: heights and colours are measured on the picture."""

from __future__ import annotations

import numpy as np
import pytest

from aligndiff_cli.report.charts import Series, bar_chart, line_chart
from aligndiff_cli.report.paint import BLUE, GREEN, RED


def near(chart: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.abs(chart.astype(int) - colour).max(axis=2) < 12


def heights(chart: np.ndarray, colour: tuple[int, int, int]) -> list[int]:
    """Heights in pixels of the bars of one colour, left to right; the legend below is left out."""
    counts = near(chart, colour)[:400].sum(axis=0)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], counts > 0, [0]]).astype(int)))
    return [int(np.median(counts[a:b])) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def test_bars_are_sorted_and_as_high_as_their_values() -> None:
    chart = bar_chart(["a", "b", "c", "d"], [0.1, -0.2, 0.4, 0.2], "t")
    ups, downs = heights(chart, GREEN), heights(chart, RED)
    unit = ups[0] / 0.4
    assert unit * 0.6 > 200  # the bars fill the plot
    assert ups == pytest.approx([0.4 * unit, 0.2 * unit, 0.1 * unit], abs=4)
    assert downs == pytest.approx([0.2 * unit], abs=4)
    greens, reds = (np.flatnonzero(near(chart, colour)[:400].any(axis=0)) for colour in (GREEN, RED))
    assert greens.max() < reds.min()


def test_order_of_the_input_does_not_matter() -> None:
    one = bar_chart(["a", "b", "c"], [0.1, -0.2, 0.4], "t")
    assert np.array_equal(one, bar_chart(["c", "a", "b"], [0.4, 0.1, -0.2], "t"))


def test_240_classes_fit_and_each_has_its_bar() -> None:
    values = np.linspace(0.3, -0.2, 240) + 0.05
    chart = bar_chart([f"class {n}" for n in range(240)], values.tolist(), "t")
    assert chart.shape[1] <= 1400
    assert len(heights(chart, GREEN)) + len(heights(chart, RED)) == pytest.approx(240, abs=6)


@pytest.mark.parametrize("values", [[0.0, 0.0], [0.3, 0.1], [-0.3, -0.1], [float("nan"), 0.2], [1e-9, -1e-9]])
def test_odd_values(values: list[float]) -> None:
    assert bar_chart(["a", "b"], values, "t").shape[2] == 3


def test_a_single_long_name() -> None:
    assert bar_chart(["a name of no end " * 20], [0.1], "title " * 90).shape[1] <= 1400


@pytest.mark.parametrize(
    ("labels", "values", "message"),
    [(["a"], [1.0, 2.0], "got 1 for 2"), ([], [], "at least one value"), (["a"], [float("nan")], "at least one value")],
)
def test_bad_bars(labels: list[str], values: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bar_chart(labels, values, "t")


def test_curve_passes_through_its_points() -> None:
    chart = line_chart([Series("", [0, 50, 100], [0.0, 1.0, 0.0])], "t", x_name="x", y_name="y")
    blue = near(chart, BLUE)
    rows, columns = np.nonzero(blue)
    top = columns[rows == rows.min()].mean()
    assert top == pytest.approx((columns.min() + columns.max()) / 2, abs=3)
    assert rows.max() - rows.min() > 300


def test_error_bars_reach_as_far_as_they_say() -> None:
    def extent(error: list[float] | None) -> int:
        chart = line_chart([Series("", [1], [0.5], error)], "t", x_name="x", y_name="y", y_range=(0, 1))
        return int(np.ptp(np.nonzero(near(chart, BLUE))[0]))

    assert extent([0.4]) == pytest.approx(2 * extent([0.2]), abs=3)
    assert extent([0.4]) > 200
    assert extent(None) < 12


def test_bad_curves() -> None:
    with pytest.raises(ValueError, match="at least one finite point"):
        line_chart([Series("a", [1], [float("nan")])], "t", x_name="x", y_name="y")
    with pytest.raises(ValueError, match="of one length, got 2, 1, 2"):
        line_chart([Series("a", [1, 2], [1])], "t", x_name="x", y_name="y")


def test_names_are_no_formulas_and_settings_of_the_user_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    import matplotlib

    expected = bar_chart(["$x^2$", "a_b"], [0.1, -0.1], "$\\frac$ of all")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black"}):
        assert np.array_equal(bar_chart(["$x^2$", "a_b"], [0.1, -0.1], "$\\frac$ of all"), expected)
