"""What is checked of every command's values: numbers, configuration files, empty arguments, bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aligndiff_cli.cli.main import app
from aligndiff_cli.engine.options import MISSING, Option, Options, options_of
from aligndiff_cli.stages.options.compose import ComposeOptions
from aligndiff_cli.stages.options.evaluate import FssOptions, GfssOptions, MasksOptions
from aligndiff_cli.stages.options.export import ExportOptions
from aligndiff_cli.stages.options.generate import GenerateOptions
from aligndiff_cli.stages.options.invert import InvertOptions
from aligndiff_cli.stages.options.mask import MaskOptions
from aligndiff_cli.stages.options.prepare import PrepareOptions

pytestmark = pytest.mark.slow

COMMANDS: list[type[Options]] = [
    PrepareOptions,
    InvertOptions,
    GenerateOptions,
    MaskOptions,
    ComposeOptions,
    MasksOptions,
    FssOptions,
    GfssOptions,
    ExportOptions,
]


def usage(options: type[Options]) -> list[str]:
    """A command with all that it cannot do without."""
    words = options.command.split()
    for option in options_of(options):
        if option.default is MISSING:
            words += ["fss-1000"] if option.flag.positional else [option.long, option.name]
    return words


def refused(*arguments: object) -> str:
    """What is said of a wrong usage."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2, result.output
    return " ".join(result.output.replace("│", " ").split())


NUMBERS = [(options, option) for options in COMMANDS for option in options_of(options) if option.kind in (int, float)]


@pytest.mark.parametrize(("options", "option"), NUMBERS, ids=lambda v: v.name if isinstance(v, Option) else v.command)
def test_every_number_has_bounds(options: type[Options], option: Option) -> None:
    assert option.flag.least is not None
    for value in ("-1", "nan", "inf", "1" + 40 * "0", "x"):
        assert option.long in refused(*usage(options), option.long, value)


def test_every_path_is_known_as_read_or_written() -> None:
    every = [option for options in COMMANDS for option in options_of(options)]
    assert {o.name for o in every if o.flag.writes} == {"out", "base_model", "grounding"}
    assert {o.name for o in every if o.kind is Path and not o.reads and not o.flag.writes} == {"label_maps"}
    assert {o.name for o in every if o.kind is str and o.reads} == {"model", "backbone", "sharpen", "boxes", "clip"}


def without(options: type[Options], other: str, values: tuple[Any, ...]) -> list[str] | None:
    """A command in which an option has none of some values; None if it always has one."""
    option = next(o for o in options_of(options) if o.name == other)
    if option.default not in (MISSING, *values):
        return usage(options)
    choice = next((choice for choice in option.choices if choice not in values), None)
    if choice is None:
        return None
    if option.flag.positional:
        return [choice if word == "fss-1000" else word for word in usage(options)]
    return [*usage(options), option.long, choice]


def some_value(option: Option) -> list[str]:
    """An option as it may be typed, with another value than its default."""
    if option.kind is bool:
        return [option.typed(not option.default)]
    if option.kind in (int, float):
        low, high = option.flag.least or 0, option.flag.most
        return [option.long, next(str(n) for n in (0, 1, 2, 3, 64) if low <= n <= high and n != option.default)]
    return [option.long, next(choice for choice in (*option.choices, "x") if choice != option.default)]


FOREIGN = [
    (options, option, words)
    for options in COMMANDS
    for option in options_of(options)
    for other, values in (option.flag.of or {}).items()
    if (words := without(options, other, values)) is not None
]


@pytest.mark.parametrize(
    ("options", "option", "words"),
    FOREIGN,
    ids=[f"{options.command}-{option.name}" for options, option, _ in FOREIGN],
)
def test_a_flag_that_belongs_to_something_else_is_refused(
    options: type[Options], option: Option, words: list[str]
) -> None:
    typed = some_value(option)
    assert f"{typed[0]} has no meaning" in refused(*words, *typed)


CONFIGS = [
    ("seed: true", "--seed", "got 'true' from"),
    ("seed: 1.5", "--seed", "got '1.5' from"),
    ("steps: 2.5", "--steps", "got '2.5' from"),
    ("steps: [1]", "steps: expected one value, got a list"),
    ("initializer: [good, bad]", "initializer: expected one value, got a list"),
    ("template: []", "template: expected one value, got a list"),
    ("template: [a, [b]]", "template: expected one value, got a list"),
    ("template: [a, ]\nsteps: [1]", "steps: expected one value, got a list"),
    ("template: {a: b}", "template: expected one value, got a mapping"),
    ("steps:", "steps has no value"),
    ("steps: null", "steps has no value"),
    ("scheduler: euler", "no such flag: scheduler"),
    ('dtype: ""', "dtype has no value"),
    ("lr: .nan", "--lr"),
    ("lr: fast", "--lr", "got 'fast' from"),
    ("flip: -0.1", "--flip", "got '-0.1' from"),
    ("preview: -1", "--preview", "expected at least 0, got -1"),
    ("quiet: perhaps", "--quiet", "got 'perhaps' from"),
    ("seed: 1\nseed: 2", "names seed twice"),
    ("per-class: 1", "no such flag: per-class"),
    ("learning_rate: 1", "no such flag: learning_rate"),
    ("background-weight: 1\n--background_weight: 2", "names --background_weight twice"),
    ("config: other.yaml", "no such flag: config"),
    ("1: 2", "no such flag: 1"),
    ("[a]: 2", "expected the name of a flag, got a list"),
    ("- seed", "expected 'flag: value' lines, got a list"),
    ("seed", "expected 'flag: value' lines, got a single value"),
    ("", "expected 'flag: value' lines, got nothing"),
    ("a: [", "cannot be read as YAML"),
    ("[" * 5000, "cannot be read as YAML"),
    ("a: \0", "cannot be read as YAML"),
]


@pytest.mark.parametrize(("text", "said"), [(text, said) for text, *said in CONFIGS], ids=lambda v: str(v)[:20])
def test_a_configuration_that_cannot_be_meant(tmp_path: Path, text: str, said: list[str]) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(text)
    output = refused("invert", "--images", tmp_path / "i", "--out", tmp_path / "o", "--config", config)
    for part in said:
        assert part in output


def test_values_are_taken_as_they_stand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    monkeypatch.setattr("aligndiff_cli.cli.command.run", lambda stage, **kwargs: seen.update(kwargs))
    config = tmp_path / "c.yaml"
    text = "\ufeffsupport: s\nquery: q\nmasks: m\nshard: 01/2\nquiet: yes\nforce: off\nbeta: 1e-1\n"
    config.write_text(text, encoding="utf-8")
    assert CliRunner().invoke(app, ["evaluate", "fss", "--out", "o", "--config", str(config)]).exit_code == 0
    assert seen == {"shard": "01/2", "verify": False, "quiet": True, "force": False}


@pytest.mark.parametrize("empty", [["--images", ""], ["--images="], ["--images", "i", ""]])
def test_nothing_for_a_value_is_a_variable_that_is_not_set(empty: list[str]) -> None:
    assert "has no value: perhaps a variable is not set" in refused("invert", *empty, "--out", "o")
