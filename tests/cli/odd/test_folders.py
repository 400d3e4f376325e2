"""Odd folders, records, run files, lists and flags: what is there is never written over, and never read wrongly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from aligndiff_cli.disk.manifest import read_records
from tests.cli.conftest import Run
from tests.cli.odd import Case, Leaves, all_of, check, nothing, records, same, table
from tests.cli.world import COUNT, NOVEL, World, draw_bank, draw_masks, draw_synth

INVERT = "invert --images support --out bank --model {model} --steps 1 --batch 1 --accumulation 1 --preview 0"
GENERATE = "generate --bank bank --out synth --per-class 2 --steps 1 --batch 2 --height 24 --width 40"
MASK = "mask --images synth --out masks --segmenter attention"
COMPOSE = "compose --foregrounds masks --base base --count 2 --out scenes"
EXPORT = "export --masks masks --out set"
FSS = "evaluate --protocol fss --support support --query query --masks masks --synthetic 2 --beta 0 --out results"
FSS += " --segmenter prototype --backbone {backbone} --segmenter-size 32"
IDS = [f"{cls}/text-{number}" for cls in NOVEL for number in range(COUNT)]


def synth(world: World) -> Path:
    return draw_synth(world / "synth", world.model)


def masks(world: World) -> Path:
    return draw_masks(world / "masks", synth(world))


def own_voc(world: World) -> Path:
    """A data set of the user's own, with a list and names that `compose` would write over."""
    return Path(shutil.copytree(world / "base", world / "mine"))


def edit_run(change: Callable[[dict[str, Any]], object], folder: str) -> Callable[[World], None]:
    """Change the run file of a folder."""

    def edit(world: World) -> None:
        path = world / folder / "run.yaml"
        data = yaml.safe_load(path.read_text())
        change(data)
        path.write_text(yaml.safe_dump(data))

    return edit


def edit_record(change: Callable[[dict[str, Any]], object], folder: str) -> Callable[[World], None]:
    """Change the second record of a folder."""

    def edit(world: World) -> None:
        path = world / folder / "manifest.jsonl"
        lines = path.read_text().splitlines(keepends=True)
        data = json.loads(lines[1])
        change(data)
        lines[1] = json.dumps(data, sort_keys=True) + "\n"
        path.write_text("".join(lines))

    return edit


def after(*steps: Callable[[World], object]) -> Callable[[World], None]:
    """Arrange one thing after another."""

    def arrange(world: World) -> None:
        for step in steps:
            step(world)

    return arrange


def gone(path: str) -> Callable[[World], None]:
    """Without this file or folder."""

    def remove(world: World) -> None:
        shutil.rmtree(world / path) if (world / path).is_dir() else (world / path).unlink()

    return remove


def torn(folder: str) -> Callable[[World], None]:
    """The last line of a manifest is cut off."""

    def tear(world: World) -> None:
        path = world / folder / "manifest.jsonl"
        path.write_bytes(path.read_bytes()[:-20])

    return tear


def link(path: str, target: str) -> Callable[[World], None]:
    return lambda world: (world / path).symlink_to(world / target)


# outputs

FORCES = ("", " --force")


