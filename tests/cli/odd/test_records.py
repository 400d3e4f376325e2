"""Odd records and run files of other stages, and what is said of a folder: each names file, record and field."""

from __future__ import annotations

import json

import pytest

from aligndiff_cli.datasets.folds import coco_novel
from tests.cli.conftest import Run
from tests.cli.odd import Case, all_of, check, nothing, same, table
from tests.cli.odd.arrange import (
    COMPOSE,
    EXPORT,
    FSS,
    GENERATE,
    MASK,
    after,
    bank,
    edit_record,
    edit_run,
    gone,
    left,
    masks,
    synth,
    torn,
)
from tests.cli.world import World
from tests.datasets.lookalikes import build_coco

pytestmark = pytest.mark.slow

AREA = "measured.area: expected a number from 0 to 1, got {}"


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


def problems_of_coco(world: World) -> None:
    """COCO's layout with one fold's photographs of which not one can be painted."""
    build_coco(world / "coco", 2017, coco_novel(2))
    path = world / "coco/annotations/instances_train2017.json"
    content = json.loads(path.read_text())
    for annotation in content["annotations"]:
        annotation["segmentation"] = [[0, 0, float("nan"), 0, 5, 5]]
    path.write_text(json.dumps(content))


@table(
    Case(
        "status of one that is not there",
        masks,
        "status nope masks synth",
        ("nope – – – – – there is no such folder", "masks mask 10 0", "synth generate 10 0"),
        same("masks"),
        1,
    ),
    Case(
        "status of a file",
        after(masks, lambda w: (w / "f").touch()),
        "status f masks",
        ("f – – – – – is a file", "masks mask 10 0"),
        same("masks"),
    ),
    Case(
        "status of somebody's folder",
        masks,
        "status base masks",
        ("base – – – – – holds no run.yaml, so no stage made it", "masks mask 10 0"),
        same("base"),
    ),
    Case(
        "status of a damaged run file",
        after(masks, edit_run(lambda d: d.pop("seed"), "synth")),
        "status synth masks",
        ("synth – – – – – synth/run.yaml: is not a run file (seed is missing)", "masks mask 10 0"),
        same("synth"),
    ),
    Case(
        "status of a damaged record",
        after(masks, edit_record(lambda d: d.pop("id"), "synth")),
        "status synth masks",
        ("line 2 is not a record (id is missing)", "masks mask 10 0"),
        same("synth"),
    ),
    Case(
        "status of damaged failures",
        after(masks, lambda w: (w / "synth/failures.jsonl").write_text("[1]\n")),
        "status synth masks",
        ("line 1 is not a failure", "masks mask 10 0"),
        same("synth"),
    ),
    Case(
        "status of a folder for a file",
        after(masks, gone("masks/masks/dog/text-1.png"), lambda w: (w / "masks/masks/dog/text-1.png").mkdir()),
        "status masks",
        "masks mask 9 0 1 0",
        same("synth"),
    ),
    Case(
        "status of a torn manifest",
        after(masks, torn("synth")),
        "status synth",
        "its last line is torn, by an interrupted run, so 'dog/text-4' counts as not done: run it again",
        same("synth"),
        0,
    ),
    Case(
        "prepare says why",
        problems_of_coco,
        "prepare coco-20i --root coco --fold 2 --partial --out data",
        ("found 0 (what was met before: coco/train2017/", "expected corners as x, y, x, y, ... in finite numbers"),
        nothing("data/support"),
    ),
    Case(
        "evaluate says why",
        after(masks, lambda w: [p.unlink() for p in (w / "query").rglob("*_mask.png")]),
        FSS,
        "has no class in common with query (what was met before: query/",
        nothing("results"),
    ),
)
def test_odd_states(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)
