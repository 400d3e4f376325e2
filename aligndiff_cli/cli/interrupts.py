"""What an interrupt (Ctrl-C) does: while the program starts it ends it at once, while it works it is an exception.

An exception in the middle of an import is a traceback, or is swallowed by whatever was being imported. Before there is
any work there is nothing to keep either, so nothing is lost by leaving without more ado.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

INTERRUPTED = 130
"""Exit code."""


def follows() -> bool:
    """Whether this is one of a launcher's workers, but not the first, which speaks for all."""
    return os.environ.get("WORLD_SIZE", "1") != "1" and os.environ.get("RANK", "0") != "0"


def leave_at_once() -> None:
    """From now on an interrupt ends the program with one line; one that is ignored, as in the background, stays so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def raise_exception() -> None:
    """From now on an interrupt is a KeyboardInterrupt, where `leave_at_once` had changed that."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(_: int, __: FrameType | None) -> None:
    if not follows():
        os.write(2, b"Interrupted.\n")
    os._exit(INTERRUPTED)
