"""Folder or hub id -> model, with a plain word about what is wrong when it cannot be loaded."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch

from aligndiff_cli.errors import ModelError
from aligndiff_cli.models.device import pick_device
from aligndiff_cli.models.diffusion.defaults import read_defaults
from aligndiff_cli.models.diffusion.model import DiffusionModel
from aligndiff_cli.models.diffusion.stable import StableDiffusion, StableDiffusionXL

_FAMILIES: dict[str, type[StableDiffusion]] = {
    "StableDiffusionPipeline": StableDiffusion,
    "StableDiffusionXLPipeline": StableDiffusionXL,
}
_SAMPLES, _SAMPLE_BYTES = 256, 4096


def load_diffusion(source: str | Path, *, device: str = "auto", dtype: torch.dtype | None = None) -> DiffusionModel:
    """Load a diffusers text-to-image pipeline from a folder or a hub id.

    Args:
        source: a folder with ``model_index.json``, or an id like ``"owner/name"``.
        device: ``"auto"`` (CUDA, then MPS, then CPU) or a torch device.
        dtype: None for float16 on CUDA and float32 elsewhere.

    Raises:
        ModelError: no such folder, not to be had, or not a text-to-image pipeline of a known family.
        UsageError: no such device.
    """
    folder = Path(source) if Path(source).is_dir() else _download(str(source))
    family = _family(folder)
    target = pick_device(device)
    precision = dtype or (torch.float16 if target.type == "cuda" else torch.float32)
    defaults = read_defaults(folder)
    try:
        pipeline = _pipeline(folder, precision, target)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ModelError(f"cannot be loaded ({reason[0]})", folder, "Download or copy the model again") from error
    return family(pipeline, source=str(source), fingerprint=fingerprint(folder, family.parts), defaults=defaults)


def fingerprint(folder: Path, parts: Sequence[str]) -> str:
    """A digest of the model: every configuration file in full, each weights file by size and samples.

    Weights are sampled at 256 even places of 4 KiB (small files are thereby read in full), so that a
    checkpoint of several GB costs milliseconds; any training run changes all of them.
    """
    digest = hashlib.blake2b(digest_size=16)
    files = [path for part in parts for path in (folder / part).rglob("*")]
    for path in sorted([folder / "model_index.json", *files]):
        if path.is_file() and path.suffix in (".safetensors", ".json", ".txt", ".model"):
            digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
            _add_file(digest, path)
    return digest.hexdigest()


def _add_file(digest: Any, path: Path) -> None:
    size = path.stat().st_size
    digest.update(size.to_bytes(8, "big"))
    with path.open("rb") as file:
        if path.suffix != ".safetensors" or size <= _SAMPLES * _SAMPLE_BYTES:
            digest.update(file.read())
            return
        for i in range(_SAMPLES):
            file.seek(i * (size - _SAMPLE_BYTES) // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE_BYTES))


def _family(folder: Path) -> type[StableDiffusion]:
    index = folder / "model_index.json"
    remedy = "Pass a folder or hub id of a diffusers text-to-image pipeline"
    try:
        name = json.loads(index.read_text(encoding="utf-8"))["_class_name"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError("not a diffusers pipeline: no readable model_index.json", folder, remedy) from error
    if name not in _FAMILIES:
        raise ModelError(f"{name} is not supported", folder, f"Supported: {', '.join(_FAMILIES)}")
    missing = [part for part in _FAMILIES[name].parts if not (folder / part).is_dir()]
    if missing:
        raise ModelError(f"the model has no {', '.join(missing)} folder", folder, "Download or copy it again")
    return _FAMILIES[name]


def _pipeline(folder: Path, dtype: torch.dtype, device: torch.device) -> Any:
    halves = list((folder / "unet").glob("*.fp16.safetensors"))
    only_half = bool(halves) and len(halves) == len(list((folder / "unet").glob("*.safetensors")))
    with _quiet():
        from diffusers import DiffusionPipeline

        pipeline = DiffusionPipeline.from_pretrained(
            folder,
            torch_dtype=dtype,
            use_safetensors=True,
            variant="fp16" if only_half else None,
            local_files_only=True,
            low_cpu_mem_usage=find_spec("accelerate") is not None,
            # Images go to a training set, unseen by a classifier that blacks some of them out.
            safety_checker=None,
            feature_extractor=None,
            image_encoder=None,
            requires_safety_checker=False,
        )
        return pipeline.to(device)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries' notices and progress bars off the terminal while a model loads."""
    from diffusers.utils import logging as diffusers_logging
    from transformers.utils import logging as transformers_logging

    levels = [(log, log.get_verbosity()) for log in (diffusers_logging, transformers_logging)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        for log, _ in levels:
            log.set_verbosity_error()
            log.disable_progress_bar()
        try:
            yield
        finally:
            for log, level in levels:
                log.set_verbosity(level)
                log.enable_progress_bar()


def _download(source: str) -> Path:
    if source.count("/") != 1 or source.startswith((".", "/", "~")) or "\\" in source:
        raise ModelError("no such model folder", source, "Pass a folder, or a hub id like owner/name")
    from diffusers import DiffusionPipeline

    try:
        return Path(DiffusionPipeline.download(source, use_safetensors=True))
    except Exception as error:  # the hub client raises a dozen unrelated kinds when it cannot connect
        raise ModelError(
            f"neither a folder nor to be had from the hub ({type(error).__name__})",
            source,
            "Check the name, the network and HF_HUB_OFFLINE, or pass the folder of a downloaded model",
        ) from error
