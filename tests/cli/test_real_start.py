"""`generate --start real` and `mask --coarse`, through the command line on a tiny random model."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from aligndiff_cli.disk.digest import file_digest
from aligndiff_cli.disk.images import read_image, read_mask, write_jpeg, write_png
from aligndiff_cli.engine.manifest import read_records
from aligndiff_cli.report import sheets
from tests.cli.conftest import Run
from tests.cli.test_chain import tree_bytes
from tests.cli.world import World, shape

pytestmark = pytest.mark.slow

QUICK = ("--steps", 2, "--lr", 0.01, "--batch", 2, "--gradient-accumulation", 1, "--preview", 0)
REAL = ("--start", "real", "--strength", 0.5)


@pytest.fixture(autouse=True)
def small_sheets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sheets, "CELL", 32)
    monkeypatch.delenv("ALIGNDIFF_MODEL", raising=False)


@pytest.fixture
def bank(world: World, run: Run) -> Path:
    """One embedding a pair; the dog has a second pair."""
    image, mask = shape(np.random.default_rng(9), 36, 48, 0)
    write_jpeg(world / "support" / "dog" / "02.jpg", image)
    write_png(world / "support" / "dog" / "02.png", mask)
    run("invert", "--images", world / "support", "--out", world / "bank", "--model", world.model, *QUICK)
    return world / "bank"


def generate(bank: Path, out: Path, *more: object) -> list[object]:
    size = ("--height", 24, "--width", 40)
    return ["generate", "--bank", bank, "--out", out, "--per-class", 6, "--steps", 4, "--batch", 2, *size, *more]


def refused(run: Run, *arguments: object, code: int = 1) -> str:
    return " ".join(run(*arguments, code=code).output.split())


def test_samples_start_from_their_own_pair(world: World, run: Run, bank: Path) -> None:
    out, plain = world / "synth", world / "plain"
    assert "12 made" in run(*generate(bank, out, *REAL)).output
    run(*generate(bank, plain))
    options = yaml.safe_load((out / "run.yaml").read_text())["options"]
    assert (options["start"], options["strength"]) == ("real", 0.5)
    options = yaml.safe_load((plain / "run.yaml").read_text())["options"]
    assert options["start"] == "noise"
    assert "strength" not in options
    for item_id, record in read_records(out).items():
        assert record.parameters["seed"] == read_records(plain)[item_id].parameters["seed"]
        same = np.array_equal(*(read_image(folder / "images" / f"{item_id}.png") for folder in (out, plain)))
        if record.parameters["kind"] == "text":
            assert same  # text samples stay as they are
            assert record.parameters["start"] == "noise"
            assert not (out / "real" / f"{item_id}.png").exists()
            continue
        assert not same
        assert record.parameters["real"] == f"{record.parameters['embedding']}.jpg"
        assert record.parameters["strength"] == 0.5
        picture, mask = (world / "support" / f"{record.parameters['embedding']}.{end}" for end in ("jpg", "png"))
        assert record.inputs[f"{record.cls}/{picture.name}"] == file_digest(picture)
        assert record.inputs[f"{record.cls}/{mask.name} (mask)"] == file_digest(mask)
        # 36 x 48 seen as 24 x 40: 29 rows of it round the object, at 5 / 6
        kept = read_mask(out / "real" / f"{item_id}.png")
        assert kept.shape == (24, 40)
        assert kept.mean() == pytest.approx(read_mask(mask).sum() / (29 * 48), abs=0.05)
        assert f"real/{item_id}.png" in record.outputs


def test_the_same_seed_gives_the_same_bytes_and_a_run_goes_on(world: World, run: Run, bank: Path) -> None:
    out = world / "synth"
    run(*generate(bank, out, *REAL))
    before = tree_bytes(out)
    assert "0 made, 12 already there" in run(*generate(bank, out, *REAL)).output
    (out / "real" / "dog" / "inverted-0000.png").unlink()
    (out / "images" / "dog" / "inverted-0001.png").unlink()
    assert "2 made" in run(*generate(bank, out, *REAL)).output
    assert tree_bytes(out) == before
    assert "strength = 0.5, now it is 0.8" in refused(run, *generate(bank, out, "--start", "real", "--strength", 0.8))
    assert "start = real, now it is noise" in refused(run, *generate(bank, out))


def test_one_embedding_of_a_class_starts_from_all_its_pairs(world: World, run: Run, bank: Path) -> None:
    del bank
    whole = ("--per", "class", "--framing", "whole", "--model", world.model, *QUICK)
    run("invert", "--images", world / "support", "--out", world / "classes", *whole)
    share = ("--inverted-share", 1, "--per-class", 12)
    run(*generate(world / "classes", world / "synth", *REAL, *share))
    dogs = [record for record in read_records(world / "synth").values() if record.cls == "dog"]
    assert {record.parameters["real"] for record in dogs} == {"dog/01.jpg", "dog/02.jpg"}


def test_what_cannot_be_is_said(world: World, run: Run, bank: Path) -> None:
    out = world / "synth"
    assert "--strength has no meaning for --start noise" in refused(
        run, *generate(bank, out, "--strength", 0.5), code=2
    )
    assert "expected more than 0" in refused(run, *generate(bank, out, "--start", "real", "--strength", 0), code=2)
    write_jpeg(world / "support" / "dog" / "02.jpg", np.zeros((36, 48, 3), np.uint8))
    output = refused(run, *generate(bank, out, *REAL))
    assert "02.jpg: is not the file that dog/02 was learnt from" in output
    assert "11 made" in output  # its turns are left out, the rest is made
    shutil.move(world / "support", world / "elsewhere")
    output = refused(run, *generate(bank, world / "other", *REAL))
    assert "was made from" in output
    assert "not there any more" in output
    assert not (world / "other").exists()


def test_real_masks_are_coarse_masks(world: World, run: Run, bank: Path) -> None:
    synth = world / "synth"
    run(*generate(bank, synth, *REAL))
    shutil.rmtree(world / "support")  # the folder alone is enough

    def mask(name: str, *more: object) -> list[object]:
        return ["mask", "--images", synth, "--out", world / name, "--segmenter", "attention", *more]

    run(*mask("attention"))
    output = run(*mask("real", "--coarse", "real")).output
    assert "with a real coarse mask" in " ".join(output.split())
    run(*mask("both", "--coarse", "both"))
    for item_id, record in read_records(world / "real").items():
        made = {name: read_mask(world / name / "masks" / f"{item_id}.png") for name in ("attention", "real", "both")}
        if record.parameters["kind"] == "text":
            assert record.parameters["coarse"] == "attention"
            assert np.array_equal(made["real"], made["attention"])
            assert np.array_equal(made["both"], made["attention"])
        else:
            assert record.parameters["coarse"] == "real"
            assert np.array_equal(made["real"], read_mask(synth / "real" / f"{item_id}.png"))
            assert not np.array_equal(made["attention"], made["real"])
    assert "0 made" in run(*mask("real", "--coarse", "real")).output
    assert "coarse = real, now it is both" in refused(run, *mask("real", "--coarse", "both"))


def test_coarse_needs_samples_that_start_from_real_pictures(world: World, run: Run, synth: Path) -> None:
    command = ("mask", "--images", synth, "--out", world / "masks", "--segmenter", "attention", "--coarse")
    assert "no real mask for --coarse real" in refused(run, *command, "real")
    assert "aligndiff generate --start real" in refused(run, *command, "both")
    assert not (world / "masks").exists()
