"""Learn an embedding for each image-mask pair: normalized masked textual inversion (paper 3.4, Eq. 3)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from aligndiff_cli.disk import bank, layout
from aligndiff_cli.disk.digest import file_digest
from aligndiff_cli.disk.images import Orientation, write_png
from aligndiff_cli.disk.support import Pair, load_pair, load_usable, scan_support
from aligndiff_cli.engine.manifest import Record, read_records
from aligndiff_cli.engine.run_file import RunFile, relative_to_folder
from aligndiff_cli.engine.runner import Item, Made, Plan, Summary, options_dict
from aligndiff_cli.errors import FolderError, GroupError, InputError, UsageError, first_few
from aligndiff_cli.method.framing import framed
from aligndiff_cli.method.prompts import Prompt, class_words
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.diffusion.inversion import Instance, Inversion, invert
from aligndiff_cli.models.diffusion.inversion_options import InversionOptions
from aligndiff_cli.models.diffusion.load import load_diffusion
from aligndiff_cli.models.diffusion.model import DiffusionModel
from aligndiff_cli.models.diffusion.sampling import SampleOptions, sample
from aligndiff_cli.report.sheets import inversion_sheet
from aligndiff_cli.stages.common import (
    POCKET,
    POCKET_NOTE,
    chunks,
    model_folder,
    oriented,
    parse_dtype,
    tiling,
    versions,
)

log = logging.getLogger(__name__)

PER = ("instance", "class")


@dataclass(frozen=True)
class InvertOptions:
    """What `aligndiff invert` was asked for; None leaves a setting to the model."""

    images: Path
    masks: Path | None
    mask_orientation: Orientation
    out: Path
    steps: int | None
    learning_rate: float | None
    background_weight: float
    loss: str
    insertion: str
    per: str
    vectors: int
    initializer: str
    template: str
    batch: int | None
    accumulation: int | None
    flip: float
    framing: str
    latent_mask: str
    instances: int
    preview: int
    model: str | None
    dtype: str | None
    device: str
    offload: bool
    vae_tiling: bool | None
    compile: bool
    seed: int


class InvertStage:
    """support/ -> bank/<class>/<stem>.safetensors."""

    unit = "steps"

    def __init__(self, options: InvertOptions) -> None:
        if options.per not in PER:
            raise UsageError(f"--per: expected one of {', '.join(PER)}, got {options.per!r}")
        self.options = options
        self.out = options.out
        self._source = options.model or POCKET
        self.notes = () if options.model else (POCKET_NOTE,)
        # before the model is loaded: it may be the wrong folder
        self._scan = scan_support(options.images, options.masks, options.mask_orientation)
        self._pairs: dict[str, list[Pair]] = {}
        self._tokens: dict[str, str] = {}

    @cached_property
    def model(self) -> DiffusionModel:
        """The diffusion model, loaded when first needed."""
        o = self.options
        return load_diffusion(
            model_folder(self._source),
            device=o.device,
            dtype=parse_dtype(o.dtype),
            offload=o.offload,
            vae_tiling=o.vae_tiling,
            compiled=o.compile,
        )

    @cached_property
    def inversion(self) -> InversionOptions:
        """The settings of Eq. 3, with the model's own values filled in."""
        o, d = self.options, self.model.defaults
        return InversionOptions(
            steps=o.steps or d.inversion_steps,
            learning_rate=d.inversion_learning_rate if o.learning_rate is None else o.learning_rate,
            batch=o.batch or d.inversion_batch,
            accumulation=o.accumulation or d.inversion_accumulation,
            background_weight=o.background_weight,
            loss=o.loss,  # type: ignore[arg-type]  # InversionOptions checks it
            flip=o.flip,
            vectors=o.vectors,
            initializer=o.initializer,
            template=o.template,
            insertion=o.insertion,  # type: ignore[arg-type]
            framing=o.framing,  # type: ignore[arg-type]
            mask_mode=o.latent_mask,  # type: ignore[arg-type]
        )

    def describe(self) -> RunFile:
        """How this run will learn its embeddings."""
        o = self.options
        inputs = {"images": o.images} | ({"masks": o.masks} if o.masks else {})
        return RunFile(
            "invert",
            options_dict(self.inversion, without=())
            | {"per": o.per, "instances": o.instances, "preview": o.preview, "dtype": str(self.model.dtype)}
            | tiling(self.model, self.inversion.size or self.model.image_size)
            | oriented(o.mask_orientation),
            o.seed,
            {name: relative_to_folder(path, o.out) for name, path in inputs.items()},
            {"diffusion": {"source": self._source, "fingerprint": self.model.fingerprint}},
            versions(),
        )

    def plan(self) -> Plan:
        """One item per good pair (or per class), several in a batch.

        Raises:
            FolderError: no pair can be used.
        """
        problems = list(self._scan.problems)
        self._pairs = {}
        unfit = self._unfit_classes({pair.cls for pair in self._scan.pairs})
        problems += unfit.values()
        fitting = (pair for pair in self._scan.pairs if pair.cls not in unfit)
        for pair, _ in load_usable(fitting, problems):
            item_id = pair.cls if self.options.per == "class" else f"{pair.cls}/{pair.stem}"
            self._pairs.setdefault(item_id, []).append(pair)
        if not self._pairs:
            raise FolderError(f"no image-mask pair can be used: {first_few(problems)}", self.options.images)
        there = {str(record.parameters.get("token")): record.id for record in read_records(self.out).values()}
        self._tokens = bank.prompt_tokens(self._pairs, there)
        return Plan(list(chunks(map(self._item, self._pairs), self.options.instances)), problems)

    def _unfit_classes(self, classes: Set[str]) -> dict[str, InputError]:
        """Classes whose name is too long for a prompt, so that they do not spoil the batch they would be in."""
        o = self.inversion
        word = self.model.word_embedding(o.initializer)[:1].expand(o.vectors, -1)
        unfit = {}
        for cls in sorted(classes):
            try:
                self.model.encode_prompts([Prompt(o.template, class_words(cls), word, o.insertion)])
            except InputError as error:
                unfit[cls] = InputError(error.what, self.options.images / cls, error.remedy)
        return unfit

    def _item(self, item_id: str) -> Item:
        pairs = self._pairs[item_id]
        inputs = {}
        for pair in pairs:
            inputs[f"{pair.cls}/{pair.image.name}"] = file_digest(pair.image)
            inputs[f"{pair.cls}/{pair.mask.name} (mask)"] = file_digest(pair.mask)
        token = self._tokens[item_id]
        if token != f"<{item_id}>":
            log.info("The token of %s is %s, in the form that tokenizers leave a prompt in", item_id, token)
        return Item(item_id, pairs[0].cls, inputs, {"token": token})

    def units(self, group: Sequence[Item]) -> int:
        """Optimization steps; a batch of instances takes each step together."""
        return self.inversion.steps

    def run(self, group: Sequence[Item], wanted: Set[str], advance: Callable[..., None]) -> Iterator[Made]:
        """Learn the embeddings of one batch of instances."""
        note = ", ".join(item.id for item in group)
        instances = [self._instance(item.id) for item in group]
        seeds = [item_seed(self.options.seed, item.id) for item in group]
        learnt = invert(
            self.model,
            instances,
            self.inversion,
            seeds,
            lambda step, total, loss: advance(1, f"loss {loss:.4f}  {note[:60]}"),
        )
        asked = [found for found in zip(group, instances, learnt, strict=True) if found[0].id in wanted]
        good = [found for found in asked if not found[2].diverged]
        problems = []
        if failed := ", ".join(item.id for item, _, inversion in asked if inversion.diverged):
            remedy = "Use a lower --lr, or --dtype float32"
            problems = [GroupError(f"the embedding of {failed} diverged", self.options.images, remedy)]
        if problems and not good:
            raise problems[0]
        for number, found in enumerate(good):
            made = self._write(*found)
            yield made if number else replace(made, problems=problems)

    def _instance(self, item_id: str) -> Instance:
        """The pairs of an item, framed as the model will see them."""
        height, width = self.model.image_size
        images, masks = [], []
        for pair in self._pairs[item_id]:
            image, mask = framed(*load_pair(pair), height / width, self.inversion.framing)
            images.append(image)
            masks.append(mask)
        return Instance(class_words(self._pairs[item_id][0].cls), tuple(images), tuple(masks))

    def _write(self, item: Item, instance: Instance, inversion: Inversion) -> Made:
        files = [f"{item.id}{bank.SUFFIX}"]
        header = {
            "class": item.cls,
            "template": self.inversion.template,
            "insertion": self.inversion.insertion,
            "model": self.model.fingerprint,
        }
        embedding = bank.Embedding(self._tokens[item.id], inversion.embedding, header, self.model.embedding_parts)
        bank.write_embedding(self.out / files[0], embedding)
        if self.options.preview:
            files.append(f"{layout.PICTURES}/{item.id}.png")
            write_png(self.out / files[1], self._preview(item.id, instance, inversion))
        measured = {
            "initial": inversion.initial._asdict(),
            "final": inversion.final._asdict(),
            "losses": [record._asdict() for record in inversion.losses],
        }
        return Made(item, files, measured)

    def _preview(self, item_id: str, instance: Instance, inversion: Inversion) -> np.ndarray:
        """A picture: what the embedding generates, beside its source."""
        prompt = Prompt(self.inversion.template, instance.class_name, inversion.embedding, self.inversion.insertion)
        count = self.options.preview
        seeds = [item_seed(self.options.seed, f"{item_id}/preview/{number}") for number in range(count)]
        images, _ = sample(self.model, [prompt] * count, seeds, SampleOptions(capture=False))
        return inversion_sheet(item_id, instance.images[0], instance.masks[0], list(images))

    def finish(self, records: Mapping[str, Record]) -> Summary:
        """Held-out losses before and after, per embedding."""
        rows = []
        for record in sorted(records.values(), key=lambda record: record.id):
            before, after = record.measured["initial"], record.measured["final"]
            rows.append(
                [record.id]
                + [f"{before[part]:.4f} → {after[part]:.4f}" for part in ("total", "foreground", "background")]
            )
        pictures = [self.out / name for r in records.values() for name in r.outputs if name.endswith(".png")]
        return Summary(
            ["embedding", "loss", "foreground", "background"],
            rows,
            pictures,
            f"aligndiff generate --bank {self.out} --out synth/",
        )
