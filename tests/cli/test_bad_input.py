"""What a user gets to read when the input is bad: the file, the reason, the remedy, and never a traceback."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from aligndiff_cli.disk.images import write_png
from aligndiff_cli.engine.manifest import read_records
from tests import nasty
from tests.cli.conftest import Run
from tests.cli.test_chain import commands
from tests.cli.world import World

pytestmark = pytest.mark.slow

FAST = ["--steps", 1, "--batch", 1, "--gradient-accumulation", 1, "--preview", 0]


def test_bad_pairs_are_named_and_the_good_ones_are_inverted(world: World, run: Run) -> None:
    loads, fails, problems = nasty.nasty_support(world / "nasty")
    # the tiny model spells names letter by letter, and has room for a short one only
    loads.remove((nasty.ACCENTED, "à la carte"))
    nasty.good_pair(world / "nasty" / "sóbre mesa", "à la carte")
    loads.add(("sóbre mesa", "à la carte"))
    problems += 1
    result = run("invert", "--images", world / "nasty", "--out", world / "bank", "--model", world.model, *FAST, code=1)
    assert {tuple(item_id.split("/")) for item_id in read_records(world / "bank")} == loads
    assert result.output.count("Skipped") == len(fails) + problems
    assert "tokens long" in result.output
    for _, stem in fails:
        assert f"{stem}." in result.output
    assert f"{len(fails) + problems} skipped" in result.output
    status = run("status", world / "bank", code=1)
    assert str(len(fails) + problems) in status.output


def test_an_empty_folder_shows_the_layout_that_is_expected(world: World, run: Run) -> None:
    (world / "empty").mkdir()
    output = run("invert", "--images", world / "empty", "--out", world / "bank", "--model", world.model, code=1).output
    assert "support/<class>/<stem>" in output
    assert not (world / "bank").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["invert", "--images", "missing", "--out", "bank"], "there is no such folder"),
        (["generate", "--bank", "missing", "--out", "synth"], "aligndiff invert"),
        (["generate", "--bank", "support", "--out", "synth"], "not the output of `aligndiff invert`"),
        (["mask", "--images", "support", "--support", "support", "--out", "masks"], "`aligndiff generate`"),
        (["compose", "--foregrounds", "support", "--base", "base", "--out", "scenes"], "`aligndiff mask`"),
        (["evaluate", "other", "--out", "results"], "No such command 'other'"),
        (["evaluate", "masks", "--out", "results"], "Missing option '--predictions'"),
        (
            ["invert", "--images", "support", "--out", "bank", "--per", "pair"],
            "expected one of instance, class, got 'pair'",
        ),
        (["invert", "--images", "support", "--out", "bank", "--model", "no/such model/x"], "no such model folder"),
        (["status", "support"], "no stage made it"),
    ],
)
def test_wrong_usage(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(world.root)
    monkeypatch.delenv("ALIGNDIFF_MODEL", raising=False)
    usage = ("expected one of", "Missing option", "No such command", "no such folder")
    code = 2 if any(words in message for words in usage) else 1
    assert message in " ".join(run(*arguments, code=code).output.split())


def test_the_bank_of_another_model_is_refused(world: World, run: Run) -> None:
    run(*commands(world, "a")["bank"])
    other = world / "other"
    shutil.copytree(world.model, other)
    (other / "unet" / "config.json").write_text((other / "unet" / "config.json").read_text() + "\n")
    output = run(*commands(world, "a")["synth"], "--model", other, code=1).output
    assert "expected the model of the bank" in output


def test_other_options_are_refused_and_forced(world: World, run: Run) -> None:
    run(*commands(world, "a")["bank"])
    changed = [*commands(world, "a")["bank"], "--background-weight", "0.1"]
    assert "background_weight = 0.6, now it is 0.1" in run(*changed, code=1).output
    assert "2 made" in run(*changed, "--force").output


def test_a_manifest_path_that_leaves_the_folder_is_refused(world: World, run: Run) -> None:
    run(*commands(world, "a")["bank"])
    manifest = world / "a" / "bank" / "manifest.jsonl"
    record = json.loads(manifest.read_text().splitlines()[0])
    record["outputs"] = {"../../secret.safetensors": "00"}
    manifest.write_text(json.dumps(record) + "\n")
    assert "leaves the folder" in run(*commands(world, "a")["synth"], code=1).output


def test_a_damaged_embedding_is_named(world: World, run: Run) -> None:
    run(*commands(world, "a")["bank"])
    nasty.cut_short(world / "a" / "bank" / "dog" / "01.safetensors")
    output = run(*commands(world, "a")["synth"], code=1).output
    assert "01.safetensors" in output
    assert "cannot be read as an embedding" in output


def test_a_class_without_support_is_named_and_the_others_are_masked(world: World, run: Run) -> None:
    for name in ("bank", "synth"):
        run(*commands(world, "a")[name])
    shutil.rmtree(world / "support" / "dog")
    output = run(*commands(world, "a")["masks"], code=1).output
    assert "the class 'dog' has synthetic images but no usable support pair" in output
    assert {record.cls for record in read_records(world / "a" / "masks").values()} == {"chess_queen"}


def test_masks_of_two_folders_are_compared(world: World, run: Run) -> None:
    square = np.zeros((20, 30), np.uint8)
    square[5:15, 5:15] = 255
    shifted = np.roll(square, 5, axis=1)
    for folder, first in (("true", square), ("predicted", shifted)):
        write_png(world / folder / "dog" / "1.png", first)
        write_png(world / folder / "dog" / "2.png", square)
    write_png(world / "true" / "dog" / "3.png", square)
    compare = ["evaluate", "masks", "--predictions", world / "predicted", "--truth", world / "true"]
    output = run(*compare, "--out", world / "results", code=1).output
    assert "3.png: has no prediction" in output
    metrics = json.loads((world / "results" / "metrics.json").read_text())
    # (50 + 100) / (150 + 100)
    assert metrics["overall"]["miou"] == pytest.approx(0.6)
    assert (world / "results" / "report.html").read_text().startswith("<!doctype html>")


def test_a_config_file_sets_flags_and_flags_win(world: World, run: Run, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(f"images: {world / 'support'}\nmodel: {world.model}\npreview: 0\nsteps: 1\nbatch: 1\n")
    run("invert", "--config", config, "--out", world / "bank", "--steps", 2)
    text = (world / "bank" / "run.yaml").read_text()
    assert "steps: 2" in text
    assert "preview: 0" in text
    config.write_text("format: coco\nshard: 1/0\n")  # a flag whose name in the program differs
    output = run("compose", "--config", config, "--foregrounds", "x", "--base", "x", "--out", "x", code=2).output
    assert "expected i/n" in output
    config.write_text("imagse: x\n")
    output = run("invert", "--config", config, "--out", world / "bank", code=2).output
    assert "no such flag: imagse" in " ".join(output.replace("│", " ").split())  # the box wraps its lines


def test_an_interrupt_keeps_what_is_done_and_exits_130(world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from aligndiff_cli.stages import invert

    write = invert.InvertStage._write
    calls = iter([True, False])

    def interrupted(stage: invert.InvertStage, *arguments: object) -> object:
        if next(calls):
            return write(stage, *arguments)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(invert.InvertStage, "_write", interrupted)
    output = run(*commands(world, "a")["bank"], code=130).output
    assert "run the same command again to go on" in output
    assert len(read_records(world / "a" / "bank")) == 1