@table(
    *(
        Case(f"{name}{force}", arrange, f"{command}{force}", says, same(*kept), code)
        for force in FORCES
        for name, arrange, command, says, kept, code in (
            (
                "base is out",
                masks,
                COMPOSE.replace("--out scenes", "--out base"),
                "--out is also given as --base",
                "base masks",
                2,
            ),
            (
                "out in base",
                masks,
                COMPOSE.replace("--out scenes", "--out base/new"),
                "--out lies inside --base",
                "base",
                2,
            ),
            (
                "out holds base",
                masks,
                COMPOSE.replace("--out scenes", "--out ."),
                "--out holds --foregrounds",
                "base masks",
                2,
            ),
            (
                "out is a link to an input",
                after(masks, link("l", "base")),
                COMPOSE.replace("--out scenes", "--out l"),
                "--out is also given as --base",
                "base",
                2,
            ),
            (
                "out in the images",
                synth,
                MASK.replace("--out masks", "--out synth/masks"),
                "--out lies inside --images",
                "synth",
                2,
            ),
            (
                "out in the model",
                lambda w: None,
                INVERT.replace("--out bank", "--out {model}/bank"),
                "--out lies inside --model",
                "support",
                2,
            ),
            (
                "out in the support",
                synth,
                MASK.replace("attention", "ssp --support support").replace("--out masks", "--out support/m"),
                "--out lies inside --support",
                "support",
                2,
            ),
            (
                "out in the truth",
                masks,
                "evaluate --protocol masks --predictions masks --truth masks/masks --out masks/masks/r",
                "--out lies inside --predictions",
                "masks",
                2,
            ),
            (
                "module in the base",
                synth,
                MASK.replace("attention", "grounding --base base --grounding base/g"),
                "--grounding lies inside --base",
                "base",
                2,
            ),
            (
                "somebody's data set",
                after(masks, own_voc),
                COMPOSE.replace("--out scenes", "--out mine"),
                "holds 'ImageSets' and no run.yaml, so no stage made it",
                "mine",
                1,
            ),
            (
                "somebody's folder",
                after(masks, own_voc),
                EXPORT.replace("--out set", "--out mine"),
                "holds 'ImageSets' and no run.yaml, so no stage made it",
                "mine",
                1,
            ),
            (
                "somebody's folder for a module",
                after(synth, own_voc),
                MASK.replace("attention", "grounding --base base --grounding mine"),
                "Choose another folder with --grounding",
                "mine",
                1,
            ),
            (
                "another command's folder",
                masks,
                EXPORT.replace("--out set", "--out synth"),
                "was made by another command, generate, so export writes nothing there",
                "synth masks",
                1,
            ),
            (
                "no run file",
                after(masks, gone("synth/run.yaml")),
                INVERT.replace("--out bank", "--out synth"),
                "holds records but no run.yaml, so nobody can say how they were made",
                "synth",
                1,
            ),
            (
                "a damaged run file",
                after(masks, edit_run(lambda d: d.update(seed="0"), "synth")),
                INVERT.replace("--out bank", "--out synth"),
                "synth/run.yaml: is not a run file (seed: expected a whole number, got '0')",
                "synth",
                1,
            ),
        )
        for kept in (kept.split(),)
    ),
    Case(
        "out is a file",
        lambda w: (w / "f").touch(),
        INVERT.replace("--out bank", "--out f"),
        "--out: expected a folder, got a file",
        same("support"),
        2,
    ),
    Case(
        "out is a link to nothing",
        link("l", "nothing"),
        INVERT.replace("--out bank", "--out l"),
        "--out: is a link that leads nowhere",
        nothing("nothing"),
        2,
    ),
    Case(
        "out is a loop",
        link("l", "l"),
        INVERT.replace("--out bank", "--out l"),
        "--out: is a link that leads nowhere",
        same("support"),
        2,
    ),
    Case(
        "out is a link to an empty folder",
        lambda w: ((w / "e").mkdir(), (w / "l").symlink_to("e")),
        INVERT.replace("--out bank", "--out l"),
        "2 made",
        records("e", "dog/01", "chess_queen/01"),
        0,
    ),
)
def test_odd_outputs(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)


# records and run files of other stages

AREA = "measured.area: expected a number from 0 to 1, got {}"


def bank(world: World) -> Path:
    return draw_bank(world / "bank", world.model)


