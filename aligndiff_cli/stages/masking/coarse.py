"""Where coarse masks come from (``--coarse``): attention (the paper), or the real mask that a sample starts from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.images import MaskArray, read_mask, read_soft
from aligndiff_cli.engine.manifest import Record, contained
from aligndiff_cli.engine.schema import SHARE
from aligndiff_cli.errors import FolderError, InputError
from aligndiff_cli.method.coarse import both_coarse

Coarse = Literal["attention", "real", "both"]


class CoarseMasks:
    """The coarse masks of a synth folder.

    Samples that start from noise have no real mask; theirs comes from attention, whatever is asked for.

    Args:
        folder: of `aligndiff generate`.
        kind: see ``MaskOptions.coarse``.
        threshold: where attention is cut.
    """

    def __init__(self, folder: Path, kind: Coarse, threshold: float) -> None:
        self._folder, self._kind, self._threshold = folder, kind, threshold
        self._strengths: dict[str, float] = {}

    def read(self, records: Iterable[Record]) -> None:
        """Find out which samples have a real mask.

        Raises:
            FolderError: real masks are asked for, and no sample has one, or a record does not tell its strength.
        """
        if self._kind == "attention":
            return
        for record in records:
            if f"{layout.REAL}/{record.id}.png" in record.outputs:
                strength: Any = record.parameters.get("strength")
                if not SHARE.fits(strength):
                    what = f"the record of {record.id!r} says strength = {strength}, expected {SHARE.words}"
                    raise FolderError(what, self._folder, "Remove that line, and make its image again")
                self._strengths[record.id] = float(strength)
        if not self._strengths:
            raise FolderError(
                f"all its samples start from noise, so there is no real mask for --coarse {self._kind}",
                self._folder,
                "Make them with `aligndiff generate --start real`, or leave out --coarse",
            )

    def of(self, item_id: str) -> Coarse:
        """What the mask of a sample comes from."""
        return self._kind if item_id in self._strengths else "attention"

    def files(self, item_id: str) -> dict[str, Path]:
        """The files it is made from, by the name of their folder."""
        attention, real = ({kind: f"{kind}/{item_id}.png"} for kind in (layout.COARSE, layout.REAL))
        names = {"attention": attention, "real": real, "both": attention | real}[self.of(item_id)]
        return {kind: contained(self._folder, name) for kind, name in names.items()}

    def check(self, item_id: str, size: Sequence[int]) -> None:
        """Refuse files that cannot be used with an image of this (height, width).

        Raises:
            InputError: one cannot be read, or is of another size.
        """
        for kind, path in self.files(item_id).items():
            found = read_soft(path).shape if kind == layout.COARSE else read_mask(path).shape
            if found != tuple(size):
                what = "coarse map" if kind == layout.COARSE else "real mask"
                raise InputError(
                    f"expected a {what} of {size[1]} x {size[0]} (width x height), the size of its image, "
                    f"got {found[1]} x {found[0]}",
                    path,
                    "Make both again with `aligndiff generate`, or scale the one that was changed",
                )

    def mask(self, item_id: str) -> MaskArray:
        """The coarse mask of a sample, bool (H, W)."""
        files = self.files(item_id)
        soft = read_soft(files[layout.COARSE]) if layout.COARSE in files else None
        real = read_mask(files[layout.REAL]) if layout.REAL in files else None
        if soft is None or real is None:
            return np.asarray(real if soft is None else soft >= self._threshold)
        return both_coarse(soft, real, self._threshold, self._strengths[item_id])
