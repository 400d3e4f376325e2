"""Content digests: what tells that an input or an output is still the one a record speaks of."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from aligndiff_cli.disk.regular import regular
from aligndiff_cli.errors import InputError


def file_digest(path: Path) -> str:
    """BLAKE2b-128 of the file's bytes, as 32 hexadecimal digits.

    Raises:
        InputError: the file is missing, unreadable or no regular one.
    """
    try:
        with regular(path).open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.blake2b(digest_size=16)).hexdigest()
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", path) from error


def joint_digest(digests: Mapping[str, str]) -> str:
    """One digest for a set of named digests, whatever their order."""
    text = "\n".join(f"{name} {digests[name]}" for name in sorted(digests))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
