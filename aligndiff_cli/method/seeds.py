"""Seeds that depend on what is made, never on who makes it, when, or in which order."""

from __future__ import annotations

import hashlib


def item_seed(run_seed: int, item_id: str) -> int:
    """Seed of one item: a stable hash of (run seed, item id), in [0, 2**63)."""
    digest = hashlib.blake2b(f"{run_seed}/{item_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
