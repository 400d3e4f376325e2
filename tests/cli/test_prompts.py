"""`generate --prompts` and several templates of `invert`, through the command line on the tiny model."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from aligndiff_cli.disk.bank import read_embedding
from aligndiff_cli.disk.digest import file_digest
from aligndiff_cli.engine.manifest import Record, read_records
from tests.cli.conftest import Run
from tests.cli.world import NOVEL, World, draw_bank

pytestmark = pytest.mark.slow

TWO = "templates:\n- a photo of a {v*} {class}\n- a big {v*} {class}\n- a small {class}\n"


def generate(world: World, *more: object) -> list[object]:
    sizes = ("--per-class", 6, "--steps", 1, "--batch", 2, "--height", 16, "--width", 24)
    return ["generate", "--bank", world / "bank", "--out", world / "synth", *sizes, *more]


def prompts(world: World, text: str) -> Path:
    path = world / "prompts.yaml"
    path.write_text(text)
    return path


@pytest.fixture
def bank(world: World) -> Path:
    return draw_bank(world / "bank", world.model)


def drawn(world: World) -> dict[str, Record]:
    return read_records(world / "synth")


def pictures(world: World, cls: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted((world / "synth" / "images" / cls).iterdir())}


def test_every_picture_tells_its_prompt_and_the_run_its_file(world: World, run: Run, bank: Path) -> None:
    path = prompts(world, TWO + "negative: red\nclasses:\n  dog:\n    templates: ['good {v*} {class}']\n")
    run(*generate(world, "--prompts", path))
    records = drawn(world)
    for item_id, record in records.items():
        words = "v* chess queen" if "inverted" in item_id else "chess queen"
        known = {f"a photo of a {words}", f"a big {words}"} | (set() if "inverted" in item_id else {f"a small {words}"})
        if record.cls == "dog":
            known = {"good v* dog" if "inverted" in item_id else "good dog"}
        assert record.parameters["prompt"] in known
        assert record.parameters["negative"] == "red"
        assert record.inputs.keys() >= {"prompt list"}
    assert len({record.parameters["prompt"] for record in records.values()}) > 4
    assert records["dog/text-0000"].parameters["template"] == "good {v*} {class}"
    ran = yaml.safe_load((world / "synth" / "run.yaml").read_text())
    assert ran["told"]["prompts"] == file_digest(path)
    assert ran["inputs"]["prompts"] == "../prompts.yaml"
    assert "12 already there" in run(*generate(world, "--prompts", path)).output


def test_a_class_more_in_the_file_changes_no_other_picture(world: World, run: Run, bank: Path) -> None:
    run(*generate(world, "--prompts", prompts(world, "classes:\n  dog:\n    templates: ['a big {v*} {class}']\n")))
    before = {cls: pictures(world, cls) for cls in NOVEL}
    both = "classes:\n  chess queen:\n    negative: red\n  dog:\n    templates: ['a big {v*} {class}']\n"
    found = run(*generate(world, "--prompts", prompts(world, both)), code=1)
    assert "chess_queen/inverted-0000 was made from another prompt list" in found.output
    run(*generate(world, "--prompts", prompts(world, both), "--force"))
    assert pictures(world, "dog") == before["dog"]
    assert all(own != before["chess_queen"][name] for name, own in pictures(world, "chess_queen").items())
    run(*generate(world, "--prompts", prompts(world, both + "    negative: ''\n")))  # says what was so before


def test_pictures_of_classes_that_the_file_is_silent_on_are_as_without_it(world: World, run: Run, bank: Path) -> None:
    run(*generate(world))
    before = drawn(world)
    run(*generate(world, "--prompts", prompts(world, "classes:\n  dog:\n    negative: red\n"), "--force"))
    for item_id, record in drawn(world).items():
        assert (record == before[item_id]) == (record.cls == "chess_queen")
        assert record.parameters["prompt"] == before[item_id].parameters["prompt"]


@pytest.mark.parametrize(
    ("text", "more", "reason"),
    [
        ("classes:\n  dgo: {negative: red}", (), "line 2: the bank has no class 'dgo' (the nearest is 'dog')"),
        ("classes:\n  chess-queen: {negative: a}\n  chess queen: {negative: b}", (), "line 3: names the class"),
        ("templates:\n- a photo", (), "line 2: the template 'a photo' must have {class} once"),
        ("templates:\n- a {class} {name}", (), "line 2: the template 'a {class} {name}' has a brace"),
        ("templates:\n- a {class}", (), "line 2: none of the templates of chess_queen holds {v*}"),
        ("templates:\n- a {v*} thing", (), "line 2: none of the templates of chess_queen holds {class}"),
        ("templates: []", (), "line 1: templates: the list is empty"),
        (TWO, ("--template", "a {class}"), "--template has no meaning beside templates for all classes"),
        ("negative: red", ("--guidance", 1), "a negative prompt has no meaning with a guidance of 1 or less"),
    ],
)
def test_a_file_that_cannot_be_meant_so_makes_nothing(
    world: World, run: Run, bank: Path, text: str, more: tuple, reason: str
) -> None:
    found = run(*generate(world, "--prompts", prompts(world, text), *more), code=2)
    assert reason in found.output
    assert not (world / "synth").exists()


def test_one_half_alone_needs_only_its_own_templates(world: World, run: Run, bank: Path) -> None:
    run(*generate(world, "--prompts", prompts(world, "templates: ['a small {class}']"), "--inverted-share", 0))
    assert {record.parameters["kind"] for record in drawn(world).values()} == {"text"}


def test_a_template_too_long_for_one_class_leaves_the_others(world: World, run: Run, bank: Path) -> None:
    long = "classes:\n  dog:\n    templates: ['" + "big " * 30 + "{v*} {class}']\n"
    found = run(*generate(world, "--prompts", prompts(world, long)), code=1)
    assert "line 3: the prompt 'big big" in found.output
    assert "prompts.yaml" in found.output
    assert {record.cls for record in drawn(world).values()} == {"chess_queen"}


def test_templates_of_invert_are_told_and_the_first_draws(world: World, run: Run) -> None:
    small = ("--steps", 2, "--batch", 2, "--gradient-accumulation", 1, "--preview", 0)
    invert = ["invert", "--images", world / "support", "--model", world.model, *small]
    run(*invert, "--out", world / "one", "--template", "a big {v*} {class}")
    assert yaml.safe_load((world / "one" / "run.yaml").read_text())["options"]["template"] == "a big {v*} {class}"
    two = ("--template", "a big {v*} {class}", "--template", "a {v*}, red")
    run(*invert, "--out", world / "two", *two)
    told = yaml.safe_load((world / "two" / "run.yaml").read_text())["options"]["template"]
    assert told == ["a big {v*} {class}", "a {v*}, red"]
    one, other = (read_embedding(world / name / "dog" / "01.safetensors") for name in ("one", "two"))
    assert other.header["template"] == one.header["template"] == "a big {v*} {class}"
    assert not (one.vectors == other.vectors).all()
    (world / "invert.yaml").write_text('template: ["a big {v*} {class}", "a {v*}, red"]\n')
    assert "2 already there" in run(*invert, "--out", world / "two", "--config", world / "invert.yaml").output
    found = run(*invert, "--out", world / "two", *two[:2], code=1)
    assert (
        "was made with template = ['a big {v*} {class}', 'a {v*}, red'], now it is a big {v*} {class}" in found.output
    )
    found = run(*invert, "--out", world / "three", *two, "--template", "a {class}", code=2)
    assert "the template 'a {class}' has no {v*}" in found.output
