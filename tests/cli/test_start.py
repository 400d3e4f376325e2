"""The program as a process of its own: its start, its standard streams, its interrupts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from aligndiff_cli.engine.run_file import RunFile, write_run

pytestmark = pytest.mark.slow

PROGRAM = [sys.executable, "-m", "aligndiff_cli"]


def start(
    *arguments: object, shell: str = "", program: list[str] | None = None, **environment: str
) -> subprocess.CompletedProcess:
    """Run the command, with redirections of the shell if there are any."""
    words = [*(program or PROGRAM), *map(str, arguments)]
    if shell:
        words = ["sh", "-c", f'"$@" {shell}', "sh", *words]
    return subprocess.run(
        words,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        timeout=60,
        env={**os.environ, **environment},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A stage folder with a name that ASCII has no letters for."""
    path = tmp_path / "bänk"
    write_run(path, RunFile("invert", {}, 0))
    return path


def test_the_package_is_a_program_and_completes_for_the_shell(folder: Path) -> None:
    assert start("--version").stdout.startswith("aligndiff ")
    assert "--install-completion" in start("--help").stdout
    offered = start(_ALIGNDIFF_COMPLETE="complete_bash", COMP_WORDS="aligndiff comp", COMP_CWORD="1", program=[
        sys.executable, "-c", "import sys; sys.argv[0] = 'aligndiff'; from aligndiff_cli.__main__ import main; main()"
    ])  # fmt: skip
    assert offered.stdout.split() == ["compose"]
    assert offered.stderr == ""


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_a_stream_cannot_encode_is_escaped(folder: Path, encoding: str) -> None:
    done = start("status", folder, PYTHONIOENCODING=encoding, PYTHONUTF8="0")
    assert (done.returncode, done.stderr) == (0, "")
    assert "invert" in done.stdout
    if encoding == "ascii":
        assert "b\\xe4nk" in done.stdout.replace("\n", "")
        assert start("invert", "--help", PYTHONIOENCODING=encoding, PYTHONUTF8="0").returncode == 0


def test_a_name_that_is_no_text_is_escaped(tmp_path: Path) -> None:
    done = start("status", os.fsdecode(os.fsencode(tmp_path) + b"/b\xffnk"))
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "b\\udcffnk" in (done.stdout + done.stderr).replace("\n", "")


@pytest.mark.parametrize(
    ("shell", "code", "said"),
    [
        (">/dev/full", 1, "Error standard output: cannot be"),
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        ("<&- >&- 2>&-", 0, ""),
        ("2>/dev/full", 0, ""),
        (">/dev/full 2>/dev/full", 1, ""),
        ("| true", 0, ""),  # the code of the last
    ],
)
def test_streams_that_cannot_be_written_to(folder: Path, shell: str, code: int, said: str) -> None:
    done = start("status", folder, shell=shell)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_help_into_a_full_disk() -> None:
    done = start("--help", shell=">/dev/full")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "Error standard output: cannot be written to (No space left on device)" in done.stderr


INTERRUPTED = """
import builtins, os, signal, sys
real = builtins.__import__
def interrupted(name, *rest, **more):
    if name.split(".")[0] == {module!r}:
        os.kill(os.getpid(), signal.SIGINT)
    return real(name, *rest, **more)
sys.argv = ["aligndiff", *sys.argv[1:]]
from aligndiff_cli.__main__ import main
builtins.__import__ = interrupted
main()
"""


@pytest.mark.parametrize("module", ["typer", "yaml", "numpy"])
def test_an_interrupt_while_it_starts_is_one_line(folder: Path, tmp_path: Path, module: str) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("format: voc\n")
    program = [sys.executable, "-c", INTERRUPTED.format(module=module)]
    flags = ["--masks", folder, "--out", tmp_path / "set", "--config", config]
    done = start("export", *flags, program=program)
    assert (done.returncode, done.stderr, done.stdout) == (130, "Interrupted.\n", "")
    assert not (tmp_path / "set").exists()
    other = start("export", *flags, program=program, WORLD_SIZE="2", RANK="1")
    assert (other.returncode, other.stderr) == (130, "")


def test_an_interrupt_that_is_ignored_stays_so(folder: Path, tmp_path: Path) -> None:
    program = [sys.executable, "-c", "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)" + INTERRUPTED]
    program[2] = program[2].format(module="typer")
    assert start("status", folder, program=program).returncode == 0


def test_an_interrupt_of_work_says_that_it_is_kept(folder: Path, tmp_path: Path) -> None:
    words = (
        "import os, signal; from aligndiff_cli.engine import runner\n"
        "runner.run_stage = lambda *a, **k: os.kill(os.getpid(), signal.SIGINT)\n"
        "import sys; sys.argv = ['aligndiff', *sys.argv[1:]]\n"
        "from aligndiff_cli.__main__ import main; main()"
    )
    write_run(tmp_path / "synth", RunFile("generate", {"mask_threshold": 0.5}, 0))
    done = start(
        "mask", "--segmenter", "attention", "--images", tmp_path / "synth", "--out", tmp_path / "masks",
        program=[sys.executable, "-c", words],
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "Interrupted. Finished work is kept; run the same command again to go on.\n"
