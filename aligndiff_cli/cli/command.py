"""A subcommand made from its options: what `aligndiff_cli.engine.options` declares, as Typer parses and shows it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from types import GenericAlias
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from aligndiff_cli.cli.config import load_config
from aligndiff_cli.cli.session import errors_reported, run
from aligndiff_cli.engine.options import MOST, Option, Options, options_of, refuse_foreign, required
from aligndiff_cli.stages import make_stage
from aligndiff_cli.stages.options.shared import RUN

Parameters = Mapping[str, tuple[Any, Any]]
"""Name -> annotation and default of a command's parameter."""

SHARD = Annotated[
    str | None,
    typer.Option(
        metavar="I/N",
        help="Do one of N shares of the work (I from 1): the others run beside it or at another time, on one file "
        "system, e.g. --shard $SLURM_ARRAY_TASK_ID/4 in a job array 1-4. The last to end makes tables and pictures. "
        "Not needed under torchrun or accelerate launch.",
        show_default="all of it",
        rich_help_panel=RUN,
    ),
]
CONFIG = Annotated[
    Path | None,
    typer.Option(
        callback=load_config,
        is_eager=True,
        help="YAML file with the same names as the flags; flags win.",
        rich_help_panel=RUN,
    ),
]
FORCE = Annotated[bool, typer.Option("--force", help="Make everything again, whatever is there.", rich_help_panel=RUN)]
VERIFY = Annotated[
    bool,
    typer.Option(
        "--verify",
        help="Read every file again, also where its size and times say that it is as it was.",
        rich_help_panel=RUN,
    ),
]
QUIET = Annotated[
    bool, typer.Option("--quiet", "-q", help="No progress and no table; errors only.", rich_help_panel=RUN)
]
RUNNING: Parameters = {"config": (CONFIG, None), "force": (FORCE, False), "quiet": (QUIET, False)}
"""How a command is run, whatever it makes."""
WIDEST = 32
"""Characters of choices that --help shows in a column of their own; more of them stand in the help itself."""


class CheckedCommand(TyperCommand):
    """A subcommand that tells nothing-for-a-value apart, and a bad value's configuration file."""

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


def add_stage(app: typer.Typer, name: str, options: type[Options], about: str) -> None:
    """Add a stage as a subcommand: its options are flags, and it is run, whole or a share of it.

    Args:
        about: what --help says.
    """

    def work(asked: Options, *, shard: str | None, verify: bool, force: bool, quiet: bool) -> None:
        run(lambda: make_stage(asked), shard=shard, verify=verify, force=force, quiet=quiet)

    add_command(app, name, options, about, work, {"shard": (SHARD, None), "verify": (VERIFY, False), **RUNNING})


def add_command(
    app: typer.Typer,
    name: str,
    options: type[Options],
    about: str,
    work: Callable[..., None],
    parameters: Parameters = RUNNING,
) -> None:
    """Add a subcommand.

    Args:
        work: given the options, and the values of ``parameters`` by name.
        parameters: the command's own, besides the options; ``config`` is dealt with here.
    """

    def command(context: typer.Context, **values: Any) -> None:
        with errors_reported():
            asked = given_options(options, context, values)
        work(asked, **{key: values[key] for key in parameters if key != "config"})

    own = {option.name: (annotation(option), default(option)) for option in options_of(options)}
    every: Parameters = {"context": (typer.Context, inspect.Parameter.empty), **own, **parameters}
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=value)
            for key, (kind, value) in every.items()
        ]
    )
    command.__annotations__ = {key: kind for key, (kind, _) in every.items()}
    paragraphs = [" ".join(paragraph.split()) for paragraph in about.split("\n\n")]
    app.command(name=name, cls=CheckedCommand, help="\n\n".join(paragraphs))(command)


def given_options(options: type[Options], context: typer.Context, values: Mapping[str, Any]) -> Options:
    """The options that a command line asks for.

    Raises:
        UsageError: a value that cannot be meant, or a flag that belongs to something else than what is asked for, also
            where its value is the default one. What the environment says and has no meaning here is passed over.
    """
    names = {option.name for option in options_of(options)}
    sources = {name: getattr(context.get_parameter_source(name), "name", "") for name in names}
    typed = {name for name in names if sources[name] in ("COMMANDLINE", "DEFAULT_MAP")}
    asked = options(**{name: values[name] for name in names if sources[name] != "ENVIRONMENT"})
    refuse_foreign(asked, typed)
    meant = {option.name for option in asked.meant()}
    return options(**{name: values[name] for name in names if sources[name] != "ENVIRONMENT" or name in meant})


def default(option: Option) -> Any:
    """A parameter's default as Typer wants it."""
    if required(option):
        return inspect.Parameter.empty
    return list(option.default) if option.several else option.default


def annotation(option: Option) -> Any:
    """A parameter's type as Typer wants it, with all that --help shows."""
    flag = option.flag

    def check(value: Any) -> Any:
        if value is not None and (problem := option.problem(value)):
            raise typer.BadParameter(problem)
        return value

    told: dict[str, Any] = {"help": flag.help, "rich_help_panel": flag.panel, "callback": check}
    told["metavar"] = _values(option)
    one: Any = GenericAlias(list, (option.kind,)) if option.several else option.kind
    kind = one | None if option.optional else one
    if flag.positional:
        return Annotated[kind, typer.Argument(**{**told, "metavar": told["metavar"] or option.name.upper()})]
    either = option.kind is bool and option.default is not False
    long = f"{option.long}/--no-{option.long[2:]}" if either else option.long
    short = [flag.short] if flag.short else []
    return Annotated[kind, typer.Option(long, *short, envvar=flag.env, show_default=flag.unset or True, **told)]


def _values(option: Option) -> str | None:
    """What --help shows for a value; None for its type."""
    flag, choices = option.flag, "|".join(option.choices)
    if choices:
        return choices if len(choices) <= WIDEST else None
    bounded = flag.least is not None and flag.most < MOST
    return f"{flag.least:g}..{flag.most:g}" if bounded and option.kind in (int, float) else None
