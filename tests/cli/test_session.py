"""Errors that are nobody's own: a message and an exit code for them too, and no tracebacks hidden."""

from __future__ import annotations

import pytest
import torch
import typer

from aligndiff_cli.cli.session import errors_reported


def test_a_device_that_is_full_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit) as left, errors_reported():
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
    assert left.value.exit_code == 1
    assert "not enough memory" in (said := " ".join(capsys.readouterr().err.split()))
    assert "--offload" in said
    with pytest.raises(RuntimeError, match="ours to mend"), errors_reported():
        raise RuntimeError("ours to mend")
