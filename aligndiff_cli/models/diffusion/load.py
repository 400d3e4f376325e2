"""Folder or hub id -> model, with a plain word about what is wrong when it cannot be loaded."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

from safetensors import SafetensorError

from aligndiff_cli.errors import ModelError, UsageError, first_line
from aligndiff_cli.models.device import pick_device, surely_cpu
from aligndiff_cli.models.diffusion.defaults import DEFAULTS_FILE, read_defaults
from aligndiff_cli.models.diffusion.description import INDEX, Description
from aligndiff_cli.models.diffusion.families import BY_PIPELINE, Family, Precision
from aligndiff_cli.models.diffusion.model_files import check_weights, refuse_file
from aligndiff_cli.models.fingerprints import files_fingerprint
from aligndiff_cli.models.hub import fetch, is_cached, part_files

if TYPE_CHECKING:
    import torch

    from aligndiff_cli.models.diffusion.model import DiffusionModel

_LIBRARIES = {"diffusers": "torch_dtype", "transformers": "dtype"}
"""Where networks are from, and what each calls the precision."""
_NEEDLESS = ("position_ids",)
"""Ends of names that old files have and new ones do not."""
_UNREADABLE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    ImportError,
    RuntimeError,
    SafetensorError,  # transformers lets it pass, diffusers does not
)
"""What the libraries raise over a folder with damaged or missing files."""


def load_diffusion(
    source: str | Path,
    *,
    device: str = "auto",
    dtype: torch.dtype | Precision | None = None,
    offload: bool = False,
    vae_tiling: bool | None = None,
    compiled: bool = False,
) -> DiffusionModel:
    """Load a diffusers text-to-image pipeline from a folder or a hub id.

    Args:
        source: a folder with ``model_index.json``, or an id like ``"owner/name"``.
        device: ``"auto"`` (CUDA, then MPS, then CPU) or a torch device.
        dtype: of torch, or its name; None for the family's half precision on CUDA and float32 elsewhere.
        offload: keep on the device only the network at work.
        vae_tiling: whether the VAE works in tiles; None for large images only.
        compiled: whether torch.compile makes the denoiser faster (after a slow first step).

    Raises:
        ModelError: no such folder, not to be had, or not a text-to-image pipeline of a known family.
        UsageError: no such device.
    """
    import torch

    about = describe_diffusion(source, device=device, dtype=dtype, vae_tiling=vae_tiling)
    try:
        pipeline = _pipeline(about.folder, getattr(torch, about.precision), about.family)
    except _UNREADABLE as error:
        raise _damaged(about.folder, error) from error
    model = about.family.model_class(
        pipeline,
        source=about.source,
        fingerprint=about.fingerprint,
        defaults=about.defaults,
        device=pick_device(device),
        offload=offload,
        vae_tiling=vae_tiling,
    )
    _check_tokenizers(model, about.folder)
    if compiled:
        from aligndiff_cli.models.diffusion.compiling import compile_denoiser

        compile_denoiser(model.denoiser)
    return model


def describe_diffusion(
    source: str | Path,
    *,
    device: str = "auto",
    dtype: torch.dtype | Precision | None = None,
    vae_tiling: bool | None = None,
) -> Description:
    """What there is to know of a pipeline without loading it; arguments and errors as of `load_diffusion`."""
    on_cuda = not surely_cpu(device) and pick_device(device).type == "cuda"
    asked = None if dtype is None else _name(dtype)
    refuse_file(Path(source))
    folder = Path(source) if Path(source).is_dir() else _download(str(source), half=on_cuda and asked != "float32")
    family = _family(folder)
    parts = family.parts + family.optional_parts
    check_weights(folder, parts)
    try:
        defaults = read_defaults(folder, family.suggested(folder))
    except _UNREADABLE as error:
        raise _damaged(folder, error) from error
    precision = asked or (family.half if on_cuda else "float32")
    digits = fingerprint(folder, parts)
    return Description(str(source), folder, family, digits, defaults, precision, vae_tiling)


def _name(dtype: torch.dtype | Precision) -> Precision:
    """A precision by name, such as "float16" (UsageError if it is none of ours)."""
    name = str(dtype).removeprefix("torch.")
    if name not in get_args(Precision):
        raise UsageError(f"models do not run in {name}", remedy=f"Known: {', '.join(get_args(Precision))}")
    return cast(Precision, name)


def _damaged(folder: Path, error: Exception) -> ModelError:
    return ModelError(f"cannot be loaded ({first_line(error)})", folder, "Download or copy the model again")


def _check_tokenizers(model: DiffusionModel, folder: Path) -> None:
    """Refuse a tokenizer without its vocabulary, which transformers takes for one of no words (ModelError)."""
    for encoder in model.encoders:
        known, expected = len(encoder.tokenizer), int(encoder.network.config.vocab_size)
        if 2 * known < expected:  # some are a few tokens short of their network
            raise ModelError(
                f"the tokenizer of {encoder.name} knows {known} tokens, its text encoder {expected}",
                folder,
                "Download or copy the model again",
            )


def fingerprint(folder: Path, parts: Sequence[str]) -> str:
    """A digest of the model: its index, and the configurations and weights of these parts.

    Weights of another variant than the one that is loaded do not count: they may come and go with downloads.
    """
    files = [folder / INDEX, *_loaded_files(folder, parts)]
    return files_fingerprint((path.relative_to(folder).as_posix(), path) for path in files)


def _loaded_files(folder: Path, parts: Sequence[str]) -> list[Path]:
    """Configurations and weights of these parts, the weights in the variant that ``_pipeline`` loads."""
    half = _only_half(folder, parts)
    there = {f"{part}/{path.name}": 0 for part in parts for path in (folder / part).glob("*") if path.is_file()}
    return [folder / name for part in parts for name in part_files(str(folder), there, part, half=half)]


def _family(folder: Path) -> Family:
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise _no_pipeline(folder) from error
    family = _named_family(index, folder)
    missing = [part for part in family.parts if not (folder / part).is_dir()]
    if missing:
        raise ModelError(f"the model has no {', '.join(missing)} folder", folder, "Download or copy it again")
    return family


def _named_family(index: Any, where: str | Path) -> Family:
    """The family a model_index.json names (ModelError if it is none of ours)."""
    if not isinstance(index, dict) or not isinstance(index.get("_class_name"), str):
        raise _no_pipeline(where)
    name = index["_class_name"]
    if name not in BY_PIPELINE:
        raise ModelError(f"{name} is not supported", where, f"Supported: {', '.join(BY_PIPELINE)}")
    return BY_PIPELINE[name]


def _no_pipeline(where: str | Path) -> ModelError:
    remedy = "Pass a folder or hub id of a diffusers text-to-image pipeline"
    return ModelError(f"not a diffusers pipeline: no readable {INDEX}", where, remedy)


def _pipeline(folder: Path, dtype: torch.dtype, family: Family) -> Any:
    absent = {part: None for part in family.optional_parts if not (folder / part).is_dir()}
    with _quiet():
        from diffusers import DiffusionPipeline

        return DiffusionPipeline.from_pretrained(
            folder,
            local_files_only=True,
            # Images go to a training set, unseen by a classifier that blacks some of them out.
            safety_checker=None,
            feature_extractor=None,
            image_encoder=None,
            requires_safety_checker=False,
            **absent,
            **_networks(folder, family.parts + family.optional_parts, dtype),
        )


def _networks(folder: Path, parts: Sequence[str], dtype: torch.dtype) -> dict[str, Any]:
    """The networks of a pipeline by the names of their parts.

    They are loaded one by one, since a pipeline that is loaded as a whole does not tell of weights that its files lack:
    the libraries make them up.

    Raises:
        ModelError: a file lacks weights.
    """
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    half = _only_half(folder, parts)
    found = {}
    for part in parts:
        library, name = index.get(part) or ("", "")
        if library not in _LIBRARIES or not (folder / part / "config.json").is_file():
            continue  # a tokenizer, a scheduler, or what the pipeline itself will say is unknown
        settings: dict[str, Any] = {_LIBRARIES[library]: dtype}
        if library == "diffusers":
            settings["low_cpu_mem_usage"] = find_spec("accelerate") is not None
        if half and list((folder / part).glob("*.fp16*.safetensors")):
            settings["variant"] = "fp16"
        network, about = getattr(import_module(library), name).from_pretrained(
            folder / part, use_safetensors=True, local_files_only=True, output_loading_info=True, **settings
        )
        missing = sorted(key for key in about["missing_keys"] if not key.endswith(_NEEDLESS))
        if missing:
            what = f"lacks {len(missing)} of its weights, such as {missing[0]}"
            raise ModelError(what, folder / part, "Download or copy the model again; an adapter is no model")
        # Without accelerate diffusers leaves some networks in the precision of their file.
        found[part] = network.to(dtype) if library == "diffusers" and network.dtype != dtype else network
    return found


def _only_half(folder: Path, parts: Sequence[str]) -> bool:
    """Whether some part has weights in half precision only."""
    for part in parts:
        names = [path.name for path in (folder / part).glob("*.safetensors")]
        if names and all(".fp16" in name for name in names):
            return True
    return False


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


def _download(source: str, *, half: bool) -> Path:
    def needed(sizes: Mapping[str, int], read: Callable[[str], Any]) -> list[str]:
        if INDEX not in sizes:
            raise _no_pipeline(source)
        index = read(INDEX)
        family = _named_family(index, source)
        parts = [part for part in family.parts + family.optional_parts if index.get(part, [None])[0]]
        variants = [
            [INDEX, *(name for part in parts for name in part_files(source, sizes, part, half=own))]
            for own in (half, not half)
        ]
        # One that is there already will do: a second one would cost a download, and make another model of the folder.
        whole = (names for names in variants if all(is_cached(source, name, None) for name in names))
        return next(whole, variants[0]) + [name for name in (DEFAULTS_FILE,) if name in sizes]

    return fetch(source, needed)
