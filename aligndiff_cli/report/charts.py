"""Charts, drawn with Pillow alone: class-wise differences (as in Figs. A1 and A2) and curves (as in Fig. A12).

A chart is drawn at twice its size and scaled down, which smooths its lines. The same figures give the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from aligndiff_cli.disk.images import ImageArray
from aligndiff_cli.report.paint import BLUE, GREEN, GREY, INK, MAGENTA, RED, Colour
from aligndiff_cli.report.text import drawable, font, shortened, width_of, wrapped

GRID: Colour = (228, 230, 234)
GROUND: Colour = (255, 255, 255)
SERIES: Sequence[Colour] = (BLUE, (230, 120, 0), GREEN, MAGENTA, (110, 80, 180), (90, 90, 90))
TITLE, LABEL = 20, 13
LINE = 18
PLOT_HEIGHT = 300
MIN_WIDTH, MAX_WIDTH = 720, 1400
LABELLED_PITCH = 16
"""Names are written below bars that are at least so many pixels apart; else the extremes are told in words."""
MAX_NAMED = 80
NAMED_EXTREMES = 5


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


def nice_ticks(low: float, high: float, count: int = 6) -> list[float]:
    """About ``count`` round numbers (1, 2 or 5 times a power of ten apart) that enclose [low, high].

    Raises:
        ValueError: a bound is not finite.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        raise ValueError(f"expected finite bounds, got {low} and {high}")
    low, high = min(low, high), max(low, high)
    if high - low < 1e-9 * max(1.0, abs(high)):
        low, high = low - 0.5, high + 0.5
    rough = (high - low) / max(count - 1, 1)
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(n * step, 12) for n in range(first, last + 1)]


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
    bars = [(drawable(str(name)), float(v)) for name, v in zip(labels, values, strict=True) if math.isfinite(v)]
    if not bars:
        raise ValueError("expected at least one value, got none")
    bars.sort(key=lambda bar: (-bar[1], bar[0]))
    mean = sum(value for _, value in bars) / len(bars)
    wanted = len(bars) * (LABELLED_PITCH if len(bars) <= MAX_NAMED else 5)
    chart = _Axes(title, max(MIN_WIDTH, wanted))
    pitch = chart.plot_width / len(bars)
    named = pitch >= LABELLED_PITCH
    foot = _name_room([name for name, _ in bars], pitch) if named else 2 * LINE + 8
    ticks = nice_ticks(min(0.0, bars[-1][1]), max(0.0, bars[0][1]), 8)
    chart.begin(ticks, value_name, _bar_legend([v for _, v in bars], len(values), mean, better, worse), foot)
    for n, (_, value) in enumerate(bars):
        centre, half = chart.left + (n + 0.5) * pitch, min(0.5 * pitch - min(0.2 * pitch, 6), 28)
        chart.box(centre - half, value, centre + half, 0.0, GREEN if value > 0 else RED)
    chart.level(0.0, INK, 1.5)
    chart.level(mean, GREY, 1.0, dashed=True)
    if named:
        _write_names(chart, [name for name, _ in bars], pitch)
    else:
        _write_extremes(chart, bars)
    return chart.picture()


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
    flat = [point for curve in points for point in curve]
    if not flat:
        raise ValueError("expected at least one finite point, got none")
    low, high = y_range or (min(y - e for _, y, e in flat), max(y + e for _, y, e in flat))
    x_ticks = nice_ticks(min(x for x, _, _ in flat), max(x for x, _, _ in flat), 8)
    chart = _Axes(title, MIN_WIDTH)
    legend = [(curve.name, SERIES[n % len(SERIES)]) for n, curve in enumerate(series) if curve.name]
    chart.begin(nice_ticks(low, high), y_name, legend, 2 * LINE + 8)
    scale = (chart.plot_width - 24) / (x_ticks[-1] - x_ticks[0])

    def place(x: float) -> float:
        return chart.left + 12 + (x - x_ticks[0]) * scale

    for tick in x_ticks:
        chart.write(place(tick), chart.bottom + 6, _number(tick, x_ticks), anchor="ma")
    chart.write(chart.left + chart.plot_width / 2, chart.bottom + 6 + LINE, drawable(x_name), anchor="ma")
    for n, curve in enumerate(points):
        chart.curve([(place(x), y, e) for x, y, e in curve], SERIES[n % len(SERIES)])
    return chart.picture()


