"""How far a run is: tqdm's bar on a terminal and in a notebook, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

INTERVAL = 15.0
"""Seconds between lines where there is nothing to draw a bar on."""
NOTE = 40
"""Characters of a note beside the bar, which a longer one would squeeze."""


class Bar:
    """Progress with a rate and the time left.

    Args:
        quiet: show nothing.
    """

    def __init__(self, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bar: Any = None
        self._done = self._total = 0
        self._unit = ""
        self._begun = self._last = time.monotonic()

    def start(self, total: int, unit: str) -> None:
        """Begin to count ``total`` units; what was counted before is done with."""
        self.close()
        self._bar, self._done = None, 0
        self._total, self._unit = total, unit
        self._begun = self._last = time.monotonic()
        if self._quiet or total == 0 or not (sys.stderr.isatty() or "ipykernel" in sys.modules):
            return
        from tqdm.auto import tqdm

        self._bar = tqdm(total=total, unit=f" {unit}", leave=False, dynamic_ncols=True)

    def advance(self, units: int, note: str = "") -> None:
        """Count ``units`` more; ``note`` is a few words on the present item."""
        self._done += units
        if self._bar is not None:
            self._bar.set_postfix_str(note[:NOTE], refresh=False)
            self._bar.update(units)
            return
        now = time.monotonic()
        if not self._quiet and self._total and now - self._last >= INTERVAL:
            self._last = now
            rate = self._done / max(now - self._begun, 1e-9)
            left = (self._total - self._done) / max(rate, 1e-9)
            line = f"{self._done}/{self._total} {self._unit}  {rate:.1f}/s  {left:.0f} s left  {note}"
            print(line.rstrip(), file=sys.stderr)

    def close(self) -> None:
        """Take the bar off the screen."""
        if self._bar is not None:
            self._bar.close()


@contextmanager
def aside() -> Iterator[None]:
    """While open, lines may be written to standard error without being drawn into a bar."""
    tqdm = getattr(sys.modules.get("tqdm"), "tqdm", None)  # where it is not imported there is no bar
    if tqdm is None:
        yield
        return
    with tqdm.external_write_mode(file=sys.stderr):
        yield
