"""Models from the Hugging Face hub: only the files needed, announced with their size before they are fetched.

HF_HOME, HF_HUB_OFFLINE, HF_TOKEN and HF_ENDPOINT work as everywhere: the hub's own client does the work.
"""

from __future__ import annotations

import json
import logging
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aligndiff_cli.disk.atomic import FULL
from aligndiff_cli.errors import AligndiffError, ModelError, first_line

log = logging.getLogger(__name__)
"""Announcements are logged at INFO; the command line shows them."""

Choose = Callable[[Mapping[str, int], Callable[[str], Any]], Sequence[str]]
"""From a repository's files with their sizes in bytes, and a reader of its JSON files, the names of those needed."""

_NOTHING = "no file is called this"
_SHARD = re.compile(r"-\d{5}-of-\d{5}")
_CONFIG_SUFFIXES = (".json", ".txt", ".model")
_WEIGHTS = ("model", "diffusion_pytorch_model")


def is_repo_id(source: str) -> bool:
    """Whether a name can be a hub id, such as ``"owner/name"``, and not a path."""
    return bool(re.fullmatch(r"[\w\-][\w.\-]*/[\w.\-]+", source))


def network_folder(source: str | Path) -> Path:
    """The folder of a single network, as transformers' ``from_pretrained`` reads it.

    Args:
        source: a folder, returned as it is; or a hub id "owner/name".

    Raises:
        ModelError: not to be had.
    """
    if Path(source).is_dir():
        return Path(source)
    if Path(source).is_file():
        raise ModelError(
            "is a file, and this network is read from a folder", source, "Give one in transformers' layout"
        )
    repo = str(source)
    return fetch(repo, lambda sizes, _: part_files(repo, sizes, ""))


def fetch(repo: str, choose: Choose) -> Path:
    """Fetch what is needed of a repository, unless it is there; its folder in the cache.

    Args:
        repo: ``"owner/name"``.
        choose: which files are needed.

    Raises:
        ModelError: not to be had, with what to do about it.
    """
    import huggingface_hub as hub

    if not is_repo_id(repo):
        raise ModelError("no such model folder", repo, "Pass a folder, or a hub id like owner/name")
    with _explained(repo):
        if hub.constants.HF_HUB_OFFLINE:
            return _cached(repo, choose)
        try:
            info = hub.HfApi().model_info(repo, files_metadata=True)
        except Exception as error:
            if _refused(error):
                raise
            return _cached(repo, choose)
        sizes = {file.rfilename: int(file.size or 0) for file in info.siblings or ()}
        wanted = list(choose(sizes, lambda name: _json(Path(hub.hf_hub_download(repo, name)))))
        missing = [name for name in wanted if not is_cached(repo, name, info.sha)]
        if missing:
            _announce(repo, sum(sizes[name] for name in missing))
        # By the branch's name, not the commit's: only so does the cache know it again without the hub.
        return Path(hub.snapshot_download(repo, allow_patterns=wanted))


def _refused(error: Exception) -> bool:
    """Whether the hub said no; anything else, also that it is too busy, means that it cannot be reached."""
    from huggingface_hub.errors import HfHubHTTPError

    status = getattr(getattr(error, "response", None), "status_code", 0)
    return isinstance(error, HfHubHTTPError) and status != 429 and status < 500


def part_files(repo: str, sizes: Mapping[str, int], folder: str, *, half: bool = False) -> list[str]:
    """Files of one part of a model: its configuration and one variant of its weights, in safetensors.

    Args:
        sizes: the repository's files.
        folder: the part's folder, "" for the root.
        half: prefer the half-precision variant, if there is one.

    Raises:
        ModelError: it has weights, but none in safetensors.
    """
    prefix = f"{folder}/" if folder else ""
    own = [name for name in sizes if name.startswith(prefix) and "/" not in name[len(prefix) :]]
    weights = {name: _variant(name[len(prefix) :]) for name in own if name.endswith(".safetensors")}
    there = {variant for variant in weights.values() if variant is not None}
    if not there and any(name.endswith((".bin", ".pt", ".ckpt", ".h5", ".msgpack")) for name in own):
        raise ModelError(
            f"has no safetensors weights for {folder or 'the model'}", repo, "Choose a repository that has them"
        )
    order = ("fp16", "") if half else ("", "fp16")
    chosen = next((variant for variant in order if variant in there), None)
    return [name for name in own if name.endswith(_CONFIG_SUFFIXES)] + [
        name for name, variant in weights.items() if variant is not None and variant == chosen
    ]


