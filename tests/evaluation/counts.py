"""Counts with figures that are easy to compute by hand."""

from __future__ import annotations

from aligndiff_cli.evaluation.metrics import Counts, Overlap


def counts(cls: str, hit: int) -> Counts:
    """Two pictures of a class whose IoU is ``hit`` percent."""
    return Counts({cls: Overlap(hit, 100)}, {cls: Overlap(hit // 2, 100)}, Overlap(300, 400), {cls: 2})
