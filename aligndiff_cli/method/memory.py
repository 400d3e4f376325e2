"""The base memory of section 3.5: a small subset of the base images, even over the base classes."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np


def class_balanced_subset(
    classes_of: Sequence[Collection[int]], rng: np.random.Generator, size: int = 500
) -> list[int]:
    """Choose up to ``size`` images so that every class is shown by as even a number of them as possible.

    An image shows every class it contains. One image after another is drawn at random for the class
    that the chosen ones show least, so a class that runs out of images leaves its share to the others
    and every prefix of the answer is balanced as well.

    Args:
        classes_of: for each image, the base classes it contains. An image of none is never chosen.
        rng: source of every random choice; the same state gives the same answer.
        size: number of images wanted, at least 1 (paper: 500).

    Returns:
        Distinct indices into ``classes_of`` in the order drawn; fewer than ``size`` only when no image is left.

    Raises:
        ValueError: ``size`` is below 1.
    """
    if size < 1:
        raise ValueError(f"the memory must hold at least 1 image, got {size}")
    waiting = _shuffled_by_class(classes_of, rng)
    shown = dict.fromkeys(waiting, 0)
    chosen: list[int] = []
    taken: set[int] = set()
    while waiting and len(chosen) < size:
        rarest = min(waiting, key=lambda c: (shown[c], c))
        queue = waiting[rarest]
        while queue and queue[-1] in taken:
            queue.pop()
        if not queue:
            del waiting[rarest]
            continue
        index = queue.pop()
        taken.add(index)
        chosen.append(index)
        for c in set(classes_of[index]):
            shown[c] += 1
    return chosen


def _shuffled_by_class(classes_of: Sequence[Collection[int]], rng: np.random.Generator) -> dict[int, list[int]]:
    """The images of each class, each list in its own random order, classes in ascending order."""
    members: dict[int, list[int]] = {}
    for index, classes in enumerate(classes_of):
        for c in set(classes):
            members.setdefault(c, []).append(index)
    return {c: [members[c][k] for k in rng.permutation(len(members[c]))] for c in sorted(members)}
