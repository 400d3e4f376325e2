"""What is read from the disk when asked for: not kept, or the last of it up to a limit in bytes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from threading import Lock
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


class Recent(Generic[K, T]):
    """``read(key)``, and what it gave for the last keys, so that what is asked for again soon is not read again.

    Threads may share it; two that ask for one key at once may both read it.

    Args:
        read: called with a key of which nothing is held.
        size: of what it gave, in bytes.
        limit: most that is held, in bytes; what alone is larger is not.
    """

    def __init__(self, read: Callable[[K], T], size: Callable[[T], int], limit: int) -> None:
        self._read, self._size, self._left = read, size, limit
        self._held: OrderedDict[K, T] = OrderedDict()
        self._lock = Lock()

    def __call__(self, key: K) -> T:
        """What was read for a key, now or before."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key]
        found = self._read(key)
        with self._lock:
            if key not in self._held:
                self._held[key] = found
                self._left -= self._size(found)
            while self._left < 0:
                self._left += self._size(self._held.popitem(last=False)[1])
        return found
