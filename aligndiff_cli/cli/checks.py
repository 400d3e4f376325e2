"""What is checked of every subcommand's values, once they are parsed and before anything is read or written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_type_hints

import typer
from typer.core import TyperCommand

from aligndiff_cli.cli.session import errors_reported

WRITTEN = {"out": "--out", "base_model": "--base-model", "grounding": "--grounding"}
"""Parameters that name a folder to be written, and their flags."""
NOT_READ = {*WRITTEN, "label_maps", "config"}
"""Parameters with a path that is no input, or none that --out could spoil."""
MODELS = ("model", "backbone", "sharpen")
"""Parameters that name a model, by a folder or otherwise."""


class CheckedCommand(TyperCommand):
    """A subcommand that refuses, whichever it is, what cannot be meant: nothing for a value, a number that is none,
    and an output among the inputs."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Refuse an empty argument, which is what a variable that is not set leaves."""
        for before, argument in () if ctx.resilient_parsing else zip(["", *args], args, strict=False):
            if not argument or (argument.startswith("--") and argument.endswith("=")):
                flag = argument.rstrip("=") or before
                raise typer.BadParameter("has no value: perhaps a variable is not set", ctx, param_hint=repr(flag))
        try:
            return super().parse_args(ctx, args)
        except typer.BadParameter as error:
            name = getattr(error.param, "name", None)
            if name in (ctx.default_map or {}):
                error.message += f"; got {ctx.default_map[name]!r} from {ctx.params.get('config')}"
            raise

    def invoke(self, ctx: Any) -> Any:
        """Check the values together, then run the command."""
        for name, value in ctx.params.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise typer.BadParameter(f"expected a finite number, got {value}", ctx, param_hint=f"'{_flag(name)}'")
        if "out" in ctx.params:
            self._check_folders(ctx.params)
        return super().invoke(ctx)

    def _check_folders(self, values: dict[str, Any]) -> None:
        hints = get_type_hints(self.callback)
        inputs = {
            _flag(name): Path(value)
            for name, value in values.items()
            if value is not None and name not in NOT_READ
            if Path in _kinds(hints.get(name)) or (name in MODELS and value != "pocket")
        }
        with errors_reported():
            from aligndiff_cli.engine.folds import check_apart

            for name, flag in WRITTEN.items():
                if values.get(name) is not None:
                    check_apart(flag, Path(values[name]), inputs)


def _kinds(hint: Any) -> Sequence[Any]:
    """The types of an annotation such as ``Path | None``."""
    return (hint, *getattr(hint, "__args__", ()))


def _flag(name: str) -> str:
    return f"--{name.strip('_').replace('_', '-')}"
