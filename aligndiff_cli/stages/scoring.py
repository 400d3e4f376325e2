"""Scores of generated pictures by CLIP or SigLIP, and marks on those that fall short (beyond the paper).

Two cosines are recorded for every picture: with its prompt (CLIP-T), and the mean of those with the real pictures of
its class (CLIP-I), both as DreamBooth measures (Ruiz et al. 2023, Sec. 4.2). A marked picture is kept; later stages
leave it out. D.4's test of whole pairs is another thing, see ``method/support_filter.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.digest import file_digest, joint_digest
from aligndiff_cli.disk.images import read_image
from aligndiff_cli.disk.support import PairFiles, load_pair, load_usable
from aligndiff_cli.engine.manifest import Record, contained
from aligndiff_cli.engine.run_file import RunFile, input_folder
from aligndiff_cli.errors import InputError
from aligndiff_cli.method.framing import framed
from aligndiff_cli.models.device import pick_device
from aligndiff_cli.models.fingerprints import network_fingerprint
from aligndiff_cli.stages.common import scan_inverted
from aligndiff_cli.stages.marks import MARKED
from aligndiff_cli.stages.options.generate import GenerateOptions
from aligndiff_cli.stages.prompting import prompt_words

if TYPE_CHECKING:
    from torch import Tensor

    from aligndiff_cli.models.clip import Clip

CLIP_SCORE, REAL_SCORE, SCORED_BY = "clip_score", "real_score", "scored_by"
SCORE_COLUMNS = ("clip score", "real score", "marked")


class Scorer:
    """Scores the pictures of a synth folder.

    Args:
        source: folder or hub id of the network.
        o: the options of the run, of which the thresholds decide marks.
        bank_run: the bank's run file, which knows the real pictures.

    Raises:
        ModelError: the network is missing or of another kind.
        FolderError: the real pictures are not there any more.
    """

    def __init__(self, source: str, o: GenerateOptions, bank_run: RunFile) -> None:
        from aligndiff_cli.models.clip import check_clip

        check_clip(source)
        self._source, self._out, self._device = source, o.out, o.device
        self._least = {CLIP_SCORE: o.min_clip_score, REAL_SCORE: o.min_real_score}
        self._fingerprint = network_fingerprint(source)
        self._real = real_pairs(o.bank, bank_run)

    @cached_property
    def _clip(self) -> Clip:
        from aligndiff_cli.models.clip import load_clip

        return load_clip(self._source, pick_device(self._device))

    def told(self) -> dict[str, Any]:
        """What scored, and the thresholds, for the run file."""
        least = {f"min_{name}": value for name, value in self._least.items() if value is not None}
        return {"clip": {"source": self._source, "fingerprint": self._fingerprint}, **least}

    def pending(self, records: Mapping[str, Record]) -> list[Record]:
        """The records without scores by this network and these real pictures."""
        return [record for record in records.values() if record.measured.get(SCORED_BY) != self._scored_by(record.cls)]

    def score(self, records: Mapping[str, Record], advance: Callable[..., None]) -> Iterator[Record]:
        """The records that change: those scored now, and those whose mark is another by these thresholds."""
        pending = self.pending(records)
        for batch in batches(pending):
            yield from map(self._judged, self._scored(batch))
            advance(sum(record is not None for record in batch), "scores")
        scored = {record.id for record in pending}
        for record in records.values():
            if record.id not in scored and (judged := self._judged(record)) != record:
                yield judged

    def _scored(self, batch: Sequence[Record | None]) -> Iterator[Record]:
        images = [None if r is None else read_image(contained(self._out, f"{layout.IMAGES}/{r.id}.png")) for r in batch]
        for record, point in zip(batch, self._clip.images(images), strict=True):
            if record is None:
                continue
            scores: dict[str, Any] = {SCORED_BY: self._scored_by(record.cls)}
            scores[CLIP_SCORE] = _rounded(point @ self._text(prompt_words(record.parameters["prompt"], record.cls)))
            scores[REAL_SCORE] = None
            if (points := self._real_points(record.cls)) is not None:
                scores[REAL_SCORE] = _rounded((points @ point).mean())
            yield replace(record, measured={**record.measured, **scores})

    def _judged(self, record: Record) -> Record:
        short = [
            f"{name} {record.measured[name]:.4f} < {least:g}"
            for name, least in self._least.items()
            if least is not None and record.measured[name] is not None and record.measured[name] < least
        ]
        measured = {name: value for name, value in record.measured.items() if name != MARKED}
        return replace(record, measured=measured | ({MARKED: ", ".join(short)} if short else {}))

    @cache  # noqa: B019  one scorer per process
    def _text(self, text: str) -> Tensor:
        return self._clip.text(text)

    @cache  # noqa: B019
    def _scored_by(self, cls: str) -> str:
        pairs = self._real.get(cls, [])
        real = {pair.stem: file_digest(pair.image) + file_digest(pair.mask) for pair in pairs}
        return joint_digest({"network": self._fingerprint, "real": joint_digest(real)})

    @cache  # noqa: B019
    def _real_points(self, cls: str) -> Tensor | None:
        """Points (n, D) of the real pictures of a class, each the square around its object; None if there is none."""
        images = [framed(*load_pair(pair), 1.0, "window")[0] for pair in self._real.get(cls, [])]
        import torch

        from aligndiff_cli.models.clip import BATCH

        parts = [self._clip.images(images[at : at + BATCH]) for at in range(0, len(images), BATCH)]
        return torch.cat(parts) if parts else None


def real_pairs(bank: Path, run: RunFile) -> dict[str, list[PairFiles]]:
    """The pairs that a bank was made from, by class; those that cannot be used are left out.

    Raises:
        FolderError: their folder is not there any more.
    """
    scan = scan_inverted(input_folder(bank, run, "images"), bank, run)
    unusable: list[InputError] = []
    found: dict[str, list[PairFiles]] = {}
    for pair, _ in load_usable(scan.pairs, unusable):
        found.setdefault(pair.cls, []).append(pair)
    return found


def batches(records: Sequence[Record]) -> Iterator[list[Record | None]]:
    """The records in passes of BATCH places, where each has a place of its own whatever else is there: by its number.

    So a score is the same to the last bit whether a run was interrupted or not.
    """
    from aligndiff_cli.models.clip import BATCH

    passes: dict[tuple[str, int], list[Record | None]] = {}
    for record in sorted(records, key=lambda record: record.id):
        kind, _, number = record.id.rpartition("-")
        count, place = divmod(int(number) if number.isdecimal() else 0, BATCH)
        own = passes.setdefault((kind, count), [None] * BATCH)
        if own[place] is not None:  # ids that no run of ours gave
            own = passes[record.id, 0] = [None] * BATCH
        own[place] = record
    yield from passes.values()


def score_cells(records: Sequence[Record]) -> list[str]:
    """Of a class: its mean scores, how many pictures are marked, and how many were not scored."""
    cells = []
    for name in (CLIP_SCORE, REAL_SCORE):
        own = [record.measured[name] for record in records if record.measured.get(name) is not None]
        cells.append(f"{sum(own) / len(own):.3f}" if own else "–")
    unscored = sum(SCORED_BY not in record.measured for record in records)
    marked = sum(MARKED in record.measured for record in records)
    return [*cells, f"{marked}" + (f", {unscored} not scored" if unscored else "")]


def _rounded(cosine: Tensor) -> float:
    return round(float(cosine), 4)
