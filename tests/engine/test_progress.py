"""The bar on a real terminal (a pseudo-terminal), and lines without one."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from aligndiff_cli.engine import progress
from aligndiff_cli.engine.progress import Bar

PROGRAM = """
import sys, time
from contextlib import closing
from aligndiff_cli.engine.progress import Bar, aside
with closing(Bar()) as bar:
    bar.start(40, "images")
    for number in range(20):
        time.sleep(0.02)
        bar.advance(1, "dog")
    with aside():
        print("a note", file=sys.stderr)
    bar.advance(20, "cat")
"""


def on_a_terminal(program: str) -> str:
    """What a program draws on a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    environment = {**os.environ, "TERM": "xterm"}
    with subprocess.Popen([sys.executable, "-c", program], stderr=theirs, stdout=theirs, env=environment) as process:
        os.close(theirs)
        drawn = b""
        try:
            while part := os.read(ours, 4096):
                drawn += part
        except OSError:  # how a terminal ends
            pass
    os.close(ours)
    assert process.returncode == 0, drawn
    return drawn.decode()


def test_a_terminal_shows_count_rate_and_time_left() -> None:
    drawn = on_a_terminal(PROGRAM)
    states = drawn.split("\r")
    half = [state for state in states if "20/40" in state or "19/40" in state]
    assert half, drawn
    assert "images/s" in half[-1]
    assert "<00:0" in half[-1]  # time left
    assert "dog" in half[-1]
    note = drawn.index("a note")
    assert "40" not in drawn[:note].rsplit("\r", 1)[-1], "a bar stands on the line of the note"
    assert states[-1].strip() == "" or states[-1].isspace(), "the bar is left on the screen"


def test_without_a_terminal_a_line_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([0.0, 0.0, 10.0, 20.0, 21.0, 40.0])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    bar = Bar()
    bar.start(100, "steps")
    for note in ("a", "b", "c", "d"):
        bar.advance(10, note)
    # at 20 s twenty are done, one a second; at 40 s forty
    assert capsys.readouterr().err == "20/100 steps  1.0/s  80 s left  b\n40/100 steps  1.0/s  60 s left  d\n"


def test_quiet_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar(quiet=True)
    bar.start(2, "steps")
    bar.advance(2)
    bar.close()
    assert capsys.readouterr().err == ""
