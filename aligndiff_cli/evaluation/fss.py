"""Protocol ``fss``: do synthetic samples help a few-shot segmenter? (paper D.4, Table 2)

A class is one piece of work. Its support set is the real pairs of its support folder (k of them: kR), and in some
rows n synthetic samples beside them (nS; how they are chosen: :mod:`aligndiff_cli.evaluation.support_sets`). Every
query picture is then segmented once, and rows are compared. The segmenter is not trained: only what it is
conditioned on changes.

The literature counts in episodes instead (HSNet: 1,000 on PASCAL-5i and COCO-20i): a class at random, one of its
queries at random, and k support pairs at random, all with replacement between episodes. So it is done here where a
number of them is asked for; but where there are samples, which were made from the support pairs, all of these are in
every episode.

Pixels that the true mask marks as ignored (VOC's 255) count for nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from PIL import Image

from aligndiff_cli.disk.images import read_ignored
from aligndiff_cli.disk.support import PairFiles, load_usable
from aligndiff_cli.errors import InputError
from aligndiff_cli.evaluation.metrics import Counts, mean, score
from aligndiff_cli.evaluation.support_sets import Row, SampleFiles, SupportTest, draw_samples, filter_samples
from aligndiff_cli.method import consensus
from aligndiff_cli.method.consensus import KEPT_BYTES, FewShot, Kept, Key, Mask, Pair, Seen, State
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.method.support_filter import BETA

FOREGROUND = 0.5
"""Share of the votes from which a pixel is foreground."""
QUERY_BATCH = 8


@dataclass(frozen=True)
class Settings:
    """How classes are evaluated.

    Attributes:
        seed: of the choice of samples and queries.
        beta: IoU that a sample must exceed in rows that filter its kind (paper: 0.5).
        queries: most query pictures per class, drawn by a hash of (seed, class, stem); None: all.
        episodes: how many there are over all classes; None: every query once.
        shots: support pairs drawn for each episode; None: all.
        side: compare at this many pixels squared, the network's size, as HSNet's own protocol does; None: at full size.
    """

    seed: int = 0
    beta: float = BETA
    queries: int | None = None
    episodes: int | None = None
    shots: int | None = None
    side: int | None = None


@dataclass(frozen=True)
class RowResult:
    """One row of one class.

    Attributes:
        counts: overlaps of the query pictures.
        real: real pairs in the support set.
        used: ids of the synthetic samples in it.
        rejected: ids of samples that failed D.4's test.
        empty: number of samples passed over for an empty mask.
    """

    counts: Counts
    real: int
    used: Sequence[str] = ()
    rejected: Sequence[str] = ()
    empty: int = 0


@dataclass(frozen=True)
class ClassResult:
    """All rows of one class, by name, and the inputs that could not be used."""

    cls: str
    rows: Mapping[str, RowResult]
    problems: Sequence[InputError] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain data, without the problems."""
        return {
            "class": self.cls,
            "rows": {
                name: {
                    "counts": row.counts.to_json(),
                    "real": row.real,
                    "used": list(row.used),
                    "rejected": list(row.rejected),
                    "empty": row.empty,
                }
                for name, row in self.rows.items()
            },
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ClassResult:
        """The inverse of :meth:`to_json`."""
        rows = {
            name: RowResult(Counts.from_json(row["counts"]), row["real"], row["used"], row["rejected"], row["empty"])
            for name, row in data["rows"].items()
        }
        return cls(data["class"], rows)


def evaluate_class(
    segmenter: FewShot[State, Seen],
    cls: str,
    support: Sequence[PairFiles],
    queries: Sequence[PairFiles],
    samples: Sequence[SampleFiles],
    rows: Sequence[Row],
    settings: Settings,
    advance: Callable[[int], None] = lambda units: None,
    episodes: int = 0,
) -> ClassResult:
    """Evaluate every row on one class, holding the support set and a few queries at a time.

    A picture is seen once for all rows, as long as what is kept stays within ``KEPT_BYTES``.

    Args:
        segmenter: the few-shot segmenter.
        cls: name of the class.
        support: its real pairs; all of them are the shots.
        queries: pairs to be segmented.
        samples: its synthetic samples.
        rows: what to compare.
        settings: seed, threshold and sizes.
        advance: called with the number of query pictures segmented.
        episodes: of this class, where the settings ask for episodes.

    Raises:
        InputError: no real pair, or no query, can be used.
    """
    problems: list[InputError] = []
    usable = dict(load_usable(support, problems))
    real = list(usable.values())
    if not real or not queries:
        missing = "support pair" if not real else "query"
        raise problems[0] if problems else InputError(f"the class {cls!r} has no {missing}")
    if settings.episodes is None:
        chosen = {tuple(usable): choose_queries(cls, queries, settings)}
    else:
        chosen = draw_episodes(cls, list(usable), queries, settings, episodes)
    seen: Kept[Hashable, Seen] = Kept(segmenter, KEPT_BYTES if len(rows) > 1 or settings.episodes else 0)
    shown_real = _seen(seen, usable)
    ignored = [read_ignored(pair.mask) for pair in usable]
    test = SupportTest(segmenter, list(shown_real.values()), settings.beta, ignored)
    results: dict[str, RowResult] = {}
    for row in rows:
        drawn = draw_samples(samples, row, settings.seed, problems)
        shown_samples = _seen(seen, {sample.id: pair for sample, pair in drawn.pairs})
        drawn = replace(drawn, pairs=[(sample, shown_samples[sample.id]) for sample, _ in drawn.pairs])
        kept, rejected = filter_samples(drawn, row, test)
        # a bad query is bad in every row, and told once
        bad = problems if not results else []
        counts = Counts()
        for shots, own in chosen.items():
            state = segmenter.condition([*(shown_real[pair] for pair in shots), *(pair for _, pair in kept)])
            counts = counts + _segment(segmenter, state, cls, own, settings.side, seen, bad, advance)
        used = [sample.id for sample, _ in kept]
        shown = settings.shots or len(real)
        results[row.name] = RowResult(counts, shown, used, [s.id for s in rejected], drawn.empty)
    if not any(row.counts.images for row in results.values()):
        raise problems[0]
    return ClassResult(cls, results, list({str(p): p for p in problems}.values()))


def choose_queries(cls: str, queries: Sequence[PairFiles], settings: Settings) -> list[PairFiles]:
    """The query pairs of a class: all of them, or as many as wanted, in an order that does not depend on the disk."""
    ordered = sorted(queries, key=lambda pair: (item_seed(settings.seed, f"query/{cls}/{pair.stem}"), pair.stem))
    return ordered[: settings.queries]


def share_episodes(classes: Collection[str], episodes: int, seed: int) -> Counter[str]:
    """How many of the episodes each class has: every episode draws one of them. More episodes hold those of fewer."""
    ordered = sorted(classes)
    rng = np.random.default_rng(item_seed(seed, "episodes"))
    return Counter(ordered[int(rng.integers(len(ordered)))] for _ in range(episodes))


def draw_episodes(
    cls: str, support: Sequence[PairFiles], queries: Sequence[PairFiles], settings: Settings, count: int
) -> dict[tuple[PairFiles, ...], list[PairFiles]]:
    """The episodes of one class: for each draw of support pairs, its query pairs, in the order drawn.

    Raises:
        InputError: there are fewer support pairs than shots.
    """
    support, queries = (sorted(pairs, key=lambda pair: pair.stem) for pairs in (support, queries))
    shots = settings.shots or len(support)
    if len(support) < shots:
        raise InputError(f"has {len(support)} usable pairs, expected at least {shots}", support[0].image.parent)
    rng = np.random.default_rng(item_seed(settings.seed, f"episodes/{cls}"))
    drawn: dict[tuple[PairFiles, ...], list[PairFiles]] = {}
    for _ in range(count):
        query = queries[int(rng.integers(len(queries)))]
        chosen = sorted(rng.permutation(len(support))[:shots])
        drawn.setdefault(tuple(support[index] for index in chosen), []).append(query)
    return drawn


def _seen(kept: Kept[Hashable, Seen], pairs: Mapping[Key, Pair]) -> dict[Key, tuple[consensus.Image | Seen, Mask]]:
    """The same pairs with what is seen of their images, where there is room for it."""
    views = kept.see({key: image for key, (image, _) in pairs.items()})
    return {key: (views[key], mask) for key, (_, mask) in pairs.items()}


def _segment(
    segmenter: FewShot[State, Seen],
    state: State,
    cls: str,
    queries: Sequence[PairFiles],
    side: int | None,
    seen: Kept[Hashable, Seen],
    problems: list[InputError],
    advance: Callable[[int], None],
) -> Counts:
    """Segment the queries, a few at a time, and count their overlaps."""
    counts = Counts()
    for start in range(0, len(queries), QUERY_BATCH):
        chunk = queries[start : start + QUERY_BATCH]
        loaded = [
            (pair, *_squared(images, side), _nearest(read_ignored(pair.mask), side))
            for pair, images in load_usable(chunk, problems)
        ]
        if loaded:
            # beside the real pairs, which are seen in their own size
            views = seen.see({("query", pair): image for pair, image, _, _ in loaded})
            maps = segmenter.predict(state, [views["query", pair] for pair, _, _, _ in loaded])
            for soft, (_, _, mask, ignored) in zip(maps, loaded, strict=True):
                counts = counts + score(soft >= FOREGROUND, mask, cls, ignored)
        advance(len(chunk))
    return counts


def _squared(pair: Pair, side: int | None) -> Pair:
    """An image (bilinear) and its mask (nearest) at side x side pixels; as they are where side is None."""
    if side is None:
        return pair
    image = Image.fromarray(pair[0]).resize((side, side), Image.Resampling.BILINEAR)
    return np.asarray(image), _nearest(pair[1], side)


def _nearest(mask: np.ndarray, side: int | None) -> np.ndarray:
    if side is None:
        return mask
    return np.asarray(Image.fromarray(mask).resize((side, side), Image.Resampling.NEAREST))


def miou(results: Collection[ClassResult], row: str, classes: Collection[str] | None = None) -> float | None:
    """Mean IoU of a row over all classes or those named."""
    return mean(r.rows[row].counts.iou(r.cls) for r in results if classes is None or r.cls in classes)


def class_differences(results: Collection[ClassResult], row: str, base: str) -> list[tuple[str, float]]:
    """IoU of a row minus that of another, class by class, highest first (the bars of Figs. A1 and A2).

    Classes without a defined IoU in either are left out. The paper calls out-of-distribution the classes for which
    text samples lower the IoU (negative bars), and reports the five lowest.
    """
    found = []
    for result in results:
        ours, theirs = (result.rows[name].counts.iou(result.cls) for name in (row, base))
        if ours is not None and theirs is not None:
            found.append((result.cls, ours - theirs))
    return sorted(found, key=lambda bar: (-bar[1], bar[0]))
