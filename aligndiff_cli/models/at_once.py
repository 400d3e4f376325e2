"""How many items go through a network at once where the device's memory does not hold as many as were asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

T = TypeVar("T")
log = logging.getLogger(__name__)


class AtOnce:
    """Work in parts that are halved each time memory runs out, down to one item; what fitted is taken from then on.

    Args:
        most: items in a part to begin with.

    Attributes:
        size: items in a part now.
    """

    def __init__(self, most: int) -> None:
        self.most = self.size = most

    def parts(self, count: int, work: Callable[[slice], T]) -> Iterator[T]:
        """What comes of ``count`` items, part by part in their order; a part that does not fit is done again in halves.

        Args:
            work: what is done with a part; what it has begun before memory ran out must not count.

        Raises:
            torch.OutOfMemoryError: there is no room for a single item.
        """
        first = 0
        while first < count:
            part = slice(first, min(first + self.size, count))
            try:
                found = work(part)
            except torch.OutOfMemoryError:
                if self.size == 1:
                    raise
            else:
                yield found
                first = part.stop
                continue
            self._halve()  # not while the error is held, which holds the tensors that are there

    def _halve(self) -> None:
        self.size = (self.size + 1) // 2
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        log.info("The device has not enough memory for as many at once: it goes on with %d at a time", self.size)

    def measured(self) -> dict[str, int]:
        """What a record should tell: nothing where all fitted."""
        return {} if self.size == self.most else {"at_once": self.size}
