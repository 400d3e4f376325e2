"""The command line that made a folder, from its run file; and the one that comes next."""

from __future__ import annotations

import pkgutil
import shlex
from collections import Counter
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from aligndiff_cli.disk import layout, voc
from aligndiff_cli.engine.options import Option, Options, options_of
from aligndiff_cli.stages import options as declared
from aligndiff_cli.stages.reporting.chains import Chain, StageFolder, Work

POCKET = "pocket"
Name = Callable[[Path], str]


@cache
def known_options() -> dict[str, type[Options]]:
    """The options of each command, by what a run file calls it."""
    found = {}
    for module in pkgutil.iter_modules(declared.__path__, f"{declared.__name__}."):
        for value in vars(import_module(module.name)).values():
            if isinstance(value, type) and issubclass(value, Options) and "command" in vars(value):
                found[value.command] = value
    return found


def command_line(stage: StageFolder, name: Name) -> str | None:
    """The command that makes the folder again.

    Options that are at their default are left out. What a run file does not tell is told from the records: how many
    images, scenes, folds and runs there are.

    Args:
        name: how a path is written, as seen from some folder.

    Returns:
        One line for a shell; None of a folder that a command made inside another's.
    """
    options = known_options().get(stage.run.command)
    if options is None:
        return None
    given = _given(stage, name)
    words = ["aligndiff", *stage.run.command.split()]
    for option in sorted(options_of(options), key=lambda o: not o.flag.positional):
        if option.name in given:
            words += _typed(option, given[option.name])
    words += ["--out", name(stage.path)]
    words += ["--seed", str(stage.run.seed)] if stage.run.seed else []
    return shlex.join(words)


def _given(stage: StageFolder, name: Name) -> dict[str, Any]:
    run = stage.run
    given = {**run.options, **_counted(stage)}
    given |= {option: name(path) for option in run.inputs if (path := stage.source(option))}
    model = run.models.get("diffusion", {}).get("source", POCKET)
    if run.command == "invert" and model != POCKET:
        given["model"] = model  # generate takes the bank's
    backbone = run.models.get("segmenter", {}).get("backbone") or run.models.get("backbone", {}).get("source")
    given["backbone"] = None if backbone == POCKET else backbone
    given["sharpen"] = run.models.get("sam", {}).get("source")
    return given


def _counted(stage: StageFolder) -> dict[str, Any]:
    records = stage.records.values()
    if stage.run.command == "generate" and records:
        per_class = max(Counter(record.cls for record in records).values())
        kinds = Counter(str(record.parameters.get("kind")) for record in records)
        return {"per_class": per_class, "inverted_share": round(kinds["inverted"] / len(records), 4)}
    if stage.run.command == "compose":
        return {"count": len(records)}
    if stage.run.command.startswith("evaluate "):
        folds = dict.fromkeys(str(r.parameters["fold"]) for r in records if r.parameters.get("fold"))
        runs = [r.parameters["run"] for r in records if isinstance(r.parameters.get("run"), int)]
        return {"fold": ",".join(folds), "runs": max(runs, default=0) + 1}
    return {}


def _typed(option: Option, value: Any) -> list[str]:
    """The words that give an option a value; none where that is its default."""
    if option.kind is bool:
        value = value if isinstance(value, bool | None) else value > 1  # gfss records the number of its workers
    if value is None or value == option.default or (option.default is False and value is False):
        return []
    if option.flag.positional:
        return [str(value)]
    if option.kind is bool:
        return [option.long if value else f"--no-{option.long[2:]}"]
    return [option.long, f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)]


def missing(chain: Chain, work: Work, name: Name) -> list[tuple[str, str]]:
    """What a chain lacks, and the command that makes it: the part not run to its end first, then what comes next."""
    evaluated = any(stage.run.command.startswith("evaluate ") for stage in work.folders)
    return [*_partial(chain, name), *_following(chain, evaluated, name)]


def _partial(chain: Chain, name: Name) -> list[tuple[str, str]]:
    """Stages that have fewer items than the one before: interrupted, or that one was asked for more since."""
    found = []
    bank, synth, masks = chain.bank, chain.synth, chain.masks
    if bank and synth and (left := _classes(bank) - _classes(synth)):
        words = f"{name(synth.path)} has no image of {_listed(left)}"
        found.append((words, command_line(synth, name) or ""))
    if synth and masks and (count := len(synth.records.keys() - masks.records.keys())):
        words = f"{name(masks.path)} has no mask for {count} of {len(synth.records)} images"
        found.append((words, command_line(masks, name) or ""))
    return found


def _following(chain: Chain, evaluated: bool, name: Name) -> list[tuple[str, str]]:
    support, base, query = (_named(path, chain, name) for path in (layout.SUPPORT, layout.BASE, layout.QUERY))
    if not (chain.bank or chain.synth or chain.masks):
        out = shlex.quote(name(chain.support.parent / "bank")) if chain.support else "bank"
        return [("no embedding is learnt yet", f"aligndiff invert --images {support} --out {out}")]
    if chain.bank and not (chain.synth or chain.masks):
        own, out = _beside(chain.bank, "synth", name)
        return [("no image is drawn yet", f"aligndiff generate --bank {own} --out {out}")]
    if chain.synth and not chain.masks:
        own, out = _beside(chain.synth, "masks", name)
        line = f"aligndiff mask --images {own} --support {support} --out {out}"
        return [("the coarse masks are not refined yet", line)]
    if not (chain.synth and chain.masks):  # what masks were made from is gone, and that is told
        return []
    found = []
    own, out = _beside(chain.masks, "scenes", name)
    if not chain.scenes:
        line = f"aligndiff compose --foregrounds {own} --support {support} --base {base} --out {out}"
        found.append(("no scene is composed yet", line))
    if not evaluated:
        out = _beside(chain.masks, "results", name)[1]
        scenes = chain.support is not None and (chain.support.parent / layout.QUERY / voc.PICTURES).is_dir()
        protocol = f"gfss --base {base}" if scenes else "fss"
        line = f"aligndiff evaluate {protocol} --support {support} --query {query} --masks {own} --out {out}"
        found.append(("nothing is evaluated yet", line))
    return found


def _named(folder: str, chain: Chain, name: Name) -> str:
    """The support folder of a chain, or the base or query folder beside it, as the shell wants it."""
    path = chain.support if folder == layout.SUPPORT or not chain.support else chain.support.parent / folder
    return shlex.quote(name(path)) if path and path.is_dir() else f"{folder}/"


def _classes(stage: StageFolder) -> set[str]:
    return {record.cls for record in stage.records.values()}


def _beside(stage: StageFolder, sibling: str, name: Name) -> tuple[str, str]:
    """The folder as the shell wants it, and one of this name beside it."""
    return shlex.quote(name(stage.path)), shlex.quote(name(stage.path.parent / sibling))


def _listed(names: set[str]) -> str:
    first = sorted(names)
    return ", ".join(first[:3]) + (f" and {len(first) - 3} more classes" if len(first) > 3 else "")
