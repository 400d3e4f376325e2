"""PASCAL-5i and COCO-20i: class names by number, and which of them are novel in which fold.

Numbers run from 1 in the data set's own order, as in its label maps (VOC) or with COCO's gaps closed. Names are words
joined by ``_``, so that prompts are in words: VOC's ``pottedplant`` is ``potted_plant`` here.
"""

from __future__ import annotations

from aligndiff_cli.errors import UsageError

_VOC = """
aeroplane bicycle bird boat bottle bus car cat chair cow dining_table dog horse motorbike person potted_plant
sheep sofa train tv_monitor"""
VOC_CLASSES = tuple(_VOC.split())

_COCO = """
person bicycle car motorcycle airplane bus train truck boat traffic_light
fire_hydrant stop_sign parking_meter bench bird cat dog horse sheep cow
elephant bear zebra giraffe backpack umbrella handbag tie suitcase frisbee
skis snowboard sports_ball kite baseball_bat baseball_glove skateboard surfboard tennis_racket bottle
wine_glass cup fork knife spoon bowl banana apple sandwich orange
broccoli carrot hot_dog pizza donut cake chair couch potted_plant bed
dining_table toilet tv laptop mouse remote keyboard cell_phone microwave oven
toaster sink refrigerator book clock vase scissors teddy_bear hair_drier toothbrush"""
COCO_CLASSES = tuple(_COCO.split())

_ABSENT = {12, 26, 29, 30, 45, 66, 68, 69, 71, 83}
COCO_IDS = tuple(number for number in range(1, 91) if number not in _ABSENT)
"""``category_id`` of each class in COCO's instances files; ten numbers of 1 to 90 were never used there."""

NUM_FOLDS = 4
LAYOUTS = ("interleaved", "contiguous")


def pascal_novel(fold: int) -> tuple[int, ...]:
    """Novel class numbers of PASCAL-5i's fold: 5f + 1 to 5f + 5.

    Raises:
        UsageError: no such fold.
    """
    _check_fold("PASCAL-5i", fold)
    return tuple(range(5 * fold + 1, 5 * fold + 6))


def coco_novel(fold: int, layout: str = "interleaved") -> tuple[int, ...]:
    """Novel class numbers of COCO-20i's fold.

    Args:
        fold: 0 to 3.
        layout: ``interleaved``, every fourth class from the f-th on (HSNet, GFS-Seg, GAPS, PIFS), or ``contiguous``,
            20f + 1 to 20f + 20 (SSP).

    Raises:
        UsageError: no such fold or layout.
    """
    _check_fold("COCO-20i", fold)
    if layout not in LAYOUTS:
        raise UsageError(f"--fold-layout: expected one of {', '.join(LAYOUTS)}, got {layout!r}")
    if layout == "contiguous":
        return tuple(range(20 * fold + 1, 20 * fold + 21))
    return tuple(range(fold + 1, 81, 4))


def _check_fold(name: str, fold: int) -> None:
    if fold not in range(NUM_FOLDS):
        raise UsageError(f"{name} has folds 0 to {NUM_FOLDS - 1}, not {fold}")
