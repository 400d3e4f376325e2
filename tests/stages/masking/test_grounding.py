"""The folder of a grounding module, shared by several runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from aligndiff_cli.engine.run_file import write_run
from aligndiff_cli.errors import FolderError
from aligndiff_cli.models.diffusion import grounding_training
from aligndiff_cli.stages.masking.grounding import GroundingRefiner
from aligndiff_cli.stages.options.mask import MaskOptions
from tests.cli.world import draw_folders


@pytest.mark.parametrize("trained", [True, False])
def test_what_another_run_trains_otherwise_meanwhile_is_refused(tmp_path: Path, trained: bool) -> None:
    draw_folders(tmp_path)
    folder = tmp_path / "module"
    options = MaskOptions(
        images=tmp_path / "synth",
        out=tmp_path / "masks",
        segmenter="grounding",
        base=tmp_path / "base",
        grounding=folder,
        grounding_steps=3,
    )
    refiner = GroundingRefiner(options, "tiny")
    refiner.__dict__["about"] = SimpleNamespace(fingerprint="00")
    wanted = refiner.trained_on
    write_run(folder, replace(wanted, options={**wanted.options, "steps": 4}))
    if trained:
        (folder / grounding_training.WEIGHTS).write_bytes(b"")
    with pytest.raises(FolderError, match="trained with steps = 4, now it is 3"):
        refiner.prepare(lambda units, note="": None)
