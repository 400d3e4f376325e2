"""What an interrupt (Ctrl-C) does: it ends the program there and then, with one line and the exit code 130.

As an exception it would be a traceback in the middle of an import, and some places swallow it. What is finished is on
the disk at any moment, and what is not is made again, so nothing is lost by leaving without more ado.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

INTERRUPTED = 130
"""Exit code."""
STARTING = "Interrupted."
WORKING = "Interrupted. Finished work is kept; run the same command again to go on."
_SHOW_CURSOR = "\r\x1b[2K\x1b[?25h"
"""Takes away the line of a progress bar, and brings back the cursor that it hides."""
_said = STARTING


def follows() -> bool:
    """Whether this is one of a launcher's workers, but not the first, which speaks for all."""
    return os.environ.get("WORLD_SIZE", "1") != "1" and os.environ.get("RANK", "0") != "0"


def leave_at_once() -> None:
    """From now on an interrupt ends the program; one that is ignored, as in the background, stays so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def work_begins() -> None:
    """From now on there is work that is kept, and an interrupt says so."""
    global _said
    _said = WORKING


def work_is_done() -> None:
    """From now on an interrupt changes nothing any more."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _leave(_: int, __: FrameType | None) -> None:
    if not follows():
        os.write(2, f"{_SHOW_CURSOR if os.isatty(2) else ''}{_said}\n".encode())
    os._exit(INTERRUPTED)
