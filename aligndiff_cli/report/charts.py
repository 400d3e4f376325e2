"""Charts: class-wise differences (Figs. A1 and A2) and curves (Fig. A12). Equal figures give equal bytes."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from aligndiff_cli.disk.images import ImageArray
from aligndiff_cli.report.paint import BLUE, GREEN, GREY, INK, MAGENTA, RED, Colour

SERIES: Sequence[Colour] = (BLUE, (230, 120, 0), GREEN, MAGENTA, (110, 80, 180), (90, 90, 90))
DPI = 100
MIN_WIDTH, MAX_WIDTH, HEIGHT = 7.2, 14.0, 4.6
"""Inches."""
MAX_NAMED = 80
"""Names are written below no more bars than these; of more, the extremes are told in words."""
NAMED_EXTREMES = 5
LETTERS = 24
"""Of a name, at most."""


@dataclass(frozen=True)
class Series:
    """One curve.

    Attributes:
        name: for the legend.
        x, y: points, in the order they are joined.
        error: half height of each point's error bar, e.g. one standard deviation; None for no bars.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float]
    error: Sequence[float] | None = None


@dataclass
class _Sheet:
    """Axes to draw on, and the picture once all is drawn."""

    axes: Any
    picture: ImageArray | None = None


@contextmanager
def _sheet(title: str, value_name: str, width: float) -> Iterator[_Sheet]:
    """Axes in one look, whatever the user's own settings; the picture is there after the block."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        figure = Figure(figsize=(width, HEIGHT), dpi=DPI, layout="constrained")
        sheet = _Sheet(figure.subplots())
        lines = textwrap.wrap(title, round(9 * width))[:2]
        sheet.axes.set_title("\n".join(lines), loc="left", color=_rgb(INK), parse_math=False)
        sheet.axes.set_ylabel(value_name, parse_math=False)
        sheet.axes.grid(axis="y", color="0.9")
        sheet.axes.set_axisbelow(True)
        sheet.axes.spines[["top", "right"]].set_visible(False)
        yield sheet
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        sheet.picture = np.asarray(canvas.buffer_rgba())[..., :3].copy()


def bar_chart(
    labels: Sequence[str],
    values: Sequence[float],
    title: str,
    *,
    value_name: str = "IoU difference",
    better: str = "improved",
    worse: str = "worse",
) -> ImageArray:
    """Class-wise differences, sorted from best to worst: green above zero, red below (Figs. A1, A2).

    Args:
        labels: a name for each value.
        values: differences; NaN (no value) is left out and counted in the legend.
        title: words at the top.
        value_name: of the vertical axis.
        better, worse: what the colours are called in the legend.

    Returns:
        uint8 (H, W, 3).

    Raises:
        ValueError: labels and values differ in number, or there is no value at all.
    """
    if len(labels) != len(values):
        raise ValueError(f"expected a label for each value, got {len(labels)} for {len(values)}")
    bars = [(str(name), float(v)) for name, v in zip(labels, values, strict=True) if math.isfinite(v)]
    if not bars:
        raise ValueError("expected at least one value, got none")
    bars.sort(key=lambda bar: (-bar[1], bar[0]))
    names, heights = zip(*bars, strict=True)
    mean = sum(heights) / len(heights)
    with _sheet(title, value_name, min(MAX_WIDTH, max(MIN_WIDTH, 0.16 * len(bars) + 1))) as sheet:
        axes = sheet.axes
        axes.bar(range(len(bars)), heights, 0.8, color=[_rgb(GREEN if v > 0 else RED) for v in heights])
        axes.axhline(0, color=_rgb(INK), linewidth=1)
        axes.axhline(mean, color=_rgb(GREY), linewidth=1, linestyle="--")
        axes.set_xlim(-0.7, len(bars) - 0.3)
        missing = [f"no value: {len(values) - len(bars)}"] if len(bars) < len(values) else []
        entries = [f"{better}: {sum(v > 0 for v in heights)} of {len(bars)}", f"{worse}: {sum(v < 0 for v in heights)}"]
        _legend(axes, [*entries, f"mean {mean:+.3f}", *missing], (GREEN, RED, GREY, (228, 230, 234)))
        if len(bars) <= MAX_NAMED:
            short = [_shortened(name) for name in names]
            wide = max(map(len, short)) * len(short) > 90
            axes.set_xticks(range(len(bars)), short, rotation=90 if wide else 0, parse_math=False)
        else:
            axes.set_xticks([])
            axes.set_xlabel(_extremes(bars), loc="left", fontsize="small", parse_math=False)
    assert sheet.picture is not None
    return sheet.picture


def line_chart(
    series: Sequence[Series], title: str, *, x_name: str, y_name: str, y_range: tuple[float, float] | None = None
) -> ImageArray:
    """Curves with error bars (Fig. A12).

    Args:
        series: the curves; points that are not finite are left out.
        title: words at the top.
        x_name, y_name: of the axes.
        y_range: lowest and highest value shown; None takes what the curves need.

    Returns:
        uint8 (H, W, 3).

    Raises:
        ValueError: no finite point, or lists of different length.
    """
    points = [_points(curve) for curve in series]
    if not any(points):
        raise ValueError("expected at least one finite point, got none")
    with _sheet(title, y_name, MIN_WIDTH) as sheet:
        axes = sheet.axes
        axes.set_xlabel(x_name, parse_math=False)
        if y_range is not None:
            axes.set_ylim(*y_range)
        colours = [SERIES[n % len(SERIES)] for n in range(len(series))]
        for own, colour in zip(points, colours, strict=True):
            x, y, error = ([point[n] for point in own] for n in range(3))
            shown = error if any(error) else None
            axes.errorbar(x, y, shown, color=_rgb(colour), marker="o", capsize=4, linewidth=2)
        named = [(curve.name, colour) for curve, colour in zip(series, colours, strict=True) if curve.name]
        if named:
            _legend(axes, [name for name, _ in named], [colour for _, colour in named])
    assert sheet.picture is not None
    return sheet.picture


def _points(curve: Series) -> list[tuple[float, float, float]]:
    error = [0.0] * len(curve.x) if curve.error is None else [e if math.isfinite(e) else 0.0 for e in curve.error]
    if not len(curve.x) == len(curve.y) == len(error):
        raise ValueError(f"expected x, y and error of one length, got {len(curve.x)}, {len(curve.y)}, {len(error)}")
    joined = zip(curve.x, curve.y, error, strict=True)
    return [(float(x), float(y), float(e)) for x, y, e in joined if math.isfinite(x) and math.isfinite(y)]


def _legend(axes: Any, entries: Sequence[str], colours: Sequence[Colour]) -> None:
    from matplotlib.patches import Patch

    patches = [Patch(color=_rgb(colour)) for _, colour in zip(entries, colours, strict=False)]
    shown = axes.figure.legend(patches, entries, loc="outside lower left", ncols=4, frameon=False, fontsize="small")
    for text in shown.get_texts():
        text.set_parse_math(False)


def _extremes(bars: Sequence[tuple[str, float]]) -> str:
    """Two lines that name the ends of a chart whose bars are too close for names."""
    gains = [bar for bar in bars if bar[1] > 0][:NAMED_EXTREMES]
    losses = [bar for bar in reversed(bars) if bar[1] < 0][:NAMED_EXTREMES]
    told = {"largest gains": gains, "largest losses": losses}
    return "\n".join(
        f"{word}: " + ", ".join(f"{_shortened(name)} {value:+.2f}" for name, value in chosen)
        for word, chosen in told.items()
        if chosen
    )


def _shortened(name: str) -> str:
    return name if len(name) <= LETTERS else f"{name[: LETTERS - 1]}…"


def _rgb(colour: Colour) -> tuple[float, float, float]:
    red, green, blue = colour
    return red / 255, green / 255, blue / 255
