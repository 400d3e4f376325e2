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
from aligndiff_cli.errors import FolderError

SCHEMA = 1


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
    """

    command: str
    options: Mapping[str, Any]
    seed: int
    inputs: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    schema: int = SCHEMA


def write_run(folder: Path, run: RunFile) -> None:
    """Write ``run.yaml``, unless the same is there already."""
    text = yaml.safe_dump(asdict(run), sort_keys=True, allow_unicode=True)
    path = folder / layout.RUN
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)


def read_run(folder: Path) -> RunFile | None:
    """The folder's ``run.yaml``, or None where there is none.

    Raises:
        FolderError: it cannot be understood, or a newer version wrote it.
    """
    path = folder / layout.RUN
    if not path.exists():
        return None
    remedy = "Remove it and run the stage with --force"
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, OSError, UnicodeDecodeError) as error:
        raise FolderError(f"is not a run file ({error})", path, remedy) from error
    if isinstance(data, dict) and data.get("schema") != SCHEMA:
        raise FolderError(
            f"expected schema {SCHEMA}, got {data.get('schema')}", path, "Another version of aligndiff made it"
        )
    try:
        run = RunFile(**data)
    except TypeError as error:
        raise FolderError(f"is not a run file ({error})", path, remedy) from error
    if not all(isinstance(part, dict) for part in (run.options, run.inputs, run.models, *run.models.values())):
        raise FolderError("is not a run file (expected options, inputs and models by name)", path, remedy)
    return run


def require_run(folder: Path, command: str, option: str) -> RunFile:
    """The run file of a folder that the stage ``command`` must have made.

    Raises:
        FolderError: there is none, or another stage made the folder.
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
    return run


def relative_to_folder(path: Path, folder: Path) -> str:
    """``path`` as seen from ``folder``, so that a tree of stage folders can be moved as a whole."""
    return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()


def input_folder(folder: Path, run: RunFile, name: str) -> Path:
    """The input folder that a run file refers to by ``name``.

    Raises:
        FolderError: it is not there any more.
    """
    path = (folder / run.inputs[name]).resolve()
    if not path.is_dir():
        raise FolderError(f"was made from {path}, which is not there any more", folder, "Move it back")
    return path
