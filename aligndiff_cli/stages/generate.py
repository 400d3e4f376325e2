"""Draw images of each class, and their coarse masks from the same pass (paper 3.6, D.3)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from aligndiff_cli.disk import bank, layout
from aligndiff_cli.disk.digest import file_digest
from aligndiff_cli.disk.images import read_image, read_soft, write_png
from aligndiff_cli.engine.lock import tell_if_in_use
from aligndiff_cli.engine.manifest import Record, contained, read_records, torn_records
from aligndiff_cli.engine.run_file import relative_to_folder, require_run
from aligndiff_cli.engine.stage import Item, Made, Plan, Stage, Summary
from aligndiff_cli.engine.workers import Progress
from aligndiff_cli.errors import FolderError, GroupError, InputError, ModelError, UsageError
from aligndiff_cli.method.attention import quantise
from aligndiff_cli.method.diversity import NEAR
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.diffusion.description import Description
from aligndiff_cli.models.diffusion.sampling_options import SampleOptions
from aligndiff_cli.report.sheets import generation_sheet
from aligndiff_cli.stages.common import chunks, describe_model, load_model
from aligndiff_cli.stages.drawing import draw_unless_same
from aligndiff_cli.stages.looks import Figures, Looks
from aligndiff_cli.stages.options.generate import GenerateOptions
from aligndiff_cli.stages.prompting import Prompting, kinds_of
from aligndiff_cli.stages.real_start import RealStarts
from aligndiff_cli.stages.samples import INVERTED, TEXT
from aligndiff_cli.stages.scoring import SCORE_COLUMNS, SCORED_BY, Scorer, score_cells

if TYPE_CHECKING:
    from aligndiff_cli.models.at_once import AtOnce
    from aligndiff_cli.models.diffusion.model import DiffusionModel
    from aligndiff_cli.models.diffusion.start import Start

NOISE: dict[str, object] = {"start": "noise"}
SHOWN = 8
"""Images of each kind on a contact sheet."""


class GenerateStage(Stage[GenerateOptions]):
    """bank/ -> synth/images/<class>/<id>.png and synth/coarse/<class>/<id>.png (and synth/real/<class>/<id>.png)."""

    unit = "images"

    def __init__(self, options: GenerateOptions) -> None:
        super().__init__(options)
        self.bank_run = require_run(options.bank, "invert", "--bank")
        self._source = options.model or self.bank_run.models["diffusion"]["source"]
        self._starts: RealStarts | None = None
        if options.start == "real":
            self._starts = RealStarts(options.bank, self.bank_run, options.seed, options.strength)
        self.prompting = Prompting(options.prompts, options.template)
        self.scorer = Scorer(options.clip, options, self.bank_run) if options.clip else None
        self._figures: dict[str, Figures] = {}

    @cached_property
    def about(self) -> Description:
        """The diffusion model, not loaded, and checked to be the one the bank was made with.

        Raises:
            ModelError: it is another one.
        """
        about = describe_model(self._source, self.options)
        made_with = self.bank_run.models["diffusion"]
        if about.fingerprint != made_with["fingerprint"]:
            raise ModelError(
                f"expected the model of the bank ({made_with['source']}), got another ({self._source})",
                self.options.bank,
                "Embeddings only mean something to the model they were learnt with: pass it with --model, "
                "or run `aligndiff invert` again with this one",
            )
        return about

    @cached_property
    def model(self) -> DiffusionModel:
        """The diffusion model, loaded when first needed."""
        return load_model(self._source, self.options)

    @cached_property
    def at_once(self) -> AtOnce:
        """How many images are sampled together."""
        from aligndiff_cli.models.at_once import AtOnce

        return AtOnce(self.options.batch)

    @cached_property
    def sample_options(self) -> SampleOptions:
        """The sampling settings, with the model's own values filled in."""
        o, d = self.options, self.about.defaults
        return SampleOptions(
            height=o.height or self.about.image_size[0],
            width=o.width or self.about.image_size[1],
            steps=o.steps or d.steps,
            guidance=d.guidance if o.guidance is None else o.guidance,
            scheduler=o.scheduler or d.scheduler,
            attention_levels=o.attention_levels or d.attention_levels,
            attention_tokens=o.attention_tokens or d.attention_tokens,
            attention_scaling=o.attention_scaling or d.attention_scaling,
        )

    def verify(self) -> None:
        """Refuse settings that the model cannot be sampled with (UsageError)."""
        from aligndiff_cli.models.diffusion.sampling import check_sampling

        strength = self.options.strength if self._starts else None
        check_sampling(self.model, self.sample_options, strength)
        if self.prompting.negates:
            check_sampling(self.model, replace(self.sample_options, negative="anything"), strength)

    def resolved(self) -> GenerateOptions:
        """The options with the model's own settings filled in."""
        s, about = self.sample_options, self.about
        return replace(
            self.options,
            steps=s.steps,
            guidance=s.guidance,
            scheduler=s.scheduler,
            attention=",".join(map(str, s.attention_levels or ())),
            attention_tokens=s.attention_tokens,
            attention_scaling=s.attention_scaling,
            height=s.height,
            width=s.width,
            dtype=about.precision,
            vae_tiling=about.tiles(s.height or 0, s.width or 0),
        )

    def facts(self) -> dict[str, Any]:
        """Where the model's coarse masks are to be cut, for the stages that read them."""
        return {"mask_threshold": self.about.defaults.mask_threshold}

    def told(self) -> dict[str, Any]:
        """The digest of the file of prompts, and what marks pictures."""
        return {**self.prompting.told(), **(self.scorer.told() if self.scorer else {})}

    def models(self) -> dict[str, dict[str, str]]:
        """The diffusion model."""
        return {"diffusion": {"source": self._source, "fingerprint": self.about.fingerprint}}

    def plan(self) -> Plan:
        """Every image of every class of the bank, a batch never mixing classes or kinds.

        Raises:
            FolderError: the bank is empty.
        """
        records = read_records(self.options.bank)
        if not records:
            raise FolderError("the bank holds no embedding", self.options.bank, "Run `aligndiff invert` first")
        tell_if_in_use(self.options.bank)
        problems = torn_records(self.options.bank)
        self._embeddings = self._read_bank(records.values(), problems)
        classes = sorted({record.cls for record in records.values()})
        self.prompting.check(classes, set(kinds_of(self._counts())))
        groups: list[Sequence[Item]] = []
        for cls in classes:
            try:
                self.prompting.check_prompts(self.about, cls, None)
            except InputError as error:
                problems.append(InputError(error.what, error.where or self.options.bank / cls, error.remedy))
                continue
            own = sorted((record for record in records.values() if record.cls == cls), key=lambda record: record.id)
            groups += list(chunks(self._inverted(cls, own), self.options.batch))
            groups += list(chunks(self._text(cls), self.options.batch))
        return Plan(groups, problems)

    def _read_bank(self, records: Collection[Record], problems: list[InputError]) -> dict[str, str]:
        """Record id -> its file, of the embeddings that can be used; why others cannot is added to ``problems``."""
        usable = {}
        for record in records:
            name = next((name for name in record.outputs if name.endswith(bank.SUFFIX)), f"{record.id}{bank.SUFFIX}")
            path = contained(self.options.bank, name)
            try:
                embedding = bank.peek_embedding(path)
                width = embedding.vectors.shape[1]
                if width != self.about.embedding_dim:
                    what = f"expected an embedding of width {self.about.embedding_dim}, got {width}"
                    raise InputError(what, path, "It was learnt with another model: put back the one that was here")
                self.prompting.check_prompts(self.about, record.cls, embedding)
            except (InputError, UsageError) as error:  # the template is the file's, not the command's
                problems.append(InputError(error.what, error.where or path, error.remedy))
            else:
                usable[record.id] = name
        if self._starts:
            usable = {r.id: usable[r.id] for r in records if r.id in usable and self._starts.usable(r, problems)}
        return usable

    def _counts(self) -> tuple[int, int]:
        inverted = round(self.options.per_class * self.options.inverted_share)
        return inverted, self.options.per_class - inverted

    def _inverted(self, cls: str, records: Sequence[Record]) -> Iterator[Item]:
        """Items with v*: the embeddings of a class take turns; the turns of one that cannot be used are left out."""
        for n in range(self._counts()[0]):
            record = records[n % len(records)]
            if record.id in self._embeddings:
                name = self._embeddings[record.id]
                item_id = f"{cls}/{INVERTED}-{n:04d}"
                real, start = self._starts.of_item(record, item_id) if self._starts else ({}, NOISE)
                yield self._item(item_id, cls, name, {"kind": INVERTED, "embedding": record.id, **start}, real)

    @cache  # noqa: B019  one stage object per process
    def _bank_digest(self, name: str) -> str:
        return file_digest(contained(self.options.bank, name))

    def _text(self, cls: str) -> Iterator[Item]:
        for n in range(self._counts()[1]):
            yield self._item(f"{cls}/{TEXT}-{n:04d}", cls, "", {"kind": TEXT, **NOISE}, {})

    def _item(
        self, item_id: str, cls: str, embedding: str, parameters: dict[str, object], real: Mapping[str, str]
    ) -> Item:
        """One picture; ``embedding`` is its file in the bank, if it has one, `real` digests of what it starts from."""
        inputs = {embedding: self._bank_digest(embedding)} if embedding else {}
        drawn = self.prompting.parameters(cls, str(parameters["kind"]), item_id, self.options.seed)
        return Item(item_id, cls, {**inputs, **real, **self.prompting.inputs(cls)}, {**parameters, **drawn})

    def run(self, group: Sequence[Item], wanted: Set[str], advance: Callable[..., None]) -> Iterator[Made]:
        """Sample one batch and have its images and coarse maps written.

        A batch is always full: the last bits of an image depend on how many are drawn with it, and more may be asked
        for later. For the same reason a record tells where memory held only a part of it.
        """
        for drawn in self.at_once.parts(len(group), lambda part: list(self._draw(group[part]))):
            for item, image, soft, mask in drawn:
                if item.id in wanted:
                    write = partial(self._write, item.id, image, soft, mask)
                    yield Made(item, measured=self.at_once.measured(), write=write)
        advance(len(group), group[0].cls)

    def _draw(self, group: Sequence[Item]) -> Iterator[tuple[Item, np.ndarray, np.ndarray, np.ndarray | None]]:
        """Each item with what was drawn for it: its image, its coarse map, and the real mask it has."""
        from aligndiff_cli.models.diffusion.sampling import sample

        prompts = [self._prompt(item) for item in group]
        seeds = [item_seed(self.options.seed, item.id) for item in group]
        empty = self.at_once.size - len(group)
        options = replace(self.sample_options, negative=self.prompting.negative(group[0].cls))
        start, masks = self._start(group)
        try:
            images, coarse = sample(
                self.model, prompts + prompts[-1:] * empty, seeds + seeds[-1:] * empty, options, start
            )
        except ModelError as error:
            names = ", ".join(
                sorted({item.parameters["embedding"] for item in group if "embedding" in item.parameters})
            )
            if not names:
                raise  # the model itself, which will do no better with other prompts
            raise GroupError(f"{error.what}, with the embeddings {names}", self.options.bank, error.remedy) from error
        assert coarse is not None  # SampleOptions.capture is on
        for item, prompt, seed, image, soft, mask in zip(group, prompts, seeds, images, coarse, masks, strict=False):
            told = {**item.parameters, "prompt": str(prompt), "seed": seed}
            yield replace(item, parameters=told), image, soft, mask

    def _write(
        self, item_id: str, image: np.ndarray, soft: np.ndarray, mask: np.ndarray | None
    ) -> tuple[list[str], dict[str, float]]:
        """Write an image, its coarse map, and the real mask it has; the files, and how much the coarse mask covers."""
        pictures = {layout.IMAGES: image, layout.COARSE: quantise(soft)}
        if mask is not None:
            pictures[layout.REAL] = mask
        files = {f"{folder}/{item_id}.png": picture for folder, picture in pictures.items()}
        for name, picture in files.items():
            write_png(self.out / name, picture)
        covered = float((soft >= self.model.defaults.mask_threshold).mean())
        return list(files), {"coarse_area": round(covered, 4)}

    def _start(self, group: Sequence[Item]) -> tuple[Start | None, Sequence[np.ndarray | None]]:
        """What a full batch starts from, and the real mask of each item."""
        if not self._starts or group[0].parameters["start"] == "noise":
            return None, [None] * len(group)
        height, width = self.sample_options.height or 0, self.sample_options.width or 0
        return self._starts.of_group(group, self.at_once.size, height, width)

    def _prompt(self, item: Item) -> Prompt:
        embedding = None
        if item.parameters["kind"] == INVERTED:
            embedding = bank.read_embedding(
                contained(self.options.bank, self._embeddings[item.parameters["embedding"]])
            )
        return self.prompting.prompt(item.cls, item.parameters.get("template"), embedding)

    def review(self, records: Mapping[str, Record], progress: Progress) -> Iterator[Record]:
        """Score the pictures, where that is asked for, and see how different they are."""
        looks = Looks(self.out, records)
        unscored = len(self.scorer.pending(records)) if self.scorer else 0
        progress.start(unscored + looks.pending(), "looks")
        if self.scorer:
            yield from self.scorer.score(records, progress.advance)
        looks.update(progress.advance)
        self._figures = looks.figures

    def finish(self, records: Mapping[str, Record]) -> Summary:
        """A contact sheet and a line of the table for each class."""
        rows, pictures = [], []
        scored = any(SCORED_BY in record.measured for record in records.values())
        for cls in sorted({record.cls for record in records.values()}):
            own = [record for record in records.values() if record.cls == cls]
            kinds = {
                kind: sorted((r for r in own if r.parameters["kind"] == kind), key=lambda r: r.id)
                for kind in (INVERTED, TEXT)
            }
            shown = [r for chosen in kinds.values() for r in chosen[:SHOWN]]
            path = self.out / layout.PICTURES / f"{cls}.png"
            draw_unless_same(path, [(r.id, r.outputs) for r in shown], partial(self._sheet, cls, shown))
            pictures.append(path)
            area = sum(r.measured["coarse_area"] for r in own) / len(own)
            figures = self._figures[cls]
            rows.append([cls, str(len(kinds[INVERTED])), str(len(kinds[TEXT])), f"{area:.0%}"])
            rows[-1] += [f"{figures.mean:.2f}", str(figures.near), *(score_cells(own) if scored else [])]
        following = f"aligndiff mask --images {self.out} --support {self._support()} --out masks/"
        columns = ["class", "inverted", "text", "coarse mask covers", "diversity", f"near-duplicates (< {NEAR:g})"]
        columns += SCORE_COLUMNS if scored else []
        return Summary(columns, rows, pictures, following)

    def _sheet(self, cls: str, shown: Sequence[Record]) -> np.ndarray:
        def read(folder: str, record: Record) -> np.ndarray:
            return (read_image if folder == layout.IMAGES else read_soft)(self.out / folder / f"{record.id}.png")

        return generation_sheet(cls, [(read(layout.IMAGES, r), read(layout.COARSE, r), r.id) for r in shown])

    def _support(self) -> str:
        """The support folder the bank was made from, as the next command would name it."""
        folder = self.bank_run.inputs.get("images")
        return "support/" if folder is None else relative_to_folder(self.options.bank / folder, Path.cwd())
