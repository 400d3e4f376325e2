"""The rows of a chain's classes: which pictures are shown, and what is said of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from numbers import Real
from pathlib import Path
from typing import TypeVar

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.support import PairFiles, scan_support
from aligndiff_cli.engine.manifest import Record, contained
from aligndiff_cli.errors import AligndiffError, FolderError
from aligndiff_cli.report.chain_page import Cell, ClassRow, Group, Shot
from aligndiff_cli.report.paint import Colour
from aligndiff_cli.report.thumbnails import COARSE, PASTED, REAL, REFINED
from aligndiff_cli.stages.reporting.chains import Chain, StageFolder
from aligndiff_cli.stages.reporting.pictures import Pictures, SampleFiles
from aligndiff_cli.stages.reporting.scenes import Scenes

FEW = 4
"""Small pictures below the large one of a cell."""
WORDS = {"noise-learning": ("kept", "dropped"), "attention": ("as it is", "as it is"), "grounding": ("as it is",) * 2}
"""What masks are called that a baseline accepts, and others; of a few-shot segmenter see ``_verdict``."""
T = TypeVar("T")
_OF_COARSE = ("coarse_area",)


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most so many of the items, evenly spaced, the first among them; 0 for all."""
    if not most or len(items) <= most:
        return list(items)
    return [items[number * len(items) // most] for number in range(most)]


class ChainRows:
    """The rows of one chain.

    Args:
        pictures: where pictures are asked for.
        per_class: most samples and scenes of a class; 0 for all.

    Attributes:
        problems: what cannot be shown.
    """

    def __init__(self, chain: Chain, pictures: Pictures, per_class: int) -> None:
        self._chain, self._pictures, self._most = chain, pictures, per_class
        self.problems: list[AligndiffError] = []
        self._pairs = self._real_pairs()
        self._scenes = Scenes(chain.scenes, pictures)
        self._masked = chain.masks.records if chain.masks else {}
        self._samples: dict[str, list[Record]] = defaultdict(list)
        drawn = chain.synth.records.values() if chain.synth else ()
        self._files = self._sample_files()
        for record in sorted(drawn, key=lambda record: record.id):
            if record.id in self._files:
                self._samples[record.cls].append(record)

    def rows(self) -> list[ClassRow]:
        """A row for each class there is a picture or a record of."""
        names = {*self._chain.classes, *self._pairs} if self._chain.bank is None else set(self._chain.classes)
        return [self._row(cls) for cls in sorted(names)]

    def _real_pairs(self) -> dict[str, list[PairFiles]]:
        chain, found = self._chain, defaultdict(list)
        if chain.support is None:
            return {}
        if not chain.support.is_dir():
            self.problems.append(
                FolderError("the support folder is not there, so no real pair is shown", chain.support)
            )
            return {}
        try:
            for pair in scan_support(chain.support, chain.support_masks, chain.orientation).pairs:  # type: ignore[arg-type]
                found[pair.cls].append(pair)
        except AligndiffError as error:
            self.problems.append(FolderError(error.what, chain.support))
        return dict(found)

    def _sample_files(self) -> dict[str, SampleFiles]:
        """Record id -> files of the samples whose picture is there; what is gone is one problem for each folder."""
        synth, masks = self._chain.synth, self._chain.masks
        if synth is None:
            return {}
        cuts = (
            masks.run.options.get("attention_threshold") if masks else None,
            synth.run.options.get("mask_threshold"),
        )
        cut = next((float(value) for value in cuts if isinstance(value, Real)), 0.5)
        gone: dict[Path, list[str]] = defaultdict(list)

        def there(stage: StageFolder, kind: str, record: Record | None) -> Path | None:
            name = f"{kind}/{record.id}.png" if record else ""
            if record is None or name not in record.outputs:
                return None
            path = contained(stage.path, name)
            if not path.exists():
                gone[stage.path].append(name)
            return path if path.exists() else None

        files = {}
        for record in synth.records.values():
            if image := there(synth, layout.IMAGES, record):
                mask = there(masks, layout.MASKS, masks.records.get(record.id)) if masks else None
                files[record.id] = SampleFiles(image, there(synth, layout.COARSE, record), mask, cut)
        for folder, names in gone.items():
            what = f"{len(names)} of its files are not there, the first is {min(names)}"
            self.problems.append(FolderError(what, folder, "Run its stage again: what is missing is made again"))
        return files

    def _row(self, cls: str) -> ClassRow:
        samples = self._samples[cls]
        inverted = [record for record in samples if record.parameters.get("kind") == "inverted"] or samples
        ranked = sorted(inverted, key=lambda record: (-self._agreement(record), record.id))
        shown: list[Record] = []
        if ranked:  # the one in the middle large, and some from best to worst
            middle = ranked[len(ranked) // 2]
            shown = [middle, *spread([record for record in ranked if record is not middle], FEW)]
        return ClassRow(cls, self._facts(cls), self._cells(cls, shown), self._groups(cls))

    def _agreement(self, record: Record) -> float:
        masked = self._masked.get(record.id)
        value = masked.measured.get("consensus_iou") if masked else None
        return float(value) if isinstance(value, Real) else 0.0

    def _cells(self, cls: str, shown: Sequence[Record]) -> list[Cell]:
        files = [(record, self._files[record.id]) for record in shown]
        pictures = self._pictures
        pairs = spread(self._pairs.get(cls, []), FEW + 1)
        drawn = [Shot(pictures.image(f.image), f"{cls}, picture {_short(r)}", _short(r)) for r, f in files]
        by_text = bool(shown) and shown[0].parameters.get("kind") != "inverted"
        return [
            Cell(
                "Real pair" if len(pairs) < 2 else "Real pairs",
                [Shot(pictures.pair(p), f"{cls}, real picture {p.stem} with its mask", p.stem) for p in pairs],
                _css(REAL),
                "no real pair found",
            ),
            Cell("Drawn from the name alone" if by_text else "What v* draws", drawn or self._previews(cls)),
            Cell(
                "Coarse mask",
                [
                    Shot(pictures.coarse(f), f"{cls}, coarse mask of {_short(r)}", f"cut at {f.cut:.3g}")
                    for r, f in files
                    if f.coarse
                ],
                _css(COARSE),
            ),
            Cell(
                "Refined mask",
                [
                    Shot(pictures.refined(f), f"{cls}, refined mask of {_short(r)}", self._verdict(r))
                    for r, f in files
                    if f.mask
                ],
                _css(REFINED),
            ),
            Cell(
                "In scenes",
                self._scenes.of(cls)[: FEW + 1],
                _css(PASTED),
                "in no scene" if self._chain.scenes else "not made yet",
            ),
        ]

    def _previews(self, cls: str) -> list[Shot]:
        """Of a bank without images: the sheets that `aligndiff invert` made."""
        bank = self._chain.bank
        own = [r for r in bank.records.values() if r.cls == cls] if bank else []
        sheets = [(r, name) for r in own for name in r.outputs if name.endswith(".png")][: FEW + 1]
        return [
            Shot(self._pictures.chart(contained(bank.path, name)), f"{cls}, what the embedding {r.id} draws", r.id)
            for r, name in sheets
            if bank
        ]

    def _verdict(self, record: Record) -> str:
        masked = self._masked.get(record.id)
        if masked is None:
            return "not refined"
        if masked.measured.get("area") == 0:
            return "empty"
        segmenter = str(self._chain.masks.run.options.get("segmenter")) if self._chain.masks else ""
        good, rest = WORDS.get(segmenter, ("good", "re-estimated"))
        verdict = good if masked.measured.get("accepted") else rest
        return f"IoU {self._agreement(record):.2f}, {verdict}" if good != rest else verdict

    def _facts(self, cls: str) -> list[tuple[str, str]]:
        chain, samples = self._chain, self._samples[cls]
        pairs = len(self._pairs.get(cls, []))
        facts = [(str(pairs), "real pair" if pairs == 1 else "real pairs")]
        losses = [r.measured for r in chain.bank.records.values() if r.cls == cls] if chain.bank else []
        try:
            before, after = (sum(m[when]["total"] for m in losses) / len(losses) for when in ("initial", "final"))
            facts.append((f"{before:.4f} → {after:.4f}", "loss of v*" if len(losses) == 1 else "mean loss of v*"))
        except (KeyError, TypeError, ZeroDivisionError):
            pass
        if samples:
            inverted = sum(record.parameters.get("kind") == "inverted" for record in samples)
            facts.append((str(len(samples)), f"samples, {inverted} inverted and {len(samples) - inverted} text"))
        masked = [self._masked[record.id] for record in samples if record.id in self._masked]
        if masked:
            mean = sum(self._agreement(record) for record in masked) / len(masked)
            accepted = sum(bool(record.measured.get("accepted")) for record in masked)
            empty = sum(record.measured.get("area") == 0 for record in masked)
            facts += [(f"{mean:.2f}", "mean consensus IoU"), (str(accepted), "accepted")]
            facts += [(str(empty), "empty")] if empty else []
        if chain.scenes:
            facts.append((str(self._scenes.many(cls)), f"of {self._scenes.count} scenes"))
        return facts

    def _groups(self, cls: str) -> list[Group]:
        groups = []
        for kind, name in (("inverted", "inverted samples"), ("text", "text samples")):
            own = [record for record in self._samples[cls] if record.parameters.get("kind") == kind]
            shown = spread(own, self._most)
            prompts = {str(record.parameters.get("prompt", "")) for record in own}
            same = prompts.pop() if len(prompts) == 1 else ""
            shots = [self._strip(cls, record, prompt=not same) for record in shown]
            parts = "picture, coarse mask, refined mask" if self._chain.masks else "picture, coarse mask"
            words = f"“{same}”: {parts}." if same else f"{parts.capitalize()}."
            groups.append(Group(_counted(len(shown), len(own), name), words, shots))
        scenes = self._scenes.of(cls)
        shots = spread(scenes, self._most)
        heading = _counted(len(shots), len(scenes), "scenes")
        words = f"The contour of {cls}, and thin those of all other labels."
        return [*groups, Group(heading, words, shots, of_scenes=True)]

    def _strip(self, cls: str, record: Record, *, prompt: bool) -> Shot:
        words = [_short(record), *([self._verdict(record)] if self._chain.masks else [])]
        words += [
            f"{name.replace('_', ' ')} {value:.3g}"
            for name, value in sorted(record.measured.items())
            if name not in _OF_COARSE and isinstance(value, Real) and not isinstance(value, bool)
        ]
        if prompt and record.parameters.get("prompt"):
            words.append(f"“{record.parameters['prompt']}”")
        files = self._files[record.id]
        parts = ["picture", *(["coarse mask"] if files.coarse else []), *(["refined mask"] if files.mask else [])]
        return Shot(self._pictures.strip(files), f"{cls}, {_short(record)}: {', '.join(parts)}", " · ".join(words))


def _short(record: Record) -> str:
    return record.id.rpartition("/")[2]


def _counted(shown: int, there: int, name: str) -> str:
    name = name[:-1] if there == 1 else name
    return f"All {there} {name}" if shown == there and there > 1 else f"{shown} of {there} {name}"


def _css(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