@table(
    Case(
        "the area is missing",
        after(masks, edit_record(lambda d: d["measured"].pop("area"), "masks")),
        COMPOSE,
        "masks/manifest.jsonl: line 2 is not a record ('chess_queen/text-1') (measured.area is missing)",
        nothing("scenes"),
    ),
    *(
        Case(
            f"the area is {value!r}",
            after(masks, edit_record(lambda d, value=value: d["measured"].update(area=value), "masks")),
            command,
            AREA.format(value),
            nothing(folder),
        )
        for value, command, folder in (
            (None, COMPOSE, "scenes"),
            ([], EXPORT, "set"),
            (-1, FSS, "results"),
            (float("inf"), EXPORT, "set"),
        )
    ),
    Case(
        "an unknown kind",
        after(masks, edit_record(lambda d: d["parameters"].update(kind=3), "synth")),
        MASK.replace("--out masks", "--out new"),
        '(\'chess_queen/text-1\') (parameters.kind: expected "inverted" or "text", got 3)',
        nothing("new"),
    ),
    Case(
        "no kind",
        after(masks, edit_record(lambda d: d.pop("parameters"), "synth")),
        FSS,
        "synth/manifest.jsonl: line 2 is not a record ('chess_queen/text-1') (parameters.kind is missing)",
        nothing("results"),
    ),
    Case(
        "an output that is no text",
        after(bank, edit_record(lambda d: d.update(outputs={"a": 1}), "bank")),
        GENERATE,
        "bank/manifest.jsonl: line 2 is not a record ('dog/01') (outputs: expected texts by name, got {'a': 1})",
        nothing("synth"),
    ),
    Case(
        "a manifest that is a folder",
        after(masks, gone("masks/manifest.jsonl"), lambda w: (w / "masks/manifest.jsonl").mkdir()),
        EXPORT,
        "masks/manifest.jsonl: cannot be read (Is a directory)",
        nothing("set"),
    ),
    *(
        Case(f"run file, {name}", after(made, edit_run(change, folder)), command, says, nothing(out))
        for name, made, change, folder, command, says, out in (
            (
                "no threshold",
                synth,
                lambda d: d["options"].clear(),
                "synth",
                MASK,
                "(options.mask_threshold is missing)",
                "masks",
            ),
            (
                "a threshold of text",
                synth,
                lambda d: d["options"].update(mask_threshold="x"),
                "synth",
                MASK,
                "options.mask_threshold: expected a number from 0 to 1, got 'x'",
                "masks",
            ),
            (
                "a threshold of 5",
                masks,
                lambda d: d["options"].update(attention_threshold=5),
                "masks",
                FSS,
                "options.attention_threshold: expected a number from 0 to 1, got 5",
                "results",
            ),
            (
                "no images",
                masks,
                lambda d: d["inputs"].clear(),
                "masks",
                COMPOSE,
                "(inputs.images is missing)",
                "scenes",
            ),
            (
                "images are a list",
                masks,
                lambda d: d["inputs"].update(images=["a"]),
                "masks",
                COMPOSE,
                "masks/run.yaml: is not a run file (inputs: expected texts by name",
                "scenes",
            ),
            (
                "images are elsewhere",
                masks,
                lambda d: d["inputs"].update(images="../elsewhere"),
                "masks",
                COMPOSE,
                "elsewhere, which is not there any more",
                "scenes",
            ),
            (
                "no models",
                bank,
                lambda d: d["models"].clear(),
                "bank",
                GENERATE,
                "(models.diffusion.source is missing)",
                "synth",
            ),
            (
                "models are text",
                synth,
                lambda d: d.update(models="x"),
                "synth",
                MASK,
                "models: expected facts of models by name, got 'x'",
                "masks",
            ),
            (
                "no command",
                masks,
                lambda d: d.pop("command"),
                "masks",
                EXPORT,
                "masks/run.yaml: is not a run file (command is missing)",
                "set",
            ),
            ("of the future", masks, lambda d: d.update(schema=2), "masks", EXPORT, "expected schema 1, got 2", "set"),
        )
    ),
)
def test_odd_records(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)


def left(folder: str, count: int) -> Leaves:
    """So many records."""

    def leaves(world: World, _: object) -> None:
        assert len(read_records(world / folder)) == count

    return leaves


TORN = "its last line is torn, by an interrupted run, so 'dog/text-4' counts as not done"


@table(
    Case(
        "torn, and masks are made",
        after(synth, torn("synth")),
        MASK,
        (f"Skipped synth/manifest.jsonl: {TORN}", "Run `aligndiff generate --out synth` again", "9 made"),
        all_of(same("synth"), left("masks", 9)),
    ),
    Case(
        "torn masks, and scenes are made",
        after(masks, torn("masks")),
        COMPOSE,
        (f"masks/manifest.jsonl: {TORN}", "Run `aligndiff mask --out masks` again"),
        all_of(same("masks", "synth"), left("scenes", 2)),
    ),
    Case(
        "torn images, and a table is made",
        after(masks, torn("synth")),
        FSS,
        (f"synth/manifest.jsonl: {TORN}", "2 made"),
        left("results", 2),
    ),
    Case(
        "a torn bank",
        after(bank, torn("bank")),
        GENERATE,
        ("bank/manifest.jsonl: its last line is torn, by an interrupted run, so 'dog/01'", "2 made"),
        left("synth", 2),
    ),
)
def test_torn_records_of_others(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)


