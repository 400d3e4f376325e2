from __future__ import annotations

import pytest

from aligndiff_cli.evaluation.masks import MatchedMasks
from aligndiff_cli.evaluation.masks_tables import masks_document, masks_report
from aligndiff_cli.evaluation.metrics import Counts
from aligndiff_cli.table import markdown
from tests.evaluation.counts import counts


def test_masks_document_and_table() -> None:
    matched = MatchedMasks({}, ["dog/9"], [])
    both = counts("dog", 50) + counts("cat", 80)
    document = masks_document(both, matched, ["dog/3: damaged"])
    assert document["overall"]["miou"] == pytest.approx(0.65)
    assert list(document["classes"]) == ["cat", "dog"]
    assert Counts.from_json(document["counts"]) == both
    text = markdown(masks_report(document))
    assert "| overall | 65.0 | 70.0 | 32.5 | 4 |" in text
    assert "| dog | 50.0 | 25.0 | 2 |" in text
    assert "true masks without a prediction: 1" in text
    assert "pairs that cannot be used: 1" in text
    assert "predictions without" not in text