def _variant(name: str) -> str | None:
    """``""`` or ``"fp16"`` for weights under their usual name, None for any others (an EMA copy, an adapter)."""
    for stem in _WEIGHTS:
        rest = name.removesuffix(".safetensors").removeprefix(stem)
        if rest != name.removesuffix(".safetensors"):
            rest = _SHARD.sub("", rest)
            # the two orders in which libraries write variant and shard
            return {"": "", ".fp16": "fp16"}.get(rest)
    return None


def readable(size: float) -> str:
    """``4_300_000_000`` -> ``"4.3 GB"``."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _announce(repo: str, size: int) -> None:
    """Say what will be fetched, if there is room for it (ModelError)."""
    from huggingface_hub import constants

    cache = Path(constants.HF_HUB_CACHE)
    there = next(folder for folder in (cache, *cache.parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    if free < size:
        raise ModelError(
            f"needs {readable(size)}, and {readable(free)} are free at {_short(cache)}",
            repo,
            "Free some space, or set HF_HOME to a folder on a larger disk",
        )
    log.info("Downloading %s (%s) to %s", repo, readable(size), _short(cache))


def _short(path: Path) -> str:
    home = Path.home()
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


def is_cached(repo: str, name: str, revision: str | None) -> bool:
    """Whether a file is there from an earlier download; None for the revision fetched last."""
    from huggingface_hub import try_to_load_from_cache

    return isinstance(try_to_load_from_cache(repo, name, revision=revision), str)


def _cached(repo: str, choose: Choose) -> Path:
    """The folder of an earlier download, if it is whole (ModelError)."""
    import huggingface_hub as hub

    offline = bool(hub.constants.HF_HUB_OFFLINE)
    why = "HF_HUB_OFFLINE is set" if offline else "the hub cannot be reached"
    remedy = "Unset HF_HUB_OFFLINE to download it" if offline else "Check the network"
    remedy += ", or pass the folder of a downloaded model"
    try:
        # No pattern would ask for the whole repository, of which only some files were ever fetched.
        folder = Path(hub.snapshot_download(repo, local_files_only=True, allow_patterns=[_NOTHING]))
    except OSError as error:
        raise ModelError(f"neither a folder nor in the cache, and {why}", repo, remedy) from error
    there = [path for path in folder.rglob("*") if path.is_file()]
    sizes = {path.relative_to(folder).as_posix(): path.stat().st_size for path in there}
    choose(sizes, lambda name: _json(folder / name))  # complains if a part is missing
    return folder


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


@contextmanager
def _explained(repo: str) -> Iterator[None]:
    """Turn the hub client's errors into ours."""
    from huggingface_hub import errors

    page = f"https://huggingface.co/{repo}"
    try:
        yield
    except AligndiffError:
        raise
    except errors.GatedRepoError as error:
        remedy = f"Accept the licence at {page} and set HF_TOKEN to a token of that account"
        raise ModelError("its licence must be accepted first", repo, remedy) from error
    except errors.RepositoryNotFoundError as error:
        remedy = f"Check the name at {page}; for a private one set HF_TOKEN"
        raise ModelError("neither a folder nor a model on the hub", repo, remedy) from error
    except Exception as error:  # the client raises a dozen unrelated kinds when the network fails it
        if isinstance(error, OSError) and error.errno in FULL:
            remedy = "Free some space, or set HF_HOME to a folder on a larger disk"
            raise ModelError("the disk is full", repo, remedy) from error
        raise ModelError(
            f"cannot be downloaded ({first_line(error)})", repo, "Check the network and try again"
        ) from error
