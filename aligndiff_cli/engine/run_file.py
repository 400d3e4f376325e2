"""``run.yaml``: how a stage folder was made, in the words of the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.atomic import write_text
from aligndiff_cli.disk.regular import regular
from aligndiff_cli.engine.schema import RUN, RUN_OF, check_fields, check_known
from aligndiff_cli.errors import FolderError, InputError

SCHEMA = 1
REMEDY = "Put it back as it was, from a copy, or make the folder again under another name"


@dataclass(frozen=True)
class RunFile:
    """What made a folder.

    Attributes:
        command: stage name, e.g. ``"invert"``.
        options: every option that decides the bytes of an item.
        seed: run seed.
        inputs: name -> path of an input folder, relative to this one where both share a root.
        models: name -> ``{"source": ..., "fingerprint": ...}``.
        versions: package -> version.
        told: what else the run went by and is told, but not compared with a later run's: what of it decides an item's
            bytes is among the item's inputs.
    """

    command: str
    options: Mapping[str, Any]
    seed: int
    inputs: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)
    schema: int = SCHEMA


def write_run(folder: Path, run: RunFile) -> None:
    """Write ``run.yaml``, unless the same is there already."""
    text = yaml.safe_dump(asdict(run), sort_keys=True, allow_unicode=True)
    path = folder / layout.RUN
    if not path.exists() or _text(path) != text:
        write_text(path, text)


def read_run(folder: Path) -> RunFile | None:
    """The folder's ``run.yaml``, or None where there is none.

    Raises:
        FolderError: it cannot be understood, or a newer version wrote it; the message names the field.
    """
    path = folder / layout.RUN
    if not path.exists():
        return None
    try:
        data = yaml.safe_load(_text(path))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise FolderError(f"is not a run file ({error})", path, REMEDY) from error
    if isinstance(data, dict) and data.get("schema") != SCHEMA:
        raise FolderError(
            f"expected schema {SCHEMA}, got {data.get('schema')}", path, "Another version of aligndiff made it"
        )
    if isinstance(data, dict):
        data = {"told": {}, **data}
    try:
        check_fields(data, RUN)
        check_known(data, RUN)
    except ValueError as error:
        raise FolderError(f"is not a run file ({error})", path, REMEDY) from error
    return RunFile(**data)


def _text(path: Path) -> str:
    try:
        return regular(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, InputError) as error:
        reason = error.what if isinstance(error, InputError) else error
        raise FolderError(f"is not a run file ({reason})", path, REMEDY) from error


def own_run(folder: Path, command: str, option: str = "--out") -> RunFile | None:
    """The run file of a folder that ``command`` is to write to; None where there is no folder, or nothing in it.

    So nothing is ever written into a folder that something else made: neither another command nor somebody's own hand.

    Args:
        option: the flag that names the folder, for the message.

    Raises:
        FolderError: the folder holds something, and ``command`` did not make it, or nobody knows who did.
    """
    elsewhere = f"Choose another folder with {option}"
    # looked at before the run file is read: it is what a run writes first, and another may begin at this moment
    found = _visible(folder, elsewhere)
    records = layout.with_workers(folder, layout.MANIFEST)
    run = read_run(folder)
    if run is None:
        if records:
            what = f"holds records but no {layout.RUN}, so nobody can say how they were made"
            raise FolderError(what, folder, f"Put {layout.RUN} back, from a copy. {elsewhere}, if there is none")
        if found:
            what = f"holds {found[0]!r} and no {layout.RUN}, so no stage made it, and nothing is written there"
            raise FolderError(what, folder, f"{elsewhere}, or empty this one")
    elif run.command != command:
        what = f"was made by another command, {run.command}, so {command} writes nothing there"
        raise FolderError(what, folder, elsewhere)
    return run


def _visible(folder: Path, remedy: str) -> list[str]:
    """Names in a folder, hidden ones left out."""
    try:
        return sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise FolderError(f"cannot be read as a folder ({error.strerror})", folder, remedy) from error


def require_run(folder: Path, command: str, option: str) -> RunFile:
    """The run file of a folder that the stage ``command`` must have made.

    Raises:
        FolderError: there is none, another stage made the folder, or a field is missing that other stages need.
    """
    if not folder.is_dir():
        raise FolderError("there is no such folder", folder, f"Make it with: aligndiff {command} --out {folder}")
    run = read_run(folder)
    if run is None:
        raise FolderError(
            f"holds no {layout.RUN}, so it is not the output of `aligndiff {command}`",
            folder,
            f"Pass the folder given to `aligndiff {command} --out` as {option}",
        )
    if run.command != command:
        raise FolderError(
            f"expected the output of `aligndiff {command}`, got that of `aligndiff {run.command}`",
            folder,
            f"Pass the folder given to `aligndiff {command} --out` as {option}",
        )
    try:
        check_fields(asdict(run), RUN_OF.get(command, {}))
    except ValueError as error:
        raise FolderError(f"is not what `aligndiff {command}` writes ({error})", folder / layout.RUN, REMEDY) from error
    return run


def relative_to_folder(path: Path, folder: Path) -> str:
    """``path`` as seen from ``folder``, so that a tree of stage folders can be moved as a whole."""
    return Path(os.path.relpath(os.path.realpath(path), os.path.realpath(folder))).as_posix()


def input_folder(folder: Path, run: RunFile, name: str) -> Path:
    """The input folder that a run file refers to by ``name``.

    Raises:
        FolderError: it is not there any more.
    """
    path = Path(os.path.realpath(folder / run.inputs[name]))
    if not path.is_dir():
        raise FolderError(f"was made from {path}, which is not there any more", folder, "Move it back")
    return path
