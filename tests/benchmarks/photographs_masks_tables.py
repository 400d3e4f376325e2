"""Tables of what ``photographs_masks`` measured, and what is averaged over what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from aligndiff_cli.evaluation.gfss import Spread, spread
from aligndiff_cli.method.consensus import Keep
from aligndiff_cli.table import Table
from tests.benchmarks.activation_maps import Ask

SHOTS = (1, 5)
ASKS: tuple[Ask, ...] = ("picture", "class")
ALPHAS = (0.5, 0.6, 0.7, 0.8, 0.9)
KEEPS: tuple[Keep, ...] = ("coarse", "prediction")
ALONE = "SSP alone"
CHOSEN_ON = 15
"""Classes of folds 0 to 2."""

Found = list[tuple[float, bool]]
"""IoU of each picture's mask with the true one, and whether Algorithm 1 kept it in scoring."""
Results = Mapping[str, Mapping[str, Sequence[Found]]]
"""Class -> ``"<shots> <row>"`` -> draws."""
Setting = tuple[float, Keep]


def coarse_name(ask: Ask) -> str:
    """Row of the coarse masks."""
    return f"coarse, by {ask}"


def row_name(ask: Ask, alpha: float, keep: Keep) -> str:
    """Row of Algorithm 1 at one setting."""
    return f"Algorithm 1, {coarse_name(ask)}, alpha {alpha}, keep {keep}"


def overall(results: Results, classes: Sequence[str], row: str) -> Spread:
    """Mean and deviation over draws of the mean over classes of the mean over pictures, in percent."""
    per_class = [[np.mean([value for value, _ in draw]) for draw in results[cls][row]] for cls in classes]
    return spread(100 * float(value) for value in np.mean(per_class, axis=0))


def gain(results: Results, classes: Sequence[str], row: str, other: str) -> Spread:
    """The same of the difference between two rows, draw by draw."""
    both = [
        [[np.mean([value for value, _ in draw]) for draw in results[cls][name]] for cls in classes]
        for name in (row, other)
    ]
    return spread(100 * float(value) for value in np.mean(np.subtract(*both), axis=0))


def kept(results: Results, classes: Sequence[str], row: str, other: str) -> tuple[float, float, float, float, float]:
    """Percent kept in scoring; IoU of the kept and of the rest, each by ``row`` and by ``other``."""
    mine = [item for cls in classes for draw in results[cls][row] for item in draw]
    theirs = [value for cls in classes for draw in results[cls][other] for value, _ in draw]
    parts = []
    for part in (True, False):
        chosen = [(value, them) for (value, flag), them in zip(mine, theirs, strict=True) if flag == part]
        parts += [100 * float(np.mean(side)) for side in zip(*chosen, strict=True)] if chosen else [np.nan] * 2
    return (100 * float(np.mean([flag for _, flag in mine])), *parts)


def choose(results: Results, classes: Sequence[str], ask: Ask) -> Setting:
    """Alpha and what is kept, of the highest mean over 1 and 5 shots."""

    def score(setting: Setting) -> float:
        means = [overall(results, classes, f"{shots} {row_name(ask, *setting)}").mean for shots in SHOTS]
        return sum(mean for mean in means if mean is not None)

    return max(((alpha, keep) for keep in KEEPS for alpha in ALPHAS), key=score)


def words(value: Spread, sign: str = "") -> str:
    """``34.1 ± 0.6``."""
    return f"{value.mean:{sign}.1f} ± {value.sd:.1f}"


def table(results: Results, shots: int, classes: Sequence[str]) -> Table:
    """Every row on folds 0 to 2 and on fold 3, with what Algorithm 1 kept on fold 3."""
    before, last = classes[:CHOSEN_ON], classes[CHOSEN_ON:]
    alone = f"{shots} {ALONE}"
    plain = [*map(coarse_name, ASKS), ALONE]
    rows = []
    for name in [*plain, *(row_name(ask, alpha, keep) for ask in ASKS for keep in KEEPS for alpha in ALPHAS)]:
        row = f"{shots} {name}"
        cells = [words(overall(results, before, row)), words(overall(results, last, row))]
        if name not in plain:
            share, *ious = kept(results, last, row, alone)
            cells += [words(gain(results, last, row, alone), "+"), f"{share:.0f}"]
            cells += [" / ".join("-" if np.isnan(v) else f"{v:.0f}" for v in ious[i : i + 2]) for i in (0, 2)]
        rows.append([name, *cells, *[""] * (6 - len(cells))])
    heads = ["folds 0-2", "fold 3", "over SSP alone", "kept, %", "kept: IoU / SSP's", "rest: IoU / SSP's"]
    return Table([f"{shots} shot", *heads], rows)


def by_class(results: Results, classes: Sequence[str], chosen: Mapping[Ask, Setting]) -> Table:
    """Mean over draws, class by class: the coarse masks, SSP alone, and Algorithm 1 as chosen."""
    names = [ALONE, *(row_name(ask, *chosen[ask]) for ask in ASKS)]
    columns = [f"1 {coarse_name(ask)}" for ask in ASKS] + [f"{shots} {name}" for shots in SHOTS for name in names]
    rows = [[cls, *(f"{overall(results, [cls], column).mean:.1f}" for column in columns)] for cls in classes]
    heads = [f"{shots} shot: {name}" for shots in SHOTS for name in (ALONE, *(f"refined, by {ask}" for ask in ASKS))]
    return Table(["class", *map(coarse_name, ASKS), *heads], rows)


def noise_table(noises: Mapping[str, dict]) -> Table:
    """What noise learning kept of each class."""
    rows = []
    for cls, found in noises.items():
        flags = np.array([value is not None for value in found["kept"]])
        coarse = 100 * np.array(found["coarse"])
        predicted = [100 * value for value in found["kept"] if value is not None]
        means = [coarse.mean(), coarse[flags].mean() if flags.any() else np.nan, np.mean(predicted or [np.nan])]
        rows.append([cls, str(len(flags)), str(flags.sum()), *(f"{m:.1f}" for m in means), f"{found['seconds']:.0f}"])
    heads = ["pictures", "kept", "coarse, all", "coarse, kept", "prediction, kept", "CPU seconds a picture"]
    return Table(["noise learning", *heads], rows)
