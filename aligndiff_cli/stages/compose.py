"""Paste synthetic objects onto base images (paper 3.5, D.2)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any

import numpy as np

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.base import open_base
from aligndiff_cli.disk.digest import file_digest, joint_digest
from aligndiff_cli.disk.lazy import Recent
from aligndiff_cli.disk.support import load_pair, load_usable, scan_support
from aligndiff_cli.engine.manifest import Record
from aligndiff_cli.engine.stage import Item, Made, Plan, Stage, Summary
from aligndiff_cli.errors import FolderError, InputError, first_few
from aligndiff_cli.labels import IGNORE
from aligndiff_cli.method.composition import Cutout, Placement, cut_out, paste, sample_layout
from aligndiff_cli.method.memory import class_balanced_subset
from aligndiff_cli.method.prompts import class_words
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.report.sheets import scene_sheet
from aligndiff_cli.stages.drawing import draw_unless_same
from aligndiff_cli.stages.formats import make_format, opening
from aligndiff_cli.stages.names import nearest, numbered
from aligndiff_cli.stages.options.compose import ComposeOptions
from aligndiff_cli.stages.samples import TEXT, read_samples

log = logging.getLogger(__name__)

ABOUT = (
    "Synthetic objects of new classes, made by a text-to-image model from a few real image-mask pairs, pasted onto "
    "labelled scenes with `aligndiff compose` (AlignDiff). The label maps follow from the masks of the objects and the "
    "labels of the scenes."
)
CUTOUT_BYTES = 128_000_000
"""Cut-outs held at once: 60 that fill pictures of 512 pixels."""
LEAST_BYTES = 1_000_000
"""What a cut-out counts for at least: hundreds of small ones, between what comes and goes, leave holes in the heap."""
HELD_OF_PIXEL = 3 + 1 + 4
"""Bytes of a cut-out for each of its pixels: colours, mask, and both premultiplied."""
SHOWN = 12
"""Scenes on the contact sheet."""


@dataclass(frozen=True)
class Foreground:
    """An object that may be pasted.

    Attributes:
        id: of its sample; ``real/<class>/<stem>`` of a real pair.
        kind: "inverted", "text" or "real".
        load: reads its picture and its mask.
        digest: what both hashed to when the run was planned.
    """

    id: str
    kind: str
    load: Callable[[], tuple[np.ndarray, np.ndarray]]
    digest: str


@dataclass(frozen=True)
class Pool:
    """The objects of one class: the inverted and real ones first, then those of text prompts (D.3)."""

    cls: str
    class_id: int
    inverted: Sequence[Foreground]
    text: Sequence[Foreground]

    def __getitem__(self, index: int) -> Foreground:
        return self.inverted[index] if index < len(self.inverted) else self.text[index - len(self.inverted)]


class ComposeStage(Stage[ComposeOptions]):
    """masks/ + base/ -> scenes/."""

    unit = "scenes"

    def __init__(self, options: ComposeOptions) -> None:
        super().__init__(options)
        self._format = make_format(options.format, options.out, options.min_area, options.val_share, options.license)
        self._base = open_base(options.base, unlabelled=options.unlabelled, orientation=options.mask_orientation)
        self._problems: list[InputError] = list(self._base.problems)

    @cached_property
    def class_names(self) -> list[str]:
        """Names of the scenes' classes, line i being class i: the base's own, then the new ones."""
        names = list(self._base.classes or [])
        if self._base.classes is None:
            highest = max((max(self._present(stem), default=0) for stem in self._base.stems), default=0)
            names = [f"class {number}" for number in range(1, highest + 1)]
        known = numbered(names, self.options.base / layout.CLASSES)
        new = sorted({class_words(cls) for cls in self._by_class} - known.keys())
        for number, name in enumerate(new, len(names) + 1):
            if self._base.classes:
                log.info("the base names no class %r%s: it is written as class %d", name, nearest(name, known), number)
        names += new
        if len(names) >= IGNORE:
            raise FolderError(f"expected at most 254 classes in all, got {len(names)}", self.options.base)
        return names

    @cached_property
    def _by_class(self) -> dict[str, tuple[list[Foreground], list[Foreground]]]:
        """Class -> (inverted and real, text) objects; samples whose mask came out empty are left out."""
        pools: dict[str, tuple[list[Foreground], list[Foreground]]] = {}
        for sample in read_samples(self.options.foregrounds, self._problems):
            if sample.area > 0:
                own = pools.setdefault(sample.cls, ([], []))[sample.kind == TEXT]
                own.append(Foreground(sample.id, sample.kind, sample.load, joint_digest(sample.digests)))
        if self.options.support is not None:
            o = self.options
            scan = scan_support(self.options.support, o.support_masks, o.mask_orientation)
            self._problems += scan.problems
            for pair, _ in load_usable(scan.pairs, self._problems):
                digest = joint_digest({"image": file_digest(pair.image), "mask": file_digest(pair.mask)})
                real = Foreground(f"real/{pair.cls}/{pair.stem}", "real", partial(load_pair, pair), digest)
                pools.setdefault(pair.cls, ([], []))[0].append(real)
        if not any(inverted or text for inverted, text in pools.values()):
            why = f" ({first_few(self._problems)})" if self._problems else ""
            raise FolderError(f"every mask is empty, so there is nothing to paste{why}", self.options.foregrounds)
        return pools

    @cached_property
    def pools(self) -> list[Pool]:
        """The objects by class, in alphabetical order."""
        ids = {class_words(name): number for number, name in enumerate(self.class_names, start=1)}
        return [Pool(cls, ids[class_words(cls)], *kinds) for cls, kinds in sorted(self._by_class.items())]

    @cache  # noqa: B019  one stage object per process
    def _present(self, stem: str) -> frozenset[int]:
        try:
            self._base.picture(stem)
            return frozenset(self._base.present(stem))
        except InputError as error:
            self._problems.append(error)
            return frozenset()

    @cached_property
    def memory(self) -> list[str]:
        """The base memory: stems of a class-balanced subset of the base images.

        Images that show a class being pasted are no base images (D.3 keeps every pixel of a novel class out of them).

        Raises:
            FolderError: no image can be used.
        """
        stems = self._base.stems
        rng = np.random.default_rng(item_seed(self.options.seed, "base memory"))
        if self.options.unlabelled:
            chosen = [stems[index] for index in rng.permutation(len(stems))[: self.options.memory]]
        else:
            novel = {pool.class_id for pool in self.pools}
            present = [self._present(stem) for stem in stems]
            shown = [frozenset() if classes & novel else classes for classes in present]
            chosen = [stems[index] for index in class_balanced_subset(shown, rng, self.options.memory)]
        usable = [stem for stem in chosen if self._loads(stem)]
        if not usable:
            raise self._no_base()
        return usable

    def _no_base(self) -> FolderError:
        """Why no base image is left: what is wrong with each, or that none shows what it should."""
        if self._problems:
            return FolderError(f"no base image can be used: {first_few(self._problems)}", self.options.base)
        return FolderError(
            f"none of its {len(self._base.stems)} images shows a labelled class, and none of those being pasted",
            self.options.base,
            "In a label map 0 is background, 255 ignored, all else a class; --unlabelled takes photographs as they are",
        )

    def _loads(self, stem: str) -> bool:
        """Whether a base image can be used; if not, it is named once, not in every scene."""
        try:
            self._base.load(stem)
        except InputError as error:
            self._problems.append(error)
            return False
        return True

    def plan(self) -> Plan:
        """Every scene with what goes where, drawn from its own seed."""
        items = [[self._draw(f"scene-{number:06d}")] for number in range(self.options.count)]
        return Plan(items, self._problems)

    def _draw(self, item_id: str) -> Item:
        o = self.options
        rng = np.random.default_rng(item_seed(o.seed, item_id))
        stem = self.memory[int(rng.integers(len(self.memory)))]
        placements = sample_layout(
            rng,
            [(len(pool.inverted), len(pool.text)) for pool in self.pools],
            inverted_share=o.inverted_share,
            n_max=o.max_objects,
            scale_range=(o.scale_low, o.scale_high),
        )
        inputs = {f"base/{stem}": self._base_digest(stem)}
        objects: list[dict[str, Any]] = []
        for placement in placements:
            foreground = self.pools[placement.class_index][placement.sample_index]
            inputs[foreground.id] = foreground.digest
            place = [placement.top, placement.left]
            objects.append({"sample": foreground.id, "kind": foreground.kind, "scale": placement.scale, "place": place})
        return Item(item_id, "", inputs, {"base": stem, "objects": objects})

    @cache  # noqa: B019
    def _base_digest(self, stem: str) -> str:
        return joint_digest(self._base.digests(stem))

    @cached_property
    def _found(self) -> dict[str, tuple[Pool, Foreground]]:
        return {f.id: (pool, f) for pool in self.pools for f in (*pool.inverted, *pool.text)}

    @cached_property
    def _cutout(self) -> Recent[str, Cutout]:
        """The object of a sample; the last ones are held."""
        return Recent(self._cut_out, lambda held: max(LEAST_BYTES, HELD_OF_PIXEL * held.mask.size), CUTOUT_BYTES)

    def _cut_out(self, foreground_id: str) -> Cutout:
        pool, foreground = self._found[foreground_id]
        return cut_out(*foreground.load(), pool.class_id, foreground_id)

    def make(self, item: Item) -> Made:
        """Compose one scene and have it written."""
        image, labels = self._base.load(item.parameters["base"])
        objects = [
            (self._cutout(o["sample"]), Placement(0, 0, o["scale"], *o["place"])) for o in item.parameters["objects"]
        ]
        scene = paste(image, labels, objects, self.options.scale_of)
        instances = list(zip([cutout.class_id for cutout, _ in objects], scene.visible, strict=True))
        write = partial(self._format.write, item.id, scene.image, scene.labels, instances)
        return Made(item, measured={"hidden": len(scene.hidden), "objects": len(objects)}, write=write)

    def finish(self, records: Mapping[str, Record]) -> Summary:
        """Write the lists that make the folder a data set, and a contact sheet."""
        self._format.finish(records, self.class_names, ABOUT)
        path = self.out / layout.PICTURES / "scenes.png"
        shown = sorted(records)[:SHOWN]
        of = [self.class_names, {stem: records[stem].outputs for stem in shown}]
        draw_unless_same(path, of, lambda: scene_sheet([self._format.read(stem) for stem in shown], self.class_names))
        used: dict[str, int] = {}
        for record in records.values():
            for o in record.parameters["objects"]:
                cls = self._found[o["sample"]][0].cls
                used[cls] = used.get(cls, 0) + 1
        rows = [
            [pool.cls, str(len(pool.inverted)), str(len(pool.text)), str(used.get(pool.cls, 0))] for pool in self.pools
        ]
        hidden = sum(record.measured["hidden"] for record in records.values())
        rows.append(["hidden behind others", "", "", str(hidden)])
        if self.options.unlabelled:
            rows.append(["base scenes without labels: all of them is background, 0", "", "", ""])
        if self.options.format in ("coco", "yolo"):
            dropped = sum(record.measured["dropped"] for record in records.values())
            rows.append([f"dropped, under {self.options.min_area} pixels", "", "", str(dropped)])
        following = f"{opening(self.options.format, self.out)}, or: aligndiff evaluate --help"
        return Summary(["class", "inverted or real", "text", "pasted"], rows, [path], following)
