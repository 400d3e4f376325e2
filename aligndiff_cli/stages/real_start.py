"""The real pairs that samples may start from: those that the embeddings of a bank were learnt from (beyond the paper).

After SDEdit (Meng et al. 2022) and DA-Fusion (Trabucco et al. 2023); see ``models/diffusion/start.py``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aligndiff_cli.disk.digest import has_digest
from aligndiff_cli.disk.support import PairFiles, load_pair
from aligndiff_cli.engine.manifest import Record
from aligndiff_cli.engine.run_file import RunFile, input_folder
from aligndiff_cli.engine.stage import Item
from aligndiff_cli.errors import FolderError, InputError
from aligndiff_cli.method.framing import Framing, framed, resized, resized_mask
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.stages.common import scan_inverted

if TYPE_CHECKING:
    from aligndiff_cli.models.diffusion.start import Start

REMEDY = "Put the support folder back as it was, or run `aligndiff invert` again; --start noise does without it"


class RealStarts:
    """The support folder of a bank, as its embeddings saw it, and which pair each sample starts from.

    Args:
        bank: the folder.
        run: its run file, which tells where the support folder is and how pictures were framed.
        seed: run seed of the samples, which decides where an embedding has several pairs.
        strength: see ``Start``.
    """

    def __init__(self, bank: Path, run: RunFile, seed: int, strength: float) -> None:
        self._bank, self._run, self._seed, self._strength = bank, run, seed, strength
        self._framing: Framing = "whole" if run.options.get("framing") == "whole" else "window"
        self._learnt_from: dict[str, list[PairFiles]] = {}

    @cached_property
    def folder(self) -> Path:
        """Where the pictures are.

        Raises:
            FolderError: they are not there any more.
        """
        if "images" not in self._run.inputs:
            raise FolderError("does not say which support folder it was made from", self._bank, REMEDY)
        return input_folder(self._bank, self._run, "images")

    @cached_property
    def _pairs(self) -> Mapping[str, PairFiles]:
        """Name of each picture, as records of inversion have it -> its pair."""
        scan = scan_inverted(self.folder, self._bank, self._run)
        return {next(iter(_files(pair))): pair for pair in scan.pairs}

    def usable(self, record: Record, problems: list[InputError]) -> bool:
        """Whether the pairs that an embedding was learnt from are as they were; why not is added to ``problems``.

        Args:
            record: the embedding's, from the bank.

        Raises:
            FolderError: the support folder is gone.
        """
        try:
            self._learnt_from[record.id] = self._pairs_of(record)
        except InputError as error:
            problems.append(error)
        return record.id in self._learnt_from

    def _pairs_of(self, record: Record) -> list[PairFiles]:
        """One pair, or all of a class (InputError if one of their files is gone, or another than it was)."""
        pairs = [self._pairs[name] for name in sorted(record.inputs) if name in self._pairs]
        files = {name: path for pair in pairs for name, path in _files(pair).items()}
        if gone := sorted(record.inputs.keys() - files.keys()):
            raise InputError(f"has no {gone[0]!r} any more, which {record.id} was learnt from", self.folder, REMEDY)
        if not pairs:
            raise InputError(f"the record of {record.id} names no support picture", self._bank, REMEDY)
        for name, path in files.items():
            if not has_digest(path, record.inputs[name]):
                raise InputError(f"is not the file that {record.id} was learnt from", path, REMEDY)
        return pairs

    def of_item(self, record: Record, item_id: str) -> tuple[dict[str, str], dict[str, Any]]:
        """What a sample starts from, as inputs of its record (the real pair's digests) and as parameters."""
        pair = self._chosen(record.id, item_id)
        names = _files(pair)
        parameters = {"start": "real", "strength": self._strength, "real": next(iter(names))}
        return {name: record.inputs[name] for name in names}, parameters

    def of_group(
        self, group: Sequence[Item], batch: int, height: int, width: int
    ) -> tuple[Start, Sequence[np.ndarray]]:
        """What a batch of samples of this size starts from, and the real mask of each item, bool (H, W), in its frame.

        Args:
            batch: pictures in the start, the last one standing for those that are missing.

        Raises:
            InputError: a pair cannot be read.
        """
        from aligndiff_cli.models.diffusion.start import Start

        pairs = [self._seen(self._chosen(item.parameters["embedding"], item.id), height, width) for item in group]
        images, masks = zip(*pairs, strict=True)
        return Start([*images, *images[-1:] * (batch - len(group))], self._strength), masks

    def _chosen(self, embedding: str, item_id: str) -> PairFiles:
        pairs = self._learnt_from[embedding]
        return pairs[item_seed(self._seed, f"{item_id}/start") % len(pairs)]

    def _seen(self, pair: PairFiles, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
        """A pair as inversion frames it."""
        image, mask = framed(*load_pair(pair), height / width, self._framing)
        return resized(image, height, width, self._framing), resized_mask(mask, height, width)


def _files(pair: PairFiles) -> dict[str, Path]:
    """Picture and mask, by the names that records of inversion give them."""
    return {f"{pair.cls}/{pair.image.name}": pair.image, f"{pair.cls}/{pair.mask.name} (mask)": pair.mask}
