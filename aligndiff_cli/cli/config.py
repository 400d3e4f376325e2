"""``--config FILE.yaml``: the flags' values from a file, read as if they had been typed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer


def load_config(context: typer.Context, path: Path | None) -> Path | None:
    """Take the flags' defaults from a YAML file; flags on the command line win.

    Each value is taken as it stands in the file, not as what YAML makes of it, and goes the way of a typed one: so
    ``seed: true`` is no number, ``fold: 010`` keeps its zero, and a list is no text.
    """
    if path is None or context.resilient_parsing:
        return path
    names = {_key(parameter): name for parameter in context.command.params if (name := parameter.name)}
    known = {key: name for key, name in names.items() if key not in ("config", "help")}
    several = {parameter.name for parameter in context.command.params if getattr(parameter, "multiple", False)}
    values: dict[str, str | list[str]] = {}
    for key, value in _entries(path):
        flag = key.lstrip("-").replace("-", "_")
        if flag not in known:
            listed = ", ".join(sorted(f"--{name.replace('_', '-')}" for name in known))
            raise typer.BadParameter(f"{path}: no such flag: {key}. This command knows {listed}")
        if known[flag] in values:
            raise typer.BadParameter(f"{path}: names {key} twice")
        if isinstance(value, list) and known[flag] not in several:
            raise typer.BadParameter(f"{path}: {key}: expected one value, got a list")
        values[known[flag]] = [value] if isinstance(value, str) and known[flag] in several else value
    context.default_map = {**(context.default_map or {}), **values}
    return path


def _key(parameter: Any) -> str:
    """What a flag is called in a configuration file: its long form, which the parameter's own name may differ from."""
    long = max(parameter.opts, key=len)
    return str(long).lstrip("-").replace("-", "_")


def _entries(path: Path) -> list[tuple[str, str | list[str]]]:
    """The ``flag: value`` lines of a file, both as text; a list where there is one, of a flag given several times."""
    import yaml  # only now: --help should open at once

    try:
        top = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise typer.BadParameter(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(top, yaml.MappingNode):
        raise typer.BadParameter(f"{path}: expected 'flag: value' lines, got {_kind(top)}")
    entries: list[tuple[str, str | list[str]]] = []
    for key, value in top.value:
        if not isinstance(key, yaml.ScalarNode):
            raise typer.BadParameter(f"{path}: expected the name of a flag, got {_kind(key)}")
        if isinstance(value, yaml.SequenceNode) and value.value:
            entries.append((key.value, [_value(path, key.value, one) for one in value.value]))
        else:
            entries.append((key.value, _value(path, key.value, value)))
    return entries


def _value(path: Path, key: str, node: Any) -> str:
    if getattr(node, "id", "") != "scalar":
        raise typer.BadParameter(f"{path}: {key}: expected one value, got {_kind(node)}")
    if not node.value or node.tag == "tag:yaml.org,2002:null":
        raise typer.BadParameter(f"{path}: {key} has no value: give one, or leave out the line")
    return str(node.value)


def _kind(node: Any) -> str:
    return {"mapping": "a mapping", "sequence": "a list", "scalar": "a single value"}.get(
        getattr(node, "id", ""), "nothing"
    )
