"""A claim of the paper, and what was measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aligndiff_cli.evaluation.gfss import Spread, spread
from aligndiff_cli.evaluation.tables import DASH, percent


@dataclass(frozen=True)
class Claim:
    """One claim of the paper: a row is better than another in a figure.

    Attributes:
        words: the claim.
        better, worse: values run by run, matched by run.
        published: the published gain, in points; None for what is not in the paper.
    """

    words: str
    better: Sequence[float]
    worse: Sequence[float]
    published: float | None

    def row(self) -> list[str]:
        """Words, published gain, measured gain with its standard deviation over runs, and the verdict."""
        gains = [b - w for b, w in zip(self.better, self.worse, strict=True)]
        found = spread(gains)
        assert found.mean is not None
        published = DASH if self.published is None else f"{self.published:+.1f}"
        return [self.words, published, points(found, signed=True), verdict(found)]


def verdict(gain: Spread) -> str:
    """What runs say of a gain that should be positive: its order, and its size in standard deviations of the gain."""
    if gain.mean is None:
        return DASH
    order = "same order" if gain.mean > 0 else "NOT the same order"
    if not gain.sd:
        return f"{order}, one run"
    size = gain.mean / gain.sd
    return f"{order}{', within noise' if abs(size) < 1 else ''} ({size:+.1f} sd)"


def points(value: Spread, *, signed: bool = False) -> str:
    """Mean and standard deviation in percent."""
    sd = "" if value.sd is None else f" ± {100 * value.sd:.1f}"
    return f"{percent(value.mean, signed)}{sd}"
