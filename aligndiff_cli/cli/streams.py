"""Standard streams that can be relied upon, whatever the shell made of them."""

from __future__ import annotations

import io
import os
import sys
from typing import Any

STREAMS = ("stdin", "stdout", "stderr")


def open_streams() -> None:
    """Open what was closed onto nothing, so that no file of ours takes its number; encode what cannot be encoded.

    What is said on the way goes to standard error, and is lost where that cannot be written to (its terminal is gone,
    its disk full): that is no reason to lose the work. Standard output is for results, so that errors there count.
    """
    while (number := os.open(os.devnull, os.O_RDWR)) < len(STREAMS):  # the lowest number that is free
        os.set_inheritable(number, True)
    os.close(number)
    for number, name in enumerate(STREAMS):
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, "r" if name == "stdin" else "w", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    sys.stderr = Forgiving(sys.stderr)  # type: ignore[assignment]


def drop_output() -> None:
    """Forget what standard output could not take, so that Python does not try once more when it ends."""
    number = os.open(os.devnull, os.O_WRONLY)
    os.dup2(number, 1)
    os.close(number)


class Forgiving:
    """A text stream to which nothing may fail to be written, except that its reader has left.

    Args:
        stream: what it writes to.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or drop the text."""
        try:
            return int(self._stream.write(text))
        except BrokenPipeError:
            raise
        except OSError:
            return len(text)

    def flush(self) -> None:
        """Write what is held back, or drop it."""
        try:
            self._stream.flush()
        except BrokenPipeError:
            raise
        except OSError:
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
