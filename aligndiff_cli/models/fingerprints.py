"""Digests of networks as they lie on the disk: equal files give equal digests, and nothing is loaded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from aligndiff_cli.errors import ModelError
from aligndiff_cli.models.hub import network_folder

SAMPLES, SAMPLE_BYTES = 256, 4096
WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
CONFIGURATIONS = ("config.json", "preprocessor_config.json", "processor_config.json")


def files_fingerprint(files: Iterable[tuple[str, Path]]) -> str:
    """32 hex digits over files and the names they go by: every configuration in full, weights by size and samples.

    Weights are sampled at 256 even places of 4 KiB (small files are thereby read in full), so that a checkpoint of
    several GB costs milliseconds; any training run changes all of them.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name, path in sorted(files, key=lambda file: file[1]):
        digest.update(name.encode() + b"\0")
        _add_file(digest, path)
    return digest.hexdigest()


def network_fingerprint(source: str | Path) -> str:
    """That of a single network: a folder or hub id in transformers' layout, or one file of weights.

    Raises:
        ModelError: it is not to be had.
    """
    if Path(source).is_file():
        return files_fingerprint([("weights", Path(source))])
    folder = network_folder(source)
    if not (folder / "config.json").is_file():
        raise ModelError("config.json cannot be read", source, "Pass a folder in transformers' layout, or a hub id")
    there = sorted(path for path in folder.iterdir() if path.is_file())
    weights = [path for path in there if path.suffix == ".safetensors"] or [p for p in there if p.suffix == ".bin"]
    if not weights:
        raise ModelError("there are no weights in it", source, "Pass a folder in transformers' layout, or a hub id")
    return files_fingerprint((path.name, path) for path in there if path in weights or path.name in CONFIGURATIONS)


def _add_file(digest: Any, path: Path) -> None:
    size = path.stat().st_size
    digest.update(size.to_bytes(8, "big"))
    with path.open("rb") as file:
        if path.suffix not in WEIGHTS or size <= SAMPLES * SAMPLE_BYTES:
            digest.update(file.read())
            return
        for i in range(SAMPLES):
            file.seek(i * (size - SAMPLE_BYTES) // (SAMPLES - 1))
            digest.update(file.read(SAMPLE_BYTES))
