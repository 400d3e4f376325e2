"""Odd places of support pairs, and photographs that their EXIF orientation turns."""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from aligndiff_cli.disk import voc
from aligndiff_cli.engine.manifest import read_records
from tests.cli.conftest import Run
from tests.cli.odd import Case, Leaves, check, nothing, records, table
from tests.cli.odd.arrange import (
    COMPOSE,
    FSS,
    GENERATE,
    INVERT,
    MASK,
    left,
    masks,
    synth,
)
from tests.cli.world import NOVEL, World
from tests.nasty import exif_turned, image_and_mask, save

pytestmark = pytest.mark.slow


def apart(world: World) -> None:
    """The support masks in a folder of their own."""
    masks(world)
    for path in sorted((world / "support").rglob("*.png")):
        place = world / "drawn" / path.relative_to(world / "support")
        place.parent.mkdir(parents=True, exist_ok=True)
        path.rename(place)


def loud(world: World) -> None:
    """A mask with an ending in capitals."""
    synth(world)
    (world / "support/dog/01.png").rename(world / "support/dog/01_MASK.PNG")


ONE = INVERT.replace("--images support", "--images support/dog/")


@table(
    Case("an ending in capitals", loud, INVERT, "2 made", records("bank", "dog/01", "chess_queen/01"), 0),
    Case(
        "pairs directly in the folder",
        synth,
        ONE,
        ("support/dog holds pairs and no folders: they are taken for the class 'dog'", "1 made"),
        records("bank", "dog/01"),
        0,
    ),
    Case(
        "masks apart, compose",
        apart,
        f"{COMPOSE} --support support --support-masks drawn",
        ("chess_queen 1", "2 made"),
        left("scenes", 2),
        0,
    ),
    Case("masks apart, evaluate", apart, f"{FSS} --support-masks drawn", "2 made", left("results", 2), 0),
    Case("masks apart, not said", apart, FSS, "has no class in common with query", nothing("results")),
    Case(
        "masks in a fold that has no name",
        apart,
        FSS + " --support-masks 'd/{{fold}}'",
        "--support-masks holds {fold}, but no fold is named",
        nothing("results"),
        2,
    ),
)
def test_odd_places_of_pairs(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)


def test_a_loop_over_folders_of_pairs(world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """README's: each folder is a class of its own, through invert, generate and mask."""
    monkeypatch.chdir(world.root)
    for name in NOVEL:
        out, support = f"runs/{name}", f"support/{name}/"
        run(*INVERT.format(model=world.model).replace("support", support).replace("bank", f"{out}/bank").split())
        run(*GENERATE.replace("--bank bank", f"--bank {out}/bank").replace("--out synth", f"--out {out}/synth").split())
        few = ["--segmenter", "prototype", "--backbone", world.backbone, "--segmenter-size", 32]
        run("mask", "--images", f"{out}/synth", "--support", support, "--out", f"{out}/masks", *few)
        assert {record.cls for record in read_records(world / out / "masks").values()} == {name}


def half_turned(world: World) -> None:
    """A pair whose photograph is shown turned by half a turn, and a base picture, too."""
    masks(world)
    image, mask = image_and_mask()
    for path in (world / "support/dog/01.jpg", world / "base/JPEGImages/base0.jpg"):
        exif_turned(path, image, 3)
    save(world / "support/dog/01.png", mask)
    voc.write_label_map(world / "base/SegmentationClass/base0.png", mask.astype(np.uint8) * 3)


TOLD = "fits 01.jpg as it is shown and as it is stored"


def orientation(option: str) -> Leaves:
    """What the bank's run file tells."""

    def leaves(world: World, _: object) -> None:
        assert yaml.safe_load((world / "bank/run.yaml").read_text())["options"]["mask_orientation"] == option

    return leaves


@table(
    Case(
        "not said",
        half_turned,
        INVERT,
        (f"support/dog/01.png {TOLD}", "--mask-orientation stored turns it"),
        orientation("auto"),
        0,
    ),
    *(
        Case(f"said: {o}", half_turned, f"{INVERT} --mask-orientation {o}", f"no: {TOLD}", orientation(o), 0)
        for o in ("shown", "stored")
    ),
    Case(
        "said otherwise",
        half_turned,
        f"{INVERT} --mask-orientation up",
        "expected one of auto, shown, stored",
        nothing("bank"),
        2,
    ),
    Case(
        "in mask",
        half_turned,
        MASK.replace("attention", "prototype --backbone {backbone} --segmenter-size 32 --support support --force"),
        TOLD,
        left("masks", 10),
        0,
    ),
    Case(
        "in compose",
        half_turned,
        f"{COMPOSE} --support support",
        (TOLD, "base0.png fits base0.jpg as it is shown and as it is stored"),
        left("scenes", 2),
        0,
    ),
    Case(
        "in compose, said",
        half_turned,
        f"{COMPOSE} --support support --mask-orientation stored",
        "no: as it is shown and as it is stored",
        left("scenes", 2),
        0,
    ),
    Case("in evaluate", half_turned, FSS, TOLD, left("results", 2), 0),
)
def test_odd_orientations(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)
