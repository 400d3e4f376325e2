"""Claims of the paper, and the verdict on each."""

from __future__ import annotations

import pytest

from aligndiff_cli.evaluation.gfss import Spread
from aligndiff_cli.pocket.reproduce.claims import Claim, verdict


@pytest.mark.parametrize(
    ("gain", "expected"),
    [
        (Spread(0.02, 0.01, 3), "same order (+2.0 sd)"),
        (Spread(0.005, 0.01, 3), "same order, within noise (+0.5 sd)"),
        (Spread(-0.005, 0.01, 3), "NOT the same order, within noise (-0.5 sd)"),
        (Spread(-0.03, 0.01, 3), "NOT the same order (-3.0 sd)"),
        (Spread(0.02, None, 1), "same order, one run"),
        (Spread(None, None, 0), "–"),
    ],
)
def test_verdicts(gain: Spread, expected: str) -> None:
    assert verdict(gain) == expected


def test_a_claim_compares_runs_one_by_one() -> None:
    # gains 0.10 and 0.30: mean 0.20, sample sd 0.1414
    claim = Claim("a over b", [0.4, 0.5], [0.3, 0.2], 17.0)
    assert claim.row() == ["a over b", "+17.0", "+20.0 ± 14.1", "same order (+1.4 sd)"]
