"""Odd folders between the stages: what is missing, damaged, changed by hand, or still growing."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from aligndiff_cli.disk.images import read_mask
from aligndiff_cli.engine.lock import Claim
from aligndiff_cli.engine.manifest import ManifestWriter, read_records
from tests.cli.conftest import Run
from tests.cli.odd import Case, Leaves, all_of, check, nothing, records, same, table
from tests.cli.world import COUNT, NOVEL, World, draw_masks, draw_synth
from tests.nasty import cut_short, pipe, save, text_file

pytestmark = pytest.mark.slow

SEGMENTER = " --segmenter prototype --backbone {backbone} --segmenter-size 64"
MASK = "mask --images synth --support support --out masks" + SEGMENTER
ATTENTION = "mask --images synth --segmenter attention --out masks"
COMPOSE = "compose --foregrounds masks --base base --out scenes --count 4"
SCENES = tuple(f"scene-{n:06d}" for n in range(4))
IDS = tuple(f"{cls}/text-{n}" for cls in NOVEL for n in range(COUNT))
LESS_ONE = tuple(item for item in IDS if item != "dog/text-1")
IMAGE, COARSE = "synth/images/dog/text-1.png", "synth/coarse/dog/text-1.png"


def synth_and(arrange: Callable[[World], object]) -> Callable[[World], object]:
    """A world with synthetic images, and then what is odd about it."""

    def arranged(world: World) -> object:
        draw_synth(world / "synth", world.model)
        return arrange(world)

    return arranged


def masks_and(arrange: Callable[[World], object]) -> Callable[[World], object]:
    """A world with masks, and then what is odd about it."""

    def arranged(world: World) -> object:
        draw_masks(world / "masks", draw_synth(world / "synth", world.model))
        return arrange(world)

    return arranged


def square(world: World, name: str, values: np.ndarray) -> None:
    """A mask drawn by hand: an object of 10 x 12 pixels of 32 x 48, in some colour."""
    mask = np.zeros((32, 48, *values.shape), np.uint8)
    mask[4:14, 6:18] = values
    save(world / f"masks/masks/{name}.png", mask)


def empty(world: World, *names: str) -> None:
    for name in names:
        save(world / f"masks/masks/{name}.png", np.zeros((32, 48), np.uint8))


def hide(world: World, *ids: str) -> dict[str, bytes]:
    """Take images out of synth/, as if they had not been generated yet; what brings them back."""
    manifest = world / "synth/manifest.jsonl"
    lines = manifest.read_bytes().splitlines(keepends=True)
    hidden = {
        f"{kind}/{item}.png": (world / f"synth/{kind}/{item}.png") for item in ids for kind in ("images", "coarse")
    }
    content = {name: path.read_bytes() for name, path in hidden.items()} | {"manifest.jsonl": b"".join(lines)}
    manifest.write_bytes(b"".join(line for line in lines if json.loads(line)["id"] not in ids))
    for path in hidden.values():
        path.unlink()
    return content


def pasted(*present: str, absent: str = "") -> Leaves:
    """Scenes are made of these samples, and not of that one."""

    def leaves(world: World, _: object) -> None:
        used = {o["sample"] for r in read_records(world / "scenes").values() for o in r.parameters["objects"]}
        assert used >= set(present)
        assert absent not in used

    return leaves


def exported_square(world: World, _: object) -> None:
    """The label map is the mask as it is now, not as it was when it was made."""
    labels = read_mask(world / "out/SegmentationClass/dog_text-0.png")
    assert int(labels.sum()) == 10 * 12
    assert labels[4:14, 6:18].all()


def others(folder: str) -> Leaves:
    """Every class but the dog is masked."""
    return records(folder, *(item for item in IDS if not item.startswith("dog")))


@table(
    Case(
        "an image that is gone",
        synth_and(lambda w: (w / IMAGE).unlink()),
        MASK,
        (f"{IMAGE}: cannot be read (No such file or directory)", "9 made, 0 already there, 1 skipped"),
        records("masks", *LESS_ONE),
    ),
    Case(
        "an image cut short",
        synth_and(lambda w: cut_short(w / IMAGE)),
        MASK,
        (f"{IMAGE}: is damaged or cut short", "9 made"),
        records("masks", *LESS_ONE),
    ),
    Case(
        "an image that is a pipe",
        synth_and(lambda w: (w / IMAGE).unlink() or pipe(w / IMAGE)),
        MASK,
        f"{IMAGE}: is no file, but a pipe",
        records("masks", *LESS_ONE),
    ),
    Case(
        "a coarse map that is words",
        synth_and(lambda w: text_file(w / COARSE)),
        ATTENTION,
        f"{COARSE}: is no picture that can be read",
        records("masks", *LESS_ONE),
    ),
    Case(
        "a coarse map of another size",
        synth_and(lambda w: save(w / COARSE, np.zeros((32, 47), np.uint8))),
        "mask --images synth --segmenter noise-learning --noise-steps 1 --backbone {backbone} --out masks",
        f"{COARSE}: expected a coarse map of 48 x 32 (width x height), the size of its image, got 47 x 32",
        records("masks", *LESS_ONE),
    ),
    Case(
        "every image of a class is gone",
        synth_and(lambda w: [path.unlink() for path in (w / "synth/images/dog").iterdir()]),
        MASK,
        ("synth/images/dog/text-4.png: cannot be read", "5 made, 0 already there, 5 skipped"),
        others("masks"),
    ),
    Case(
        "another picture in its place",
        synth_and(lambda w: save(w / IMAGE, np.full((32, 48, 3), 77, np.uint8))),
        MASK,
        "10 made",
        records("masks", *IDS),
        0,
    ),
)
def test_one_bad_image_costs_no_other(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)


@table(
    Case(
        "a mask emptied by hand",
        masks_and(lambda w: empty(w, *(f"dog/text-{n}" for n in range(1, COUNT)))),
        COMPOSE,
        ("masks/masks/dog/text-1.png was changed by hand: it is empty now, and left out", "dog 0 1"),
        all_of(records("scenes", *SCENES), pasted("dog/text-0", absent="dog/text-1"), same("masks")),
        0,
    ),
    Case(
        "a mask drawn by hand where none was found",
        masks_and(lambda w: (empty(w, *IDS), square(w, "dog/text-4", np.array([200, 40, 0], np.uint8)))),
        COMPOSE,
        "masks/masks/dog/text-4.png was changed by hand: it is used as it is now, and measured anew",
        all_of(pasted("dog/text-4", absent="dog/text-0"), same("masks")),
        0,
    ),
    Case(
        "a mask drawn by hand",
        masks_and(lambda w: square(w, "dog/text-0", np.array([255], np.uint8)[0])),
        "export --masks masks --out out",
        "masks/masks/dog/text-0.png was changed by hand: it is used as it is now",
        exported_square,
        0,
    ),
    Case(
        "a mask scaled by hand",
        masks_and(lambda w: save(w / "masks/masks/dog/text-0.png", np.eye(64, 96, dtype=bool))),
        COMPOSE,
        "masks/masks/dog/text-0.png: expected a mask of 48 x 32 (width x height), the size of its image, got 96 x 64",
        all_of(records("scenes", *SCENES), pasted(absent="dog/text-0")),
    ),
    Case(
        "a mask deleted by hand",
        masks_and(lambda w: (w / "masks/masks/dog/text-0.png").unlink()),
        "export --masks masks --out out",
        "masks/masks/dog/text-0.png: cannot be read (No such file or directory)",
        records("out", *(item.replace("/", "_") for item in IDS if item[-1] != "4" and item != "dog/text-0")),
    ),
    Case(
        "every mask emptied by hand",
        masks_and(lambda w: empty(w, *IDS)),
        COMPOSE,
        ("every mask is empty, so there is nothing to paste", "... and 5 more like: "),
        nothing("scenes"),
    ),
    Case(
        "every mask deleted by hand",
        masks_and(lambda w: [(w / f"masks/masks/{item}.png").unlink() for item in IDS]),
        COMPOSE,
        ("not one of its masks can be used: masks/masks/chess_queen/text-0.png: cannot be read", "; 7 more"),
        nothing("scenes"),
    ),
    Case(
        "masks of images that are not recorded",
        masks_and(lambda w: hide(w, "dog/text-0")),
        "export --masks masks --out out",
        "synth has no record of 1 images, so their masks are left out: dog/text-0",
        records("out", *(item.replace("/", "_") for item in IDS if item[-1] != "4" and item != "dog/text-0")),
        0,
    ),
    Case(
        "masks of no recorded image",
        masks_and(lambda w: hide(w, *IDS)),
        COMPOSE,
        "synth: has no record of the images that masks holds masks of",
        nothing("scenes"),
    ),
    Case(
        "a real pair of two sizes",
        masks_and(lambda w: save(w / "support/dog/01.png", np.eye(10, 12, dtype=bool))),
        COMPOSE + " --support support",
        "support/dog/01.png: expected a mask of the size of '01.jpg', 48 x 36 (width x height), got 12 x 10",
        all_of(records("scenes", *SCENES), pasted(absent="real/dog/01")),
    ),
)
def test_what_is_on_the_disk_counts(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)


def claimed(world: World) -> Claim:
    """Somebody is generating more."""
    claim = Claim(world / "synth")
    assert claim.alone()
    return claim


def worker(world: World) -> ManifestWriter:
    """One of several workers is."""
    return ManifestWriter(world / "synth", "manifest.1-of-4.jsonl")


def prepared_by_another(world: World) -> Claim:
    claim = Claim(world / "data")
    assert claim.alone()
    return claim


@table(
    Case(
        "images that are still being made",
        synth_and(claimed),
        MASK,
        "synth is still being written to by another run: what is there now is taken, and no more",
        records("masks", *IDS),
        0,
    ),
    Case(
        "images that a worker is making",
        synth_and(worker),
        MASK,
        "synth is still being written to by another run",
        records("masks", *IDS),
        0,
    ),
    Case(
        "images that are all made",
        synth_and(lambda w: None),
        MASK,
        "no: still being written",
        records("masks", *IDS),
        0,
    ),
    Case(
        "a data set that is being prepared",
        prepared_by_another,
        "prepare fss-1000 --root support --out data --partial",
        "data: another run is writing to this folder",
        lambda w, _: nothing("data/support")(w, {}),
    ),
)
def test_folders_in_use(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)


@pytest.mark.parametrize("segmenter", ["prototype", "attention"])
def test_images_that_come_later_are_taken_and_other_classes_kept(
    world: World, run: Run, synth: object, segmenter: str
) -> None:
    command: list[object] = ["mask", "--images", world / "synth", "--out", world / "masks", "--segmenter", segmenter]
    if segmenter == "prototype":
        command += ["--support", world / "support", "--backbone", world.backbone, "--segmenter-size", 64]
    later = hide(world, "dog/text-2", "dog/text-3")
    assert "8 made" in run(*command).output
    times = {path.name: path.stat().st_mtime_ns for path in (world / "masks/masks/chess_queen").iterdir()}
    for name, data in later.items():
        (world / "synth" / name).write_bytes(data)
    output = run(*command).output
    # what a mask of Algorithm 1 becomes depends on all images of its class; the attention's on its own alone
    again = "3 done items are made again, since others of their class have come or gone: dog" in output
    assert again == (segmenter == "prototype")
    assert ("5 made, 5 already there" if again else "2 made, 8 already there") in output
    assert set(read_records(world / "masks")) == set(IDS)
    assert times == {path.name: path.stat().st_mtime_ns for path in (world / "masks/masks/chess_queen").iterdir()}
    grown = {path: path.read_bytes() for path in (world / "masks").rglob("*.png")}
    assert "0 made, 10 already there" in run(*command).output
    run(*command, "--force")
    assert grown == {path: path.read_bytes() for path in (world / "masks").rglob("*.png")}


def test_a_retouched_mask_is_kept_when_its_class_grows(world: World, run: Run, synth: object) -> None:
    command = ["mask", "--images", world / "synth", "--support", world / "support", "--out", world / "masks"]
    command += ["--segmenter", "prototype", "--backbone", world.backbone, "--segmenter-size", 64]
    later = hide(world, "dog/text-3")
    run(*command)
    square(world, "dog/text-0", np.array([255], np.uint8)[0])
    retouched = (world / "masks/masks/dog/text-0.png").read_bytes()
    for name, data in later.items():
        (world / "synth" / name).write_bytes(data)
    output = " ".join(run(*command).output.split())
    assert "dog/text-0.png was changed after it was made: it is kept as it is" in output
    assert "4 made, 6 already there" in output
    assert (world / "masks/masks/dog/text-0.png").read_bytes() == retouched
