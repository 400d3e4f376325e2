from __future__ import annotations

import pytest

from aligndiff_cli.evaluation.tables import percent, spread_percent


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [(0.1234, False, "12.3"), (-0.05, True, "-5.0"), (0.05, True, "+5.0"), (None, True, "–")],
)
def test_percent(value: float | None, signed: bool, text: str) -> None:
    assert percent(value, signed) == text


def test_a_spread_has_its_deviation_where_there_is_one() -> None:
    assert spread_percent({"mean": 0.5, "sd": 0.0123}) == "50.0 ± 1.2"
    assert spread_percent({"mean": 0.5, "sd": None}) == "50.0"
