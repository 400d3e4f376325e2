"""`aligndiff mask` with the authors' checkpoints, a transformer as backbone, or a torchvision file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from aligndiff_cli.disk.images import read_mask
from aligndiff_cli.engine.manifest import read_records
from aligndiff_cli.report import sheets
from tests.cli.conftest import Run
from tests.cli.world import COUNT, NOVEL, World
from tests.models.segmenters.checkpoints import hsnet_state, ssp_state, torchvision_state
from tests.models.segmenters.test_backbone import save

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def small_sheets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "CELL", 32)


@pytest.mark.parametrize(
    ("kind", "segmenter", "size"),
    [("hsnet", "hsnet", 64), ("ssp", "ssp", 64), ("torchvision", "ssp", 64), ("dinov2", "ssp", 64)],
)
def test_masks_are_made_with_it(
    world: World, run: Run, synth: Path, tmp_path: Path, kind: str, segmenter: str, size: int
) -> None:
    flag, source = "--segmenter-weights", tmp_path / f"{kind}.pt"
    if kind == "hsnet":
        torch.save(hsnet_state((1, 1, 1, 1)), source)
    elif kind == "ssp":
        torch.save(ssp_state((1, 1, 1)), source)
    elif kind == "torchvision":
        flag = "--backbone"
        torch.save(torchvision_state((1, 1, 1, 1)), source)
    else:
        flag, source = "--backbone", save("dinov2", tmp_path / "dinov2")
    arguments = ("--images", synth, "--support", world / "support", "--out", world / "masks")
    shown = run("mask", *arguments, flag, source, "--segmenter-size", 64, "--consensus-iou", 0.3)
    assert "bundled segmenter" not in shown.output
    records = read_records(world / "masks")
    assert len(records) == COUNT * len(NOVEL)
    assert {read_mask(world / "masks" / "masks" / f"{item}.png").shape for item in records} == {(32, 48)}
    network = yaml.safe_load((world / "masks" / "run.yaml").read_text())["models"]["segmenter"]
    assert network["source"] == segmenter
    assert network["fingerprint"].startswith(f"{segmenter}-{size}-")


def test_a_damaged_file_is_said_before_anything_is_made(world: World, run: Run, synth: Path, tmp_path: Path) -> None:
    state = hsnet_state((1, 1, 1, 1))
    torch.save({key: value for key, value in state.items() if "decoder2.2" not in key}, tmp_path / "h.pt")
    arguments = ("--images", synth, "--support", world / "support", "--out", world / "masks")
    shown = run("mask", *arguments, "--segmenter-weights", tmp_path / "h.pt", code=1)
    assert "the weights do not fit; missing, as named here: fine_decoder.2.weight" in shown.output
    assert not (world / "masks" / "masks").exists()


def test_all_accepted_pairs_are_shown_unless_there_is_a_cap(world: World, run: Run, synth: Path) -> None:
    def mask(out: str, *flags: object) -> tuple[str, object]:
        network = ["--segmenter", "prototype", "--backbone", world.backbone, "--segmenter-size", 64]
        command = ["mask", "--images", synth, "--support", world / "support", "--out", world / out, *network]
        output = run(*command, "--consensus-iou", 0, *flags).output
        return output, yaml.safe_load((world / out / "run.yaml").read_text())["options"]["max_supports"]

    # the last coarse mask of each class is empty and joins nothing
    output, most = mask("all")
    assert "shown" not in output
    assert most == 0
    assert mask("zero", "--max-supports", 0)[1] == 0
    output, most = mask("two", "--max-supports", 2)
    assert output.count("4, 2 shown") == 2
    assert most == 2


def test_hsnet_is_shown_four_by_default(world: World, run: Run, synth: Path) -> None:
    command = ["mask", "--images", synth, "--support", world / "support", "--out", world / "masks"]
    run(*command)
    assert yaml.safe_load((world / "masks" / "run.yaml").read_text())["options"]["max_supports"] == 4


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--segmenter", "attention", "--no-ssp-refine"], "--no-ssp-refine has no meaning for --segmenter attention"),
        (["--segmenter", "prototype", "--no-ssp-refine"], "prototype has no second pass to leave out"),
        (["--segmenter-size", 0], "HSNet looks at squares"),
        (["--segmenter-size", 16], "expected at least 32, got 16"),
    ],
)
def test_flags_of_another_segmenter_are_refused(
    world: World, run: Run, synth: Path, flags: list[object], message: str
) -> None:
    support = [] if "attention" in flags else ["--support", world / "support"]
    output = run("mask", "--images", synth, *support, "--out", world / "masks", *flags, code=2).output
    assert message in " ".join(output.replace("│", " ").split())