def _bar_legend(values: Sequence[float], asked: int, mean: float, better: str, worse: str) -> list[tuple[str, Colour]]:
    legend = [
        (f"{better}: {sum(v > 0 for v in values)} of {len(values)}", GREEN),
        (f"{worse}: {sum(v < 0 for v in values)}", RED),
        (f"mean {mean:+.3f}", GREY),
    ]
    return legend if len(values) == asked else [*legend, (f"no value: {asked - len(values)}", GRID)]


def _points(curve: Series) -> list[tuple[float, float, float]]:
    error = [0.0] * len(curve.x) if curve.error is None else [e if math.isfinite(e) else 0.0 for e in curve.error]
    if not len(curve.x) == len(curve.y) == len(error):
        raise ValueError(f"expected x, y and error of one length, got {len(curve.x)}, {len(curve.y)}, {len(error)}")
    joined = zip(curve.x, curve.y, error, strict=True)
    return [(float(x), float(y), float(e)) for x, y, e in joined if math.isfinite(x) and math.isfinite(y)]


def _number(value: float, ticks: Sequence[float]) -> str:
    """A tick's number with as many decimals as the distance of the ticks needs."""
    step = ticks[1] - ticks[0]
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:,.{decimals}f}"


def _longest_name(names: Sequence[str]) -> int:
    return min(150, max(width_of(name, LABEL) for name in names))


def _is_level(names: Sequence[str], pitch: float) -> bool:
    return _longest_name(names) <= pitch - 6


def _name_room(names: Sequence[str], pitch: float) -> int:
    return LINE + 8 if _is_level(names, pitch) else _longest_name(names) + 14


def _write_names(chart: _Axes, names: Sequence[str], pitch: float) -> None:
    for n, name in enumerate(names):
        words = shortened(name, LABEL, 150)
        centre = chart.left + (n + 0.5) * pitch
        if _is_level(names, pitch):
            chart.write(centre, chart.bottom + 6, words, anchor="ma")
        else:
            chart.write_upwards(centre, chart.bottom + 6, words)


def _write_extremes(chart: _Axes, bars: Sequence[tuple[str, float]]) -> None:
    """Two lines that name the ends of a chart whose bars are too close for names."""
    gains = [bar for bar in bars if bar[1] > 0][:NAMED_EXTREMES]
    losses = [bar for bar in reversed(bars) if bar[1] < 0][:NAMED_EXTREMES]
    for line, (word, chosen) in enumerate((("largest gains", gains), ("largest losses", losses))):
        if chosen:
            words = f"{word}: " + ", ".join(f"{name} {value:+.2f}" for name, value in chosen)
            y = chart.bottom + 8 + line * LINE
            chart.write(chart.left, y, shortened(words, LABEL, int(chart.plot_width)))


