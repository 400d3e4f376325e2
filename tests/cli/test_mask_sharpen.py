"""`aligndiff mask --sharpen`, through the command line on hand-made synthetic images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

from aligndiff_cli.disk.images import read_mask
from aligndiff_cli.engine.manifest import read_records
from aligndiff_cli.models.sam import Sam
from aligndiff_cli.report import sheets
from tests.cli.conftest import Run
from tests.cli.world import COUNT, NOVEL, World
from tests.models.sams import save_sam

pytestmark = pytest.mark.slow

ATTENTION = ("--segmenter", "attention")


@pytest.fixture(autouse=True)
def small_sheets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "CELL", 32)


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_sam("sam2", tmp_path_factory.mktemp("sam"))


def masks(folder: Path) -> dict[str, np.ndarray]:
    return {item: read_mask(folder / "masks" / f"{item}.png") for item in read_records(folder)}


def test_the_best_answer_replaces_the_mask(
    world: World,
    run: Run,
    synth: Path,
    sam: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every mask moved by a column is an answer above the threshold; an empty mask is not asked about."""

    def moved(self: Sam, images: list, asked: list) -> list[list[np.ndarray]]:
        assert all(image.shape[:2] == mask.shape and mask.any() for image, mask in zip(images, asked, strict=True))
        return [[~mask, np.roll(mask, 1, axis=1)] for mask in asked]

    run("mask", "--images", synth, "--out", world / "plain", *ATTENTION)
    monkeypatch.setattr(Sam, "masks", moved)
    shown = run("mask", "--images", synth, "--out", world / "sharp", *ATTENTION, "--sharpen", sam)
    assert "sharpened" in shown.output
    plain, sharp = masks(world / "plain"), masks(world / "sharp")
    records = read_records(world / "sharp")
    for item, mask in plain.items():
        measured = records[item].measured
        assert measured["sharpened"] == bool(mask.any())
        np.testing.assert_array_equal(sharp[item], np.roll(mask, 1, axis=1))
        assert measured["area"] == round(float(mask.mean()), 5)
        assert measured["sharpen_iou"] == 0 or measured["sharpen_iou"] > 0.7
    assert sum(record.measured["sharpened"] for record in records.values()) == len(NOVEL) * (COUNT - 1)
    ran = yaml.safe_load((world / "sharp" / "run.yaml").read_text())
    assert ran["options"]["sharpen_iou"] == 0.7
    assert ran["models"]["sam"]["source"] == str(sam)


def test_answers_that_do_not_agree_are_left_out(world: World, run: Run, synth: Path, sam: Path) -> None:
    """A random network, asked to agree wholly."""
    run("mask", "--images", synth, "--out", world / "plain", *ATTENTION)
    run("mask", "--images", synth, "--out", world / "kept", *ATTENTION, "--sharpen", sam, "--sharpen-iou", 1)
    plain, kept = masks(world / "plain"), masks(world / "kept")
    assert all(np.array_equal(plain[item], kept[item]) for item in plain)
    assert not any(record.measured["sharpened"] for record in read_records(world / "kept").values())


def test_it_is_off_unless_asked_for(world: World, run: Run, synth: Path) -> None:
    run("mask", "--images", synth, "--out", world / "plain", *ATTENTION)
    ran = yaml.safe_load((world / "plain" / "run.yaml").read_text())
    assert set(ran["models"]) == {"segmenter"}
    assert not any("sharpen" in option for option in ran["options"])
    assert all("sharpened" not in record.measured for record in read_records(world / "plain").values())


def test_a_lost_mask_is_sharpened_as_it_was(world: World, run: Run, synth: Path, sam: Path) -> None:
    arguments = ("mask", "--images", synth, "--out", world / "m", *ATTENTION, "--sharpen", sam, "--sharpen-iou", 0.01)
    run(*arguments)
    assert any(record.measured["sharpened"] for record in read_records(world / "m").values())
    lost = world / "m" / "masks" / NOVEL[0] / "text-1.png"
    before = lost.read_bytes()
    lost.unlink()
    assert "1 made" in run(*arguments).output
    assert lost.read_bytes() == before


def test_turning_it_on_for_finished_masks_is_refused(world: World, run: Run, synth: Path, sam: Path) -> None:
    run("mask", "--images", synth, "--out", world / "m", *ATTENTION)
    result = run("mask", "--images", synth, "--out", world / "m", *ATTENTION, "--sharpen", sam, code=1)
    assert "sharpen_iou" in result.output
    result = run("mask", "--images", synth, "--out", world / "n", *ATTENTION, "--sharpen", world / "support", code=1)
    assert "config.json cannot be read" in result.output
