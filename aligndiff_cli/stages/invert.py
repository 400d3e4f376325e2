"""Learn an embedding for each image-mask pair: normalized masked textual inversion (paper 3.4, Eq. 3)."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from aligndiff_cli.disk import bank, layout
from aligndiff_cli.disk.digest import file_digest
from aligndiff_cli.disk.images import write_png
from aligndiff_cli.disk.support import PairFiles, load_pair, load_usable, scan_support
from aligndiff_cli.engine.manifest import Record, read_records
from aligndiff_cli.engine.stage import Item, Made, Plan, Stage, Summary
from aligndiff_cli.errors import FolderError, GroupError, InputError, first_few
from aligndiff_cli.method.framing import framed
from aligndiff_cli.method.prompts import Prompt, class_words
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.diffusion.description import Description
from aligndiff_cli.models.diffusion.inversion_options import InversionOptions, suggested
from aligndiff_cli.models.diffusion.sampling_options import SampleOptions
from aligndiff_cli.report.sheets import inversion_sheet
from aligndiff_cli.stages.common import (
    POCKET,
    POCKET_NOTE,
    chunks,
    describe_model,
    load_model,
)
from aligndiff_cli.stages.options.invert import InvertOptions

if TYPE_CHECKING:
    from aligndiff_cli.models.at_once import AtOnce
    from aligndiff_cli.models.diffusion.inversion import Instance, Inversion
    from aligndiff_cli.models.diffusion.model import DiffusionModel

log = logging.getLogger(__name__)


class InvertStage(Stage[InvertOptions]):
    """support/ -> bank/<class>/<stem>.safetensors."""

    unit = "steps"

    def __init__(self, options: InvertOptions) -> None:
        super().__init__(options)
        self._source = options.model or POCKET
        self.notes = () if options.model else (POCKET_NOTE,)
        # before the model is loaded: it may be the wrong folder
        self._scan = scan_support(options.images, options.masks, options.mask_orientation)
        self._pairs: dict[str, list[PairFiles]] = {}
        self._tokens: dict[str, str] = {}

    @cached_property
    def about(self) -> Description:
        """The diffusion model, not loaded."""
        return describe_model(self._source, self.options)

    @cached_property
    def model(self) -> DiffusionModel:
        """The diffusion model, loaded when first needed."""
        return load_model(self._source, self.options)

    @cached_property
    def at_once(self) -> AtOnce:
        """How many instances are learnt together."""
        from aligndiff_cli.models.at_once import AtOnce

        return AtOnce(self.options.instances)

    @cached_property
    def inversion(self) -> InversionOptions:
        """The settings of Eq. 3, with the model's own values filled in."""
        o = self.options
        return suggested(
            self.about.defaults,
            steps=o.steps,
            learning_rate=o.lr,
            batch=o.batch,
            accumulation=o.gradient_accumulation,
            background_weight=o.background_weight,
            loss=o.loss,
            flip=o.flip,
            vectors=o.num_vectors,
            initializer=o.initializer,
            templates=o.template,
            insertion=o.insertion,
            framing=o.framing,
            mask_mode=o.latent_mask,
            checkpointing=o.checkpointing,
        )

    def verify(self) -> None:
        """Refuse an initializer that the model has no token for (ModelError)."""
        self.model.word_embedding(self.inversion.initializer)

    def resolved(self) -> InvertOptions:
        """The options with the model's own settings filled in."""
        s, about = self.inversion, self.about
        return replace(
            self.options,
            steps=s.steps,
            lr=s.learning_rate,
            batch=s.batch,
            gradient_accumulation=s.accumulation,
            dtype=about.precision,
            vae_tiling=about.tiles(*(s.size or about.image_size)),
        )

    def told(self) -> dict[str, Any]:
        """Whether memory was saved; the embeddings are the same."""
        return {"checkpointing": True} if self.options.checkpointing else {}

    def models(self) -> dict[str, dict[str, str]]:
        """The diffusion model."""
        return {"diffusion": {"source": self._source, "fingerprint": self.about.fingerprint}}

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
        v: Any = np.zeros((o.vectors, self.about.embedding_dim), np.float32)  # only its shape counts here
        unfit = {}
        for cls in sorted(classes):
            try:
                for template in o.templates:
                    self.about.check_prompt(Prompt(template, class_words(cls), v, o.insertion))
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
        instances = [self._instance(item.id) for item in group]
        learnt = self._learn(group, instances, advance)
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

    def _learn(
        self, group: Sequence[Item], instances: Sequence[Instance], advance: Callable[..., None]
    ) -> list[Inversion]:
        """The embeddings of a batch, in parts where memory does not hold it; a step of a part is a part of a step."""
        from aligndiff_cli.models.diffusion.inversion import invert

        seeds = [item_seed(self.options.seed, item.id) for item in group]
        note = ", ".join(item.id for item in group)
        told = 0

        def learn(part: slice) -> list[Inversion]:
            def tell(step: int, total: int, loss: float) -> None:
                nonlocal told
                done = (part.start * total + (part.stop - part.start) * step) // len(group)
                advance(max(0, done - told), f"loss {loss:.4f}  {note[:60]}")
                told = max(told, done)

            return invert(self.model, instances[part], self.inversion, seeds[part], tell)

        return [learnt for part in self.at_once.parts(len(group), learn) for learnt in part]

    def _instance(self, item_id: str) -> Instance:
        """The pairs of an item, framed as the model will see them."""
        from aligndiff_cli.models.diffusion.inversion import Instance

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
            "template": self.inversion.templates[0],
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
            **self.at_once.measured(),
        }
        return Made(item, files, measured)

    def _preview(self, item_id: str, instance: Instance, inversion: Inversion) -> np.ndarray:
        """A picture: what the embedding generates, beside its source."""
        from aligndiff_cli.models.diffusion.sampling import sample

        prompt = Prompt(self.inversion.templates[0], instance.class_name, inversion.embedding, self.inversion.insertion)
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
