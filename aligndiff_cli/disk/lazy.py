"""A sequence whose elements are read from the disk when asked for, and not kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar, overload

K = TypeVar("K")
T = TypeVar("T")


class Lazy(Sequence[T], Generic[K, T]):
    """``read(key)`` for each key, so that memory does not grow with the number of images.

    Args:
        keys: what to read, in order.
        read: called anew each time an element is asked for.
    """

    def __init__(self, keys: Sequence[K], read: Callable[[K], T]) -> None:
        self._keys = keys
        self._read = read

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Lazy[K, T]: ...
    def __getitem__(self, index: int | slice) -> T | Lazy[K, T]:
        if isinstance(index, slice):
            return Lazy(self._keys[index], self._read)
        return self._read(self._keys[index])

    def __len__(self) -> int:
        return len(self._keys)
