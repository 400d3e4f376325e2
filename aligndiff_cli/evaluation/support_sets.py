"""Support sets of the ``fss`` protocol: which synthetic samples join the real pairs (paper D.3, D.4).

- Samples are drawn by a hash of (seed, sample id), so a row with more samples holds those of a row with fewer, and rows
  that differ in their masks alone hold the same pictures.
- Half of the samples are inverted ones where a row asks for both kinds (D.3), the odd one included.
- A row that filters (D.4) drops each drawn sample that, alone as a 1-shot support, does not segment the real support
  pictures with a mean IoU above beta: of text-conditioned samples in the paper, of inverted ones too where asked for
  (beyond the paper). What is dropped is not replaced.
- A sample whose mask is empty cannot support anything: it is passed over and counted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aligndiff_cli.disk.images import read_image
from aligndiff_cli.errors import InputError
from aligndiff_cli.evaluation.masks import read_thresholded
from aligndiff_cli.method.consensus import FewShot, Mask, Pair
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.method.support_filter import BETA, Verdict, filter_supports

INVERTED, TEXT = "inverted", "text"


@dataclass(frozen=True)
class MaskFile:
    """A mask of a sample; with a threshold in [0, 1] it is a soft map, foreground from there up."""

    path: Path
    threshold: float | None = None


@dataclass(frozen=True)
class SampleFiles:
    """One synthetic picture.

    Attributes:
        id: unique, e.g. ``"dog/text-0003"``.
        kind: "inverted" or "text".
        image: the picture.
        masks: its masks by name, e.g. "coarse" and "refined".
    """

    id: str
    kind: str
    image: Path
    masks: Mapping[str, MaskFile]


@dataclass(frozen=True)
class Row:
    """One row of the table: what joins the real pairs in the support set.

    Attributes:
        name: heading, unique.
        samples: number of synthetic samples (n of nS); 0 for the real pairs alone.
        kinds: kinds of samples, "inverted" first.
        masks: name of the masks they come with.
        filtered: kinds of samples that are dropped if they fail D.4's test.
    """

    name: str
    samples: int = 0
    kinds: Sequence[str] = ()
    masks: str = ""
    filtered: Sequence[str] = ()


def table_rows(samples: int = 20, shots: str = "1R", filtered: Sequence[str] = (TEXT,)) -> list[Row]:
    """The rows of Table 2; the attention-type masks take the place of the paper's grounding baseline.

    Args:
        samples: n of nS.
        shots: name of the real pairs, kR.
        filtered: kinds of samples with refined masks that must pass D.4's test.
    """
    more = f"{shots}+{samples}S"
    return [
        Row(shots),
        Row(f"{more} text, coarse masks", samples, (TEXT,), "coarse"),
        Row(f"{more} text, refined masks", samples, (TEXT,), "refined", filtered),
        Row(f"{more} inverted + text, refined masks", samples, (INVERTED, TEXT), "refined", filtered),
    ]


@dataclass(frozen=True)
class Drawn:
    """Samples drawn for a row with what was read, or seen, of them; how many were passed over for an empty mask."""

    pairs: Sequence[tuple[SampleFiles, tuple[Any, Mask]]]
    empty: int


def draw_samples(samples: Sequence[SampleFiles], row: Row, seed: int, problems: list[InputError]) -> Drawn:
    """Draw a row's samples, an even number of each kind; fewer where there are fewer.

    Samples that cannot be read are added to ``problems`` and passed over.
    """
    pairs: list[tuple[SampleFiles, Pair]] = []
    empty = 0
    for position, kind in enumerate(row.kinds):
        wanted = (row.samples + len(row.kinds) - 1 - position) // len(row.kinds)
        candidates = [sample for sample in samples if sample.kind == kind and row.masks in sample.masks]
        found = 0
        for sample in sorted(candidates, key=lambda sample: (item_seed(seed, f"sample/{sample.id}"), sample.id)):
            if found == wanted:
                break
            pair = _load_sample(sample, row.masks, problems)
            if pair is None:
                continue
            if not pair[1].any():
                empty += 1
                continue
            pairs.append((sample, pair))
            found += 1
    return Drawn(pairs, empty)


class SupportTest:
    """D.4's test of samples; each sample with each mask is tested once.

    Args:
        segmenter: the few-shot segmenter.
        real: the real support pairs, which a sample must segment on its own; images may be seen ones.
        beta: what its IoU must exceed.
        ignored: pixels of each real picture that count for nothing, bool (H, W); None for none.
    """

    def __init__(
        self,
        segmenter: FewShot[Any, Any],
        real: Sequence[tuple[Any, Mask]],
        beta: float = BETA,
        ignored: Sequence[Mask] | None = None,
    ) -> None:
        self.segmenter = segmenter
        self.real = real
        self.ignored = ignored
        self.beta = beta
        self._known: dict[tuple[str, str], Verdict] = {}

    def passes(self, sample: SampleFiles, masks: str, pair: tuple[Any, Mask]) -> bool:
        """Whether the sample with this one of its masks may join a support set."""
        key = (sample.id, masks)
        if key not in self._known:
            self._known[key] = filter_supports(self.segmenter, [pair], self.real, ignored=self.ignored, beta=self.beta)[
                0
            ]
        return self._known[key].kept


def filter_samples(
    drawn: Drawn, row: Row, test: SupportTest
) -> tuple[list[tuple[SampleFiles, tuple[Any, Mask]]], list[SampleFiles]]:
    """Apply a row's filter to the samples drawn for it.

    Returns:
        The samples that stay, with what was read of them, and those that are dropped.
    """
    kept: list[tuple[SampleFiles, tuple[Any, Mask]]] = []
    rejected: list[SampleFiles] = []
    for sample, pair in drawn.pairs:
        if sample.kind in row.filtered and not test.passes(sample, row.masks, pair):
            rejected.append(sample)
        else:
            kept.append((sample, pair))
    return kept, rejected


def _load_sample(sample: SampleFiles, masks: str, problems: list[InputError]) -> Pair | None:
    """Read a sample with one of its masks, which may be empty; None, and a problem more, if it cannot be."""
    file = sample.masks[masks]
    try:
        image, mask = read_image(sample.image), read_thresholded(file.path, file.threshold)
        if image.shape[:2] != mask.shape:
            raise InputError(
                f"expected a mask of {image.shape[1]} x {image.shape[0]} (width x height), the size of its image, "
                f"got {mask.shape[1]} x {mask.shape[0]}",
                file.path,
            )
    except InputError as error:
        problems.append(error)
        return None
    return image, mask