# lists of names


def ood(text: str, encoding: str = "utf-8") -> Callable[[World], None]:
    def write(world: World) -> None:
        masks(world)
        (world / "ood.txt").write_text(text, encoding=encoding)

    return write


def classes(text: str, encoding: str = "utf-8") -> Callable[[World], None]:
    def write(world: World) -> None:
        masks(world)
        (world / "base/classes.txt").write_text(text, encoding=encoding)

    return write


def out_of_distribution(*names: str) -> Leaves:
    """The table names these classes so."""

    def leaves(world: World, _: object) -> None:
        assert json.loads((world / "results/metrics.json").read_text())["ood_classes"] == list(names)

    return leaves


def named(*names: str) -> Leaves:
    """The scenes' classes."""

    def leaves(world: World, _: object) -> None:
        assert (world / "scenes/classes.txt").read_text().splitlines() == list(names)

    return leaves


OOD = f"{FSS} --ood ood.txt"


@table(
    Case("a list with a byte order mark", ood("dog\n", "utf-8-sig"), OOD, "2 made", out_of_distribution("dog"), 0),
    Case(
        "a list of Windows", ood("dog\r\nchess queen\r\n"), OOD, "2 made", out_of_distribution("chess_queen", "dog"), 0
    ),
    Case(
        "a misspelt class",
        ood("dgo\n"),
        OOD,
        "ood.txt: names 'dgo', and there is no such class (the nearest is 'dog')",
        nothing("results"),
    ),
    Case("a list in UTF-16", ood("dog\n", "utf-16"), OOD, "ood.txt: cannot be read as UTF-8 text", nothing("results")),
    Case("no list", masks, OOD, "ood.txt: cannot be read as UTF-8 text", nothing("results")),
    Case(
        "a list that is a folder",
        after(masks, lambda w: (w / "ood.txt").mkdir()),
        OOD,
        "ood.txt: cannot be read as UTF-8 text",
        nothing("results"),
    ),
    Case(
        "class names with a byte order mark",
        classes("dog\nchess queen\nbus\n", "utf-8-sig"),
        COMPOSE,
        "2 made",
        named("dog", "chess queen", "bus"),
        0,
    ),
    Case(
        "a misspelt class name",
        classes("dog\nchess quen\nbus\n"),
        COMPOSE,
        "the base names no class 'chess queen' (the nearest is 'chess quen'): it is written as class 4",
        named("dog", "chess quen", "bus", "chess queen"),
        0,
    ),
    Case(
        "a class named twice",
        classes("dog\nchess queen\nchess_queen\n"),
        COMPOSE,
        "base/classes.txt: names the class 'chess queen' twice",
        nothing("scenes"),
    ),
    Case(
        "a name too few",
        classes("dog\nchess queen\n"),
        COMPOSE,
        "expected classes 0 to 2 (or 255 for ignored pixels), got 3",
        nothing("scenes"),
    ),
    Case(
        "an empty line between names",
        classes("dog\n\nbus\n"),
        COMPOSE,
        "expected a different class name on each line",
        nothing("scenes"),
    ),
)
def test_odd_lists(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)


# parts of a masks folder that are gone


def emptied(path: str) -> Callable[[World], None]:
    return lambda world: (world / path).write_bytes(b"")


ALL = FSS.replace("--synthetic 2", "--synthetic 9")
MISSING = ("synth/images/dog/text-1.png", "synth/coarse/dog/text-1.png", "masks/masks/dog/text-1.png")


@table(
    *(Case(f"{path} is gone", after(masks, gone(path)), ALL, (path, "2 made"), left("results", 2)) for path in MISSING),
    *(
        Case(f"{path} is empty", after(masks, emptied(path)), ALL, (path, "2 made"), left("results", 2))
        for path in MISSING
    ),
    Case(
        "all of a class are gone",
        after(masks, gone("synth/images/dog")),
        ALL,
        ("synth/images/dog/text-0.png", "2 made"),
        left("results", 2),
    ),
)
def test_missing_samples(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)


# where support pairs are


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
