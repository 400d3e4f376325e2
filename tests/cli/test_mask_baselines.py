"""The baselines of `aligndiff mask`, through the command line on hand-made synthetic images."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from aligndiff_cli.disk.images import read_mask
from aligndiff_cli.engine.manifest import Record, read_records
from aligndiff_cli.report import sheets
from tests.cli.conftest import Run
from tests.cli.test_chain import tree_bytes
from tests.cli.world import COUNT, NOVEL, World

pytestmark = pytest.mark.slow

GROUNDING = ("--segmenter", "grounding", "--grounding-steps", 3, "--grounding-batch", 2)
NOISE = ("--segmenter", "noise-learning", "--noise-folds", 2, "--noise-steps", 3)


@pytest.fixture(autouse=True)
def small_sheets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "CELL", 32)
    monkeypatch.delenv("ALIGNDIFF_MODEL", raising=False)


def mask_of(folder: Path, record: Record) -> np.ndarray:
    return read_mask(folder / "masks" / f"{record.id}.png")


def segmenter_of(folder: Path) -> dict[str, str]:
    return yaml.safe_load((folder / "run.yaml").read_text())["models"]["segmenter"]


def test_attention_is_the_coarse_map_at_its_threshold(world: World, run: Run, synth: Path) -> None:
    out = world / "masks"
    command = ["mask", "--images", synth, "--out", out, "--segmenter", "attention"]
    assert "10 made" in run(*command).output
    records = read_records(out)
    assert len(records) == 2 * COUNT
    for name, record in records.items():
        empty = name.endswith(str(COUNT - 1))
        assert record.measured["accepted"] == (not empty)
        assert record.measured["consensus_iou"] == float(not empty)
        assert record.measured["round"] == 1
        mask = mask_of(out, record)
        assert mask.shape == (32, 48)
        assert mask.sum() == (0 if empty else 16 * 24)
        assert record.measured["area"] == pytest.approx(0 if empty else 0.25)
    assert segmenter_of(out)["source"] == "attention"
    assert sorted(path.stem for path in (out / "pictures").iterdir()) == sorted(NOVEL)
    assert "0 made" in run(*command).output
    assert "attention_threshold" in run(*command, "--attention-threshold", 0.7, code=1).output
    assert "segmenter = attention, now it is noise-learning" in run(*command[:-1], "noise-learning", code=1).output


def test_grounding_is_trained_once_kept_and_used_again(world: World, run: Run, synth: Path) -> None:
    command = ["mask", "--images", synth, *GROUNDING]
    first = world / "first"
    assert "10 made" in run(*command, "--base", world / "base", "--out", first).output
    names = {path.name for path in (first / "grounding").iterdir()}
    assert names == {".lock", "grounding.safetensors", "run.yaml"}
    assert segmenter_of(first)["source"] == "grounding"
    assert {mask_of(first, record).shape for record in read_records(first).values()} == {(32, 48)}
    before = tree_bytes(first)
    assert "0 made" in run(*command, "--base", world / "base", "--out", first).output
    assert tree_bytes(first) == before

    kept = (first / "grounding" / "grounding.safetensors").stat().st_mtime_ns
    for name, extra in (("named", ["--base", world / "base"]), ("without", [])):
        run(*command, *extra, "--grounding", first / "grounding", "--out", world / name)
        assert tree_bytes(world / name / "masks") == tree_bytes(first / "masks")
        assert segmenter_of(world / name) == segmenter_of(first)
    assert (first / "grounding" / "grounding.safetensors").stat().st_mtime_ns == kept

    larger = ["--grounding-width", 24, "--grounding-layers", 1, "--grounding-dice", 0]
    output = run(*command, *larger, "--base", world / "base", "--out", first, code=1).output
    assert "grounding module was trained with dice = 1.0, now it is 0.0" in " ".join(output.split())
    # without --base the module says its size itself
    run(*command, *larger, "--base", world / "base", "--out", world / "larger")
    run(*command, "--grounding", world / "larger" / "grounding", "--out", world / "larger, kept")
    assert tree_bytes(world / "larger, kept" / "masks") == tree_bytes(world / "larger" / "masks")
    assert tree_bytes(world / "larger" / "masks") != tree_bytes(first / "masks")

    run(*command, "--base", world / "base", "--out", world / "again")
    assert tree_bytes(world / "again" / "masks") == tree_bytes(first / "masks")
    assert tree_bytes(world / "again" / "grounding") == tree_bytes(first / "grounding")


def test_a_grounding_module_of_another_training_is_refused(world: World, run: Run, synth: Path) -> None:
    command = ["mask", "--images", synth, *GROUNDING, "--grounding", world / "gd"]
    base = ["--base", world / "base"]
    run(*command, *base, "--out", world / "first")

    def refused(*arguments: object) -> str:
        return " ".join(run(*command, *arguments, "--out", world / "other", code=1).output.split())

    output = refused(*base, "--grounding-steps", 4)
    assert "trained with steps = 3, now it is 4" in output
    assert "remove this one" in output
    assert "trained with seed = 0, now it is 1" in refused(*base, "--seed", 1)
    other = world / "model2"
    shutil.copytree(world.model, other)
    (other / "unet" / "config.json").write_text((other / "unet" / "config.json").read_text() + "\n")
    assert "diffusion model's fingerprint" in refused("--model", other)
    (world / "base" / "JPEGImages" / "base0.jpg").unlink()
    assert "trained with base data" in refused(*base)


def test_a_base_picture_that_is_missing_is_named_and_the_others_are_learnt(world: World, run: Run, synth: Path) -> None:
    (world / "base" / "JPEGImages" / "base0.jpg").unlink()
    command = ["mask", "--images", synth, *GROUNDING, "--base", world / "base", "--out", world / "masks"]
    output = run(*command, code=1).output
    assert "has no picture" in output
    assert "10 made" in output


def test_a_grounding_module_needs_something_to_learn_from(world: World, run: Run, synth: Path) -> None:
    command = ["mask", "--images", synth, *GROUNDING, "--out", world / "masks"]
    output = run(*command, code=1).output
    assert "masks/grounding: holds no trained grounding module" in output.replace("\n", "")
    assert "--base" in output
    (world / "base" / "classes.txt").unlink()
    assert "has no classes.txt" in run(*command, "--base", world / "base", code=1).output


def test_noise_learning_drops_with_empty_masks(world: World, run: Run, synth: Path) -> None:
    command = ["mask", "--images", synth, *NOISE, "--backbone", world.backbone]
    run(*command, "--out", world / "a")
    records = read_records(world / "a")
    assert len(records) == 2 * COUNT
    for name, record in records.items():
        measured = record.measured
        assert measured["accepted"] == (measured["consensus_iou"] >= 0.6)
        assert measured["round"] == 1
        mask = mask_of(world / "a", record)
        assert mask.any() == measured["accepted"]
        assert not (measured["accepted"] and name.endswith(str(COUNT - 1)))
    assert segmenter_of(world / "a")["source"] == "noise-learning"
    run(*command, "--out", world / "b")
    assert tree_bytes(world / "b" / "masks") == tree_bytes(world / "a" / "masks")
    assert "noise_iou = 0.6, now it is 0.0" in run(*command, "--out", world / "a", "--noise-iou", 0, code=1).output
    run(*command, "--out", world / "c", "--noise-iou", 0)
    for record in read_records(world / "c").values():
        assert mask_of(world / "c", record).sum() == (0 if record.id.endswith(str(COUNT - 1)) else 16 * 24)


def test_a_lost_mask_is_made_again_as_it_was(world: World, run: Run, synth: Path) -> None:
    command = ["mask", "--images", synth, *NOISE, "--backbone", world.backbone, "--noise-iou", 0, "--out", world / "a"]
    run(*command)
    before = tree_bytes(world / "a")
    (world / "a" / "masks" / "dog" / "text-2.png").unlink()
    assert "1 made" in run(*command).output
    assert tree_bytes(world / "a") == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--segmenter", "unet"], "hsnet, ssp, prototype, attention, grounding, noise-learning"),
        ([], "needs --support"),
        (["--segmenter", "attention", "--backbone", "x"], "--backbone has no meaning"),
        (["--segmenter", "noise-learning", "--segmenter-size", 64], "--segmenter-size has no meaning"),
        (["--segmenter", "noise-learning", "--noise-folds", 1], "expected at least 2"),
        (["--segmenter", "attention", "--keep", "both"], "expected one of coarse, prediction"),
    ],
)
def test_wrong_usage(world: World, run: Run, synth: Path, arguments: list[object], message: str) -> None:
    output = run("mask", "--images", synth, "--out", world / "masks", *arguments, code=2).output
    assert message in " ".join(output.replace("│", " ").split())
    assert not (world / "masks").exists()
