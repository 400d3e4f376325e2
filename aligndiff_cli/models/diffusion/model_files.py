"""Model files that people have and that are not read: named before a library is asked, with how they are converted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from aligndiff_cli.errors import ModelError

FILES = frozenset({".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf"})
WEIGHTS = (".safetensors", ".bin", ".pt", ".ckpt")
LFS = b"version https://git-lfs"
ADAPTERS = ("lora_", ".lora_", "lora.down", "lora_A")
BY_KEY = {
    "conditioner.embedders.1.": "StableDiffusionXLPipeline",
    "model.diffusion_model.joint_blocks.": "StableDiffusion3Pipeline",
    "double_blocks.": "FluxPipeline",
    "cond_stage_model.": "StableDiffusionPipeline",
}
"""How the checkpoints in one file name their parts, and the pipeline each is of; the first that is found counts."""


def refuse_file(path: Path) -> None:
    """Refuse a model in one file, with the two lines that make a folder of it.

    Raises:
        ModelError: it is a file, or a name that only a file can have.
    """
    if not path.is_file():
        if path.suffix.lower() in FILES and not path.is_dir():
            raise ModelError("there is no such file", path, "Pass a folder, or a hub id like owner/name")
        return
    _refuse_pointer(path)
    kind = _kind(path)
    if kind is None:
        raise ModelError(
            "is a file, and none of a whole text-to-image model",
            path,
            "Pass the folder or hub id of the model itself; adapters such as LoRA are merged into one with diffusers",
        )
    folder = path.with_suffix("")
    raise ModelError(
        "is a model in one file, and models are read from a folder in diffusers' layout",
        path,
        f"Convert it once in Python: from diffusers import {kind}; "
        f'{kind}.from_single_file("{path}").save_pretrained("{folder}"); then pass --model {folder}',
    )


def _kind(path: Path) -> str | None:
    """The pipeline class that a checkpoint is of, told by its names; None if it is no whole model."""
    if path.suffix.lower() != ".safetensors":
        return "StableDiffusionPipeline"  # what nearly all of these are; only unpickling them would tell
    try:
        with safe_open(path, framework="pt") as file:
            keys = list(file.keys())
    except (SafetensorError, OSError) as error:
        raise ModelError(f"cannot be read as safetensors ({error})", path, "Download or copy it again") from error
    if any(mark in key for key in keys for mark in ADAPTERS):
        return None
    return next((kind for mark, kind in BY_KEY.items() if any(mark in key for key in keys)), None)


def read_config(folder: Path, part: str) -> dict[str, Any]:
    """The configuration of one part of a model."""
    config = json.loads((folder / part / "config.json").read_text(encoding="utf-8"))
    assert isinstance(config, dict)
    return config


def check_weights(folder: Path, parts: Sequence[str]) -> None:
    """Refuse a model folder some part of which has no weights in safetensors, before a library is asked to load it.

    Raises:
        ModelError: the part is named, with the line that converts the model.
    """
    for part in parts:
        files = [path for path in sorted((folder / part).glob("*")) if path.is_file()]
        if not any(path.name == "config.json" for path in files):
            continue  # a tokenizer or a scheduler
        weights = [path for path in files if path.suffix in WEIGHTS]
        for path in weights:
            _refuse_pointer(path)
        if any(path.suffix == ".safetensors" for path in weights):
            continue
        if not weights:
            raise ModelError(f"{part} has no weights", folder / part, "Download or copy the model again, as a whole")
        target = folder.with_name(f"{folder.name}-safetensors")
        raise ModelError(
            f"{part} has its weights in {weights[0].name} only, and only safetensors are read",
            folder,
            "Convert it once in Python: from diffusers import DiffusionPipeline; "
            f'DiffusionPipeline.from_pretrained("{folder}").save_pretrained("{target}"); '
            f"then pass --model {target}",
        )


def _refuse_pointer(path: Path) -> None:
    """Refuse what Git LFS leaves where a repository was cloned without it."""
    try:
        with path.open("rb") as file:
            pointer = file.read(len(LFS)) == LFS
    except OSError as error:
        raise ModelError(f"cannot be read ({error.strerror})", path, "Download or copy the model again") from error
    if pointer:
        raise ModelError("is a pointer of Git LFS and not the file itself", path, "Fetch the files with: git lfs pull")
