from __future__ import annotations

import json

import pytest

from aligndiff_cli.evaluation.fss import ClassResult, RowResult, Settings
from aligndiff_cli.evaluation.masks import MatchedMasks
from aligndiff_cli.evaluation.metrics import Counts, Overlap
from aligndiff_cli.evaluation.support_sets import TEXT, Row
from aligndiff_cli.evaluation.tables import (
    fss_document,
    fss_markdown,
    markdown_table,
    masks_document,
    masks_markdown,
    percent,
    to_text,
)


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [(0.1234, False, "12.3"), (-0.05, True, "-5.0"), (0.05, True, "+5.0"), (None, True, "–")],
)
def test_percent(value: float | None, signed: bool, text: str) -> None:
    assert percent(value, signed) == text


def test_markdown_table_keeps_bars_inside_a_cell() -> None:
    assert markdown_table(["class", "IoU"], [["a|b", "1.0"]]) == "| class | IoU |\n| :-- | --: |\n| a\\|b | 1.0 |\n"


def counts(cls: str, hit: int) -> Counts:
    return Counts({cls: Overlap(hit, 100)}, {cls: Overlap(hit // 2, 100)}, Overlap(300, 400), {cls: 2})


def test_masks_document_and_table() -> None:
    matched = MatchedMasks({}, ["dog/9"], [])
    both = counts("dog", 50) + counts("cat", 80)
    document = masks_document(both, matched, ["dog/3: damaged"])
    assert document["overall"]["miou"] == pytest.approx(0.65)
    assert list(document["classes"]) == ["cat", "dog"]
    assert Counts.from_json(document["counts"]) == both
    text = masks_markdown(document)
    assert "| overall | 65.0 | 70.0 | 32.5 | 4 |" in text
    assert "| dog | 50.0 | 25.0 | 2 |" in text
    assert "true masks without a prediction: 1" in text
    assert "pairs that cannot be used: 1" in text
    assert "predictions without" not in text


ROWS = [Row("1R"), Row("1R+20S", 20, (TEXT,), "refined", filtered=(TEXT,))]


def fss() -> list[ClassResult]:
    figures = {"dog": (50, 70), "cat": (80, 60), "ant": (40, 40)}
    return [
        ClassResult(
            cls,
            {
                "1R": RowResult(counts(cls, real), 1),
                "1R+20S": RowResult(counts(cls, more), 1, [f"{cls}/text-0"], [f"{cls}/text-1"], 2),
            },
        )
        for cls, (real, more) in figures.items()
    ]


def test_fss_document() -> None:
    document = fss_document(fss(), ROWS, Settings(seed=3), ood=["dog", "unicorn"])
    row = document["rows"]["1R+20S"]
    assert document["rows"]["1R"]["miou"] == pytest.approx(170 / 300)
    assert row["miou"] == pytest.approx(170 / 300)
    assert (document["rows"]["1R"]["ood_miou"], row["ood_miou"]) == (0.5, 0.7)
    assert document["ood_classes"] == ["dog"]
    assert (row["improved"], row["harmed"]) == (1, 1)
    assert list(row["differences"]) == ["dog", "ant", "cat"]
    assert row["support"]["rejected"] == 3
    assert row["support"]["empty"] == 6
    assert row["support"]["used_per_class"] == 1.0


def test_fss_document_does_not_depend_on_the_order_of_the_classes() -> None:
    first = to_text(fss_document(fss(), ROWS, Settings(), ood=["dog"]))
    assert to_text(fss_document(fss()[::-1], ROWS, Settings(), ood=["dog"])) == first
    assert list(json.loads(first)["classes"]) == ["ant", "cat", "dog"]


def test_fss_markdown() -> None:
    text = fss_markdown(fss_document(fss(), ROWS, Settings(side=400), ood=["dog"]))
    assert "| 1R | 56.7 | 50.0 |" in text
    assert "| 1R+20S | 56.7 | 70.0 |" in text
    assert "1 / 1" in text
    assert "| dog (OOD) | 50.0 | 70.0 (+20.0) |" in text
    assert "| cat | 80.0 | 60.0 (-20.0) |" in text
    strict = [ROWS[0], Row("1R+20S", 20, (TEXT,), "refined", filtered=("inverted", TEXT))]
    assert "All samples filtered with β = 0.5 in: 1R+20S." in fss_markdown(fss_document(fss(), strict, Settings()))
    assert (
        "3 classes, 6 query pictures, masks compared at 400 x 400 pixels. Plain samples filtered with β = 0.5" in text
    )


def test_fss_in_episodes_says_so() -> None:
    document = fss_document(fss(), ROWS, Settings(episodes=6, shots=1))
    assert document["settings"]["episodes"] == 6
    assert "3 classes, 6 episodes, masks compared" in fss_markdown(document)


def test_fss_with_the_real_row_alone_and_no_ood() -> None:
    document = fss_document(fss(), ROWS[:1], Settings())
    assert document["rows"]["1R"]["ood_miou"] is None
    text = fss_markdown(document)
    assert "| 1R | 56.7 | – |" in text
    assert "compared at full resolution.\n" in text
    assert "filtered" not in text
