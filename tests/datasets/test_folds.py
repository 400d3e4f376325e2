"""Class lists and folds, against the published ones written by hand."""

from __future__ import annotations

import hashlib

import pytest

from aligndiff_cli.datasets import coco, pascal
from aligndiff_cli.datasets.folds import COCO_CLASSES, COCO_IDS, VOC_CLASSES, coco_novel, pascal_novel
from aligndiff_cli.datasets.fss_classes import OOD, PAIRS, SPLITS, split_classes
from aligndiff_cli.errors import UsageError
from aligndiff_cli.method.prompts import class_words

PASCAL_FOLDS = [
    "aeroplane bicycle bird boat bottle",
    "bus car cat chair cow",
    "dining_table dog horse motorbike person",
    "potted_plant sheep sofa train tv_monitor",
]

COCO_FOLDS = [
    "person, airplane, boat, parking meter, dog, elephant, backpack, suitcase, sports ball, skateboard, wine glass, "
    "spoon, sandwich, hot dog, chair, dining table, mouse, microwave, refrigerator, scissors",
    "bicycle, bus, traffic light, bench, horse, bear, umbrella, frisbee, kite, surfboard, cup, bowl, orange, pizza, "
    "couch, toilet, remote, oven, book, teddy bear",
    "car, train, fire hydrant, bird, sheep, zebra, handbag, skis, baseball bat, tennis racket, fork, banana, broccoli, "
    "donut, potted plant, tv, keyboard, toaster, clock, hair drier",
    "motorcycle, truck, stop sign, cat, cow, giraffe, tie, snowboard, baseball glove, bottle, knife, apple, carrot, "
    "cake, bed, laptop, cell phone, sink, vase, toothbrush",
]


@pytest.mark.parametrize("fold", range(4))
def test_pascal_5i(fold: int) -> None:
    numbers = pascal_novel(fold)
    assert [VOC_CLASSES[n - 1] for n in numbers] == PASCAL_FOLDS[fold].split()
    assert numbers[0] == [1, 6, 11, 16][fold]


@pytest.mark.parametrize("fold", range(4))
def test_coco_20i(fold: int) -> None:
    numbers = coco_novel(fold)
    assert ", ".join(class_words(COCO_CLASSES[n - 1]) for n in numbers) == COCO_FOLDS[fold]
    assert numbers[:3] == (fold + 1, fold + 5, fold + 9)


def test_contiguous_coco_folds_are_had_by_name() -> None:
    first, last = (coco_novel(fold, "contiguous") for fold in (0, 3))
    assert (first[0], first[-1], last[0], last[-1]) == (1, 20, 61, 80)
    assert COCO_CLASSES[20 - 1] == "cow"
    assert COCO_CLASSES[61 - 1] == "dining_table"
    with pytest.raises(UsageError, match="interleaved, contiguous"):
        coco_novel(0, "other")


@pytest.mark.parametrize("novel", [pascal_novel, coco_novel])
def test_there_are_four_folds(novel) -> None:  # type: ignore[no-untyped-def]
    for fold in (-1, 4):
        with pytest.raises(UsageError, match="folds 0 to 3"):
            novel(fold)


@pytest.mark.parametrize(
    ("name", "category"),
    [
        ("person", 1),
        ("fire_hydrant", 11),
        ("stop_sign", 13),
        ("cat", 17),
        ("backpack", 27),
        ("handbag", 31),
        ("wine_glass", 46),
        ("dining_table", 67),
        ("toilet", 70),
        ("tv", 72),
        ("refrigerator", 82),
        ("book", 84),
        ("toothbrush", 90),
    ],
)
def test_coco_numbers_its_categories_with_gaps(name: str, category: int) -> None:
    assert len(COCO_IDS) == len(COCO_CLASSES) == len(set(COCO_CLASSES)) == 80
    assert COCO_IDS[COCO_CLASSES.index(name)] == category


def test_counts() -> None:
    assert (pascal.TRAIN, pascal.VAL, pascal.TRAIN_WITH_SBD) == (1464, 1449, 10582)
    assert coco.COUNTS == {2014: {"train": 82783, "val": 40504}, 2017: {"train": 118287, "val": 5000}}
    assert PAIRS == 10


@pytest.mark.parametrize(
    ("split", "count", "digest"),
    [("train", 520, "e49b17167ca791d5"), ("val", 240, "a435accc79b72790"), ("test", 240, "72d6a86067fed8da")],
)
def test_fss_1000_splits(split: str, count: int, digest: str) -> None:
    """The digests are of the published lists, sorted, one name a line."""
    names = split_classes(split)
    assert len(set(names)) == count
    assert list(names) == sorted(names)
    assert hashlib.sha256("\n".join(names).encode()).hexdigest().startswith(digest)


def test_fss_1000_has_a_thousand_classes_and_five_rare_ones_in_the_test_split() -> None:
    assert len({name for split in SPLITS.values() for name in split}) == 1000
    assert set(OOD) == {"pidan", "samarra_mosque", "chess_queen", "american_chamelon", "phonograph"}
    assert set(OOD) <= set(split_classes("test"))
    with pytest.raises(UsageError, match="train, val and test"):
        split_classes("trn")
