"""The rows of the reproduction's tables, with the paper's figures as published (IoU in percent)."""

from __future__ import annotations

SAMPLE_COUNTS = (0, 10, 20, 50, 100, 200, 500, 1000)
"""Synthetic samples per class on the axis of Fig. A12."""

TABLE_1 = {
    1: {
        "pifs": ("PIFS", "64.1 / 16.9 / 26.7"),
        "gfs": ("GFS (CAPL)", "65.7 / 15.1 / 24.6"),
        "finetune": ("Finetune", "47.2 / 3.9 / 7.2"),
        "finetune-gd": ("Finetune + GD", "28.1 / 20.3 / 23.6"),
        "finetune-alignd": ("Finetune + AlignDiff", "66.2 / 44.9 / 53.5"),
        "gaps": ("GAPS", "66.8 / 23.6 / 34.9"),
        "gaps-gd": ("GAPS + GD", "66.8 / 41.2 / 51.0"),
        "gaps-alignd": ("GAPS + AlignDiff", "67.3 / 43.3 / 52.7"),
    },
    5: {
        "pifs": ("PIFS", "64.5 / 27.5 / 38.6"),
        "gfs": ("GFS (CAPL)", "66.1 / 22.4 / 33.5"),
        "finetune": ("Finetune", "58.7 / 7.7 / 13.6"),
        "finetune-gd": ("Finetune + GD", "32.0 / 22.5 / 26.4"),
        "finetune-alignd": ("Finetune + AlignDiff", "65.9 / 45.1 / 53.6"),
        "gaps": ("GAPS", "68.2 / 43.9 / 53.4"),
        "gaps-gd": ("GAPS + GD", "68.5 / 44.0 / 53.6"),
        "gaps-alignd": ("GAPS + AlignDiff", "68.4 / 47.4 / 56.0"),
    },
}
TABLE_A1 = {
    "gaps-plain": ("no layout (text, GD masks)", "19.8 ± 1.6"),
    "gaps-gd": ("+ layout", "36.8 ± 1.4"),
    "gaps-smask": ("+ S.Mask", "38.4 ± 1.2"),
    "gaps-alignd": ("+ T.Inv (AlignDiff)", "41.5 ± 1.2"),
}

FOLD_ROWS = {name: TABLE_1[1][name][0] for name in TABLE_1[1] if name.startswith(("finetune", "gaps"))} | {
    "gaps-plain": "GAPS + GD, no layout",
    "gaps-smask": "GAPS + text, S.Mask",
    "gaps-real": "GAPS + AlignDiff, from real pairs (ours)",
}
OTHER_FOLDS = ("0", "1", "2")
OTHER_FOLDS_EPOCHS, OTHER_FOLDS_SAMPLES = 48, 30
"""Rows, and the folds on which they are made once, with one shot: is fold 3 no luck?

The order of rows answers that, so base models are trained for half as long, and samples are as many as make a
difference (on fold 3, ten do as well as a hundred).
"""

LONG = {"gaps": "GAPS", "gaps-gd": "GAPS + GD", "gaps-smask": "GAPS + text, S.Mask", "gaps-alignd": "GAPS + AlignDiff"}
LONG_ITERATIONS = 300
"""Rows that are also trained longer: whether samples help more than training does."""

FSS_ROWS = {
    "1R": ("1R", "86.5 / 87.5"),
    "coarse": ("1R+20S, text, coarse attention masks", "not in the paper"),
    "gd": ("1R+20S, text, GD", "81.4 / 80.2"),
    "smask": ("1R+20S, text, S.Mask", "87.2 / 86.9"),
    "full": ("1R+20S, T.Inv + text, S.Mask", "88.3 / 88.2"),
    "tested": ("the same, inverted samples tested too", "not in the paper"),
    "real": ("the same as full, inverted samples from real pairs", "not in the paper"),
    "21R": ("1R+20R, 20 more real pairs in the samples' place", "not in the paper"),
}

FSS_CLAIMS: tuple[tuple[str, str, str, str, float | None], ...] = (
    ("text + GD hurts, overall", "1R", "gd", "all", 5.1),
    ("text + GD hurts, never seen", "1R", "gd", "unseen", 7.3),
    ("S.Mask over GD, overall", "smask", "gd", "all", 5.8),
    ("text + S.Mask over 1R, overall", "smask", "1R", "all", 0.7),
    ("full method over 1R, overall", "full", "1R", "all", 1.8),
    ("full method over 1R, never seen", "full", "1R", "unseen", 0.7),
    ("full method over 1R, harmed by GD", "full", "1R", "harmed", 0.7),
    ("T.Inv over text alone, never seen", "full", "smask", "unseen", 1.3),
    ("T.Inv over text alone, harmed by GD", "full", "smask", "harmed", 1.3),
    ("full method, all samples tested, over 1R, overall", "tested", "1R", "all", None),
    ("full method, from real pairs (ours), over 1R, overall", "real", "1R", "all", None),
    ("full method, from real pairs (ours), over 1R, never seen", "real", "1R", "unseen", None),
    ("20 more real pairs over 1R, overall", "21R", "1R", "all", None),
    ("20 more real pairs over 1R, never seen", "21R", "1R", "unseen", None),
)
"""Claims on Table 2: words, the better row, the worse one, over which classes, and the published gain, if there is one.

The paper's OOD classes are those which GD's samples harm; "unseen" are those the pocket model does not know.
"""
