"""Folder or hub id -> folder. Every download is announced with its size before it starts."""

from __future__ import annotations

import errno
import re
import shutil
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, RepositoryNotFoundError

from aligndiff_cli.errors import ModelError

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w][\w.-]*")


def fetch(source: str, *, allow: Sequence[str]) -> Path:
    """The folder of a model, downloaded to the hub's cache if it is not there yet.

    What is cached is used without a word, and without a network too. HF_HOME (where the cache is), HF_HUB_OFFLINE and
    HF_TOKEN mean what they mean to huggingface_hub.

    Args:
        source: a folder, returned as it is; or a hub id "owner/name".
        allow: shell patterns of the files that are needed, e.g. "*.json" (which matches in subfolders too).

    Raises:
        ModelError: neither a folder nor an id; gated, private, unknown, out of reach or offline; no room on the disk.
    """
    if source and Path(source).is_dir():
        return Path(source)
    if not HUB_ID.fullmatch(source):
        raise ModelError("no such model folder", source, "Pass a folder, or a hub id like owner/name")
    try:
        _announce(source, allow)
        return Path(huggingface_hub.snapshot_download(source, allow_patterns=list(allow)))
    except ModelError:
        raise
    # the hub's client raises a dozen unrelated kinds, and its HTTP library's own besides
    except Exception as error:
        return _cached(source, allow, error)


def _announce(source: str, allow: Sequence[str]) -> None:
    """Say what is about to be downloaded, if anything is.

    Raises:
        ModelError: the repository has no such file, or the disk no room for them.
    """
    info = huggingface_hub.HfApi().model_info(source, files_metadata=True)
    wanted = [file for file in info.siblings or [] if any(fnmatchcase(file.rfilename, rule) for rule in allow)]
    if not wanted:
        raise ModelError(
            f"the hub's repository has none of {', '.join(allow)}", source, "Choose another one, or pass a folder"
        )
    missing = [
        file
        for file in wanted
        if not isinstance(huggingface_hub.try_to_load_from_cache(source, file.rfilename, revision=info.sha), str)
    ]
    if not missing:
        return
    total = sum(file.size or 0 for file in missing)
    cache = Path(constants.HF_HUB_CACHE)
    free = shutil.disk_usage(_existing(cache)).free
    if total > free:
        raise _no_room(source, f"{readable_size(total)} to download, {readable_size(free)} free in {cache}")
    count = f"{len(missing)} file{'s' if len(missing) > 1 else ''}"
    print(f"Downloading {source}: {count}, {readable_size(total)}, to {cache}", file=sys.stderr, flush=True)


def _cached(source: str, allow: Sequence[str], error: Exception) -> Path:
    """What the cache holds of a repository that could not be asked; otherwise a plain word why not.

    Raises:
        ModelError: it holds nothing, or the disk is full.
    """
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        raise _no_room(source, str(error)) from error
    try:
        return Path(huggingface_hub.snapshot_download(source, allow_patterns=list(allow), local_files_only=True))
    except Exception:  # as above: not in the cache, in whatever way it is said
        what, remedy = _reason(source, error)
        raise ModelError(what, source, remedy) from error


def _reason(source: str, error: Exception) -> tuple[str, str]:
    """What went wrong, and what to do about it."""
    if isinstance(error, GatedRepoError):  # a kind of RepositoryNotFoundError, hence first
        return (
            "gated on the hub, and you have no access",
            f"Accept its terms at {constants.ENDPOINT}/{source}, then run `hf auth login` or set HF_TOKEN",
        )
    if isinstance(error, RepositoryNotFoundError):
        return (
            "neither a folder nor a repository of the hub",
            "Check the name; for a private one run `hf auth login` or set HF_TOKEN",
        )
    elsewhere = f"or run `hf download {source}` where there is a network and pass that folder"
    if constants.HF_HUB_OFFLINE:
        return (
            "not in the hub's cache, and HF_HUB_OFFLINE is set",
            f"Unset it, set HF_HOME to the right cache, {elsewhere}",
        )
    if isinstance(error, HfHubHTTPError):
        return f"the hub refused it ({_first_line(error)})", f"Try again later, {elsewhere}"
    return (
        f"not in the hub's cache, and the hub cannot be reached ({type(error).__name__})",
        f"Check the network, {elsewhere}",
    )


def _no_room(source: str, what: str) -> ModelError:
    return ModelError(f"no room on the disk ({what})", source, "Make room, or set HF_HOME to a folder on a larger disk")


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there."""
    return path if path.exists() else _existing(path.parent)


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def readable_size(count: int) -> str:
    """Bytes as people write them, in powers of 1000: "97.8 MB"."""
    size = float(count)
    for unit in ("bytes", "kB", "MB"):
        if size < 999.95:
            return f"{count} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
