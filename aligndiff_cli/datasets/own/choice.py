"""Which pictures become support: the largest and cleanest examples of a class. Beyond the paper."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from aligndiff_cli.datasets.own.drawing import Shown
from aligndiff_cli.datasets.photographs import Photograph
from aligndiff_cli.disk.images import MIN_FOREGROUND
from aligndiff_cli.method.seeds import item_seed

FLAW = 0.25
"""What a flaw leaves of a picture's score; by eye on COCO's photographs, where a pizza that fills the frame is a better
example than one at the far end of a room."""


@dataclass(frozen=True)
class Candidate:
    """A picture with what it shows.

    Attributes:
        photograph: with its label map.
        size: pixels of the picture.
        shown: by class.
        lost: see `Drawing`.
    """

    photograph: Photograph
    size: int
    shown: Mapping[str, Shown]
    lost: frozenset[str | None]

    def whole(self, cls: str) -> bool:
        """Whether every object of a class is in the label map."""
        return not {cls, None} & self.lost

    def usable(self, cls: str, least: int = MIN_FOREGROUND) -> bool:
        """Whether it shows enough of a class, and something else."""
        return cls in self.shown and max(least, MIN_FOREGROUND) <= self.shown[cls].pixels < self.size


def score(shown: Shown) -> float:
    """How good an example a picture is, in [0, 1]."""
    return float(shown.area * FLAW ** len(shown.flaws))


def choose(candidates: Sequence[Candidate], cls: str, shots: int, seed: int, least: int) -> list[Candidate]:
    """The support pictures of a class, best first.

    The mask of a pair is all of the class in the picture, since what is left out of it would be learnt as background.
    A picture's score is the share of it that the largest object has, times `FLAW` for each flaw (see `flaws_of`).
    Scores equal to three digits are ordered by a hash of (seed, class, name). So more shots hold those of fewer.

    Args:
        least: fewest pixels of the class.

    Returns:
        At most ``shots`` pictures.
    """

    def order(candidate: Candidate) -> tuple[float, int, str]:
        stem = candidate.photograph.stem
        return -round(score(candidate.shown[cls]), 3), item_seed(seed, f"support/{cls}/{stem}"), stem

    return sorted((own for own in candidates if own.usable(cls, least)), key=order)[:shots]
