"""What is checked of every command's values: numbers, configuration files, empty arguments, bounds."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from typer.testing import CliRunner

from aligndiff_cli.cli import compose, evaluate, export, generate, invert, mask, prepare, status
from aligndiff_cli.cli.checks import MODELS, NOT_READ
from aligndiff_cli.cli.main import app

COMMANDS = (prepare, invert, generate, mask, compose, evaluate, export, status)


def options(module: Any) -> dict[str, tuple[tuple[Any, ...], Any]]:
    """A command's parameters: their types, and what typer is told of them."""
    hints = get_type_hints(module.command, include_extras=True)
    hints.pop("return")
    found = {}
    for name, hint in hints.items():
        kind, told = get_args(hint)[:2]
        found[name] = ((kind, *get_args(kind)), told)
    return found


def refused(*arguments: object) -> str:
    """What is said of a wrong usage."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == 2, result.output
    return " ".join(result.output.replace("│", " ").split())


NUMBERS = [
    (module.NAME, name, told)
    for module in COMMANDS
    for name, (kinds, told) in options(module).items()
    if int in kinds or float in kinds
]


@pytest.mark.parametrize(
    ("command", "name", "told"), NUMBERS, ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_number_has_bounds(command: str, name: str, told: Any) -> None:
    assert told.callback is not None or (told.min is not None and told.max is not None)
    flag = f"--{name.replace('_', '-')}" if name != "learning_rate" else "--lr"
    needed = {"prepare": ["fss-1000"], "evaluate": ["--protocol", "fss"], "export": ["--masks", "m"]}
    needed |= {"invert": ["--images", "i"], "generate": ["--bank", "b"], "mask": ["--images", "i"]}
    needed |= {"compose": ["--foregrounds", "f", "--base", "b"]}
    for value in ("-1", "nan", "inf", "1" + 40 * "0", "x"):
        assert flag in refused(command, *needed[command], "--out", "o", flag, value)


def test_every_path_is_known_as_read_or_written() -> None:
    paths = {name for module in COMMANDS for name, (kinds, _) in options(module).items() if Path in kinds}
    written = NOT_READ & paths
    assert written == NOT_READ
    texts = {name for module in COMMANDS for name, (kinds, _) in options(module).items() if str in kinds}
    assert set(MODELS) <= texts


CONFIGS = [
    ("seed: true", "--seed", "got 'true' from"),
    ("seed: 1.5", "--seed", "got '1.5' from"),
    ("steps: 2.5", "--steps", "got '2.5' from"),
    ("steps: [1]", "steps: expected one value, got a list"),
    ("template: [a photo, of a]", "template: expected one value, got a list"),
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
    monkeypatch.setattr("aligndiff_cli.cli.evaluate.run", lambda stage, **kwargs: seen.update(kwargs))
    config = tmp_path / "c.yaml"
    config.write_text("\ufeffprotocol: fss\nshard: 01/2\nquiet: yes\nforce: off\nbeta: 1e-1\n", encoding="utf-8")
    assert CliRunner().invoke(app, ["evaluate", "--out", "o", "--config", str(config)]).exit_code == 0
    assert seen == {"shard": "01/2", "quiet": True, "force": False}


@pytest.mark.parametrize("empty", [["--images", ""], ["--images="], ["--images", "i", ""]])
def test_nothing_for_a_value_is_a_variable_that_is_not_set(empty: list[str]) -> None:
    assert "has no value: perhaps a variable is not set" in refused("invert", *empty, "--out", "o")
