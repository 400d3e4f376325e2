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
    values: dict[str, str] = {}
    for key, value in _entries(path):
        flag = key.lstrip("-").replace("-", "_")
        if flag not in known:
            listed = ", ".join(sorted(f"--{name.replace('_', '-')}" for name in known))
            raise typer.BadParameter(f"{path}: no such flag: {key}. This command knows {listed}")
        if known[flag] in values:
            raise typer.BadParameter(f"{path}: names {key} twice")
        values[known[flag]] = value
    context.default_map = {**(context.default_map or {}), **values}
    return path


def _key(parameter: Any) -> str:
    """What a flag is called in a configuration file: its long form, which the parameter's own name may differ from."""
    long = max(parameter.opts, key=len)
    return str(long).lstrip("-").replace("-", "_")


def _entries(path: Path) -> list[tuple[str, str]]:
    """The ``flag: value`` lines of a file, both as text."""
    import yaml  # only now: --help should open at once

    try:
        top = yaml.compose(path.read_text(encoding="utf-8-sig"), Loader=yaml.SafeLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise typer.BadParameter(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(top, yaml.MappingNode):
        raise typer.BadParameter(f"{path}: expected 'flag: value' lines, got {_kind(top)}")
    entries = []
    for key, value in top.value:
        if not isinstance(key, yaml.ScalarNode):
            raise typer.BadParameter(f"{path}: expected the name of a flag, got {_kind(key)}")
        if not isinstance(value, yaml.ScalarNode):
            raise typer.BadParameter(f"{path}: {key.value}: expected one value, got {_kind(value)}")
        if not value.value or value.tag == "tag:yaml.org,2002:null":
            raise typer.BadParameter(f"{path}: {key.value} has no value: give one, or leave out the line")
        entries.append((key.value, value.value))
    return entries


def _kind(node: Any) -> str:
    return {"mapping": "a mapping", "sequence": "a list", "scalar": "a single value"}.get(
        getattr(node, "id", ""), "nothing"
    )