class _Axes:
    """Title, legend, vertical axis and grid; lengths are in final pixels, drawn at ``SCALE`` times that."""

    SCALE = 2
    MARGIN = 24

    def __init__(self, title: str, plot_width: float) -> None:
        self._title = title
        self.left = 86.0
        self.width = int(min(MAX_WIDTH, self.left + plot_width + self.MARGIN))
        self.plot_width = self.width - self.left - self.MARGIN
        self.top = self.bottom = 0.0
        self._ticks: Sequence[float] = (0.0, 1.0)

    def begin(self, ticks: Sequence[float], value_name: str, legend: Sequence[tuple[str, Colour]], foot: int) -> None:
        """Draw all that does not depend on the values' marks; ``foot`` is the room below the plot."""
        lines = wrapped(self._title, TITLE, self.width - 2 * self.MARGIN, 2)
        head = self.MARGIN + len(lines) * (TITLE + 8) + (LINE + 10 if legend else 0)
        self.top, self.bottom, self._ticks = float(head), float(head + PLOT_HEIGHT), ticks
        size = (self.width * self.SCALE, (head + PLOT_HEIGHT + foot + self.MARGIN // 2) * self.SCALE)
        self._sheet = Image.new("RGB", size, GROUND)
        self._draw = ImageDraw.Draw(self._sheet)
        for n, line in enumerate(lines):
            self.write(self.MARGIN, self.MARGIN - 6 + n * (TITLE + 8), line, TITLE)
        x = self.left
        for name, colour in legend:
            y = head - LINE - 8
            self._rectangle(x, y + 2, x + 14, y + 14, colour)
            words = shortened(drawable(name), LABEL, 320)
            self.write(x + 20, y, words)
            x += 44 + width_of(words, LABEL)
        for tick in ticks:
            self.level(tick, GRID, 1.0)
            self.write(self.left - 8, self.y(tick), _number(tick, ticks), anchor="rm")
        self.write_upwards(self.MARGIN / 2 + 4, (self.top + self.bottom) / 2, drawable(value_name), centred=True)

    def y(self, value: float) -> float:
        """Height of a value on the picture; values beyond the axis are drawn at its end."""
        low, high = self._ticks[0], self._ticks[-1]
        return self.bottom - PLOT_HEIGHT * (min(max(value, low), high) - low) / (high - low)

    def box(self, left: float, top_value: float, right: float, bottom_value: float, colour: Colour) -> None:
        """A bar between two values; one of no height still shows as a hairline."""
        a, b = sorted((self.y(top_value), self.y(bottom_value)))
        self._rectangle(left, a, right, max(b, a + 0.5), colour)

    def level(self, value: float, colour: Colour, width: float, *, dashed: bool = False) -> None:
        """A horizontal line through the plot."""
        y, right = self.y(value), self.left + self.plot_width
        step = 10.0 if dashed else self.plot_width
        x = self.left
        while x < right - 0.5:
            end = min(right, x + (0.6 * step if dashed else step))
            self._rectangle(x, y - width / 2, end, y + width / 2, colour)
            x += step

    def curve(self, points: Sequence[tuple[float, float, float]], colour: Colour) -> None:
        """Joined points (x in pixels, value, error) with error bars and dots."""
        places = [(x * self.SCALE, self.y(value) * self.SCALE) for x, value, _ in points]
        if len(places) > 1:
            self._draw.line(places, colour, width=2 * self.SCALE, joint="curve")
        for x, value, error in points:
            if error > 0:
                low, high = self.y(value - error), self.y(value + error)
                self._rectangle(x - 0.75, high, x + 0.75, low, colour)
                for end in (low, high):
                    self._rectangle(x - 5, end - 0.75, x + 5, end + 0.75, colour)
            self._draw.circle((x * self.SCALE, self.y(value) * self.SCALE), 4 * self.SCALE, colour, GROUND, self.SCALE)

    def write(self, x: float, y: float, words: str, size: int = LABEL, anchor: str = "la") -> None:
        """A line of drawable text."""
        place = (x * self.SCALE, y * self.SCALE)
        self._draw.text(place, words, INK, font(size * self.SCALE), anchor=anchor)

    def write_upwards(self, x: float, y: float, words: str, *, centred: bool = False) -> None:
        """A line of text that reads upwards; it ends at ``y``, or is centred on it."""
        face = font(LABEL * self.SCALE)
        strip = Image.new("L", (math.ceil(face.getlength(words)) + 2, LINE * self.SCALE), 0)
        ImageDraw.Draw(strip).text((0, strip.height / 2), words, 255, face, anchor="lm")
        turned = strip.transpose(Image.Transpose.ROTATE_90)
        top = y * self.SCALE - (turned.height / 2 if centred else 0)
        self._sheet.paste(INK, (round(x * self.SCALE - turned.width / 2), round(top)), turned)

    def picture(self) -> ImageArray:
        """The finished chart, at its final size."""
        return np.array(self._sheet.reduce(self.SCALE))

    def _rectangle(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        a, b, c, d = (round(v * self.SCALE) for v in (left, top, right, bottom))
        self._draw.rectangle((a, b, max(a, c - 1), max(b, d - 1)), fill=colour)
