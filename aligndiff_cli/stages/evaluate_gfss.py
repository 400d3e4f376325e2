"""Protocol ``gfss``: base and novel classes in one pass, with and without samples (paper 4.1, D.3, Table 1)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from aligndiff_cli.engine.folds import Place, places
from aligndiff_cli.engine.manifest import Record
from aligndiff_cli.engine.stage import Item, Made, Plan, Stage, Summary
from aligndiff_cli.errors import InputError, explained_by
from aligndiff_cli.evaluation.gfss import Confusion, RunResult, StepResult, confusion, last, over_steps
from aligndiff_cli.evaluation.gfss_tables import gfss_document, gfss_report
from aligndiff_cli.method.prompts import class_words
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.at_once import AtOnce
from aligndiff_cli.models.segmenters import POCKET
from aligndiff_cli.models.segmenters.backbone import load_backbone
from aligndiff_cli.models.semantic.deeplab import DeepLab
from aligndiff_cli.models.semantic.load import POCKET_NOVEL
from aligndiff_cli.models.semantic.methods import METHODS
from aligndiff_cli.models.semantic.novel import NovelSettings, learn, predict
from aligndiff_cli.models.semantic.task import Task
from aligndiff_cli.stages.gfss import data
from aligndiff_cli.stages.gfss.base_model import base_choice
from aligndiff_cli.stages.gfss.runs import Fold, Run, Runs, notes
from aligndiff_cli.stages.options.evaluate import GfssOptions
from aligndiff_cli.stages.results import read_parts, write_part, write_results

NOVEL = (
    "iterations",
    "batch",
    "backbone_lr",
    "classifier_lr",
    "distillation",
    "memory",
    "scale_low",
    "scale_high",
    "scale_of",
    "guided_share",
)
"""Options of the novel stage that are settings of a method under the same name."""
PREDICTED = 16
"""Most query images of one size predicted at once."""


class GfssStage(Stage[GfssOptions]):
    """base/ + support/ + query/ (+ masks/ or scenes/) -> results/."""

    unit = "steps"

    def __init__(self, options: GfssOptions) -> None:
        super().__init__(options)
        self.base_choice = base_choice(options)
        self.notes = notes(options)
        self.together = self.base_choice.workers > 1
        self._opened = Runs(options, self.base_choice)
        self._runs: dict[str, Run] = {}
        self._trained: dict[str, tuple[DeepLab, Any]] = {}
        self._at_once = AtOnce(PREDICTED)

    @cached_property
    def settings(self) -> NovelSettings:
        """Settings of the novel stage: the user's, else the method's own."""
        o = self.options
        own = METHODS[o.method].defaults()
        if o.backbone is None:
            own = replace(own, **{k: v for k, v in POCKET_NOVEL.items() if k != "iterations" or own.iterations})
        given = {name: value for name in NOVEL if (value := getattr(o, name)) is not None}
        if not own.iterations:  # the method trains nothing, however many iterations the others are given
            given.pop("iterations", None)
        if o.crop is not None:
            given["crop"] = (o.crop, o.crop)
        return replace(own, **given)

    def verify(self) -> None:
        """Load the backbone, which may be none that a base model can be made of."""
        load_backbone(self.options.backbone or POCKET)

    def resolved(self) -> GfssOptions:
        """The options with the method's own settings, and those of the base stage, filled in."""
        base = self.base_choice.settings
        return replace(
            self.options,
            **{name: getattr(self.settings, name) for name in NOVEL},
            crop=self.settings.crop[0],
            epochs=base.epochs,
            base_batch=base.batch,
            base_lr=base.learning_rate,
            output_stride=self.base_choice.architecture.output_stride,
        )

    def facts(self) -> dict[str, Any]:
        """How many workers learn together, on which the weights depend."""
        return {"data_parallel": self.base_choice.workers}

    def models(self) -> Mapping[str, Mapping[str, str]]:
        """The backbone."""
        return self.base_choice.models

    def plan(self) -> Plan:
        """One item per fold and run."""
        problems: list[InputError] = []
        with explained_by(problems):
            items = [[self._item(place, problems)] for place in places(self.options.folds, self.options.runs)]
        return Plan(items, list({str(problem): problem for problem in problems}.values()))

    def _item(self, place: Place, problems: list[InputError]) -> Item:
        self._runs[place.id], inputs = self._opened.open(place, problems)
        return Item(place.id, place.id, inputs, {"fold": place.fold, "run": place.run})

    def preparation(self, groups: Sequence[Sequence[Item]]) -> int:
        """Steps of the base training of the folds concerned."""
        return sum(fold.model.steps for fold in self._folds_of(groups))

    def prepare(self, groups: Sequence[Sequence[Item]], advance: Callable[..., None]) -> None:
        """Train the models of the base classes."""
        wanted = {fold.name for fold in self._folds_of(groups)}
        for name, fold in self._opened.folds.items():
            if self.together:  # all workers come here, whatever is left to each, and the first decides
                fold.model.train_together(name in wanted, advance)
            elif name in wanted:
                fold.model.train(advance)

    def _folds_of(self, groups: Sequence[Sequence[Item]]) -> list[Fold]:
        return list({(fold := self._runs[item.id].fold).name: fold for group in groups for item in group}.values())

    def units(self, group: Sequence[Item]) -> int:
        """Optimization steps and query images."""
        total = 0
        for item in group:
            fold = self._runs[item.id].fold
            total += len(self._groups(fold)) * (self.settings.iterations + len(fold.query.images))
        return total

    def _groups(self, fold: Fold) -> list[list[int]]:
        """Rows of the novel classes, in the groups in which they are learnt."""
        first, count = 1 + len(fold.rows.base), len(fold.rows.novel)
        size = self.options.classes_per_step or count
        rows = list(range(first, first + count))
        return [rows[at : at + size] for at in range(0, count, size)]

    def run(self, group: Sequence[Item], wanted: Set[str], advance: Callable[..., None]) -> Iterator[Made]:
        """Learn the novel classes of one run, and evaluate after every step."""
        for item in group:
            run = self._runs[item.id]
            result = self._evaluate(run, lambda units, note=item.id: advance(units, note))  # type: ignore[misc]
            name = write_part(self.out, item.cls, result.to_json())
            final, mean = last(result), over_steps(result)
            measured = {
                "last": {"base": final.base, "novel": final.novel, "hm": final.hm},
                "mean over steps": {"base": mean.base, "novel": mean.novel, "hm": mean.hm},
                **self._at_once.measured(),
            }
            yield Made(item, [name], measured)

    def _evaluate(self, run: Run, advance: Callable[[int], None]) -> RunResult:
        fold, o = run.fold, self.options
        trained, study = self._base(fold)
        seed = item_seed(o.seed, f"gfss/{fold.name}/{run.number}")
        folders = {class_words(cls): cls for cls in run.shots}
        novel = {}
        for number in fold.rows.novel:
            cls = folders[class_words(fold.rows.names[number])]
            novel[fold.rows.row(number)] = data.novel_class(
                number, fold.rows, run.shots[cls], run.label_maps.get(cls, {}), run.synthetic.get(cls, [])
            )
        task = Task(
            fold.base.images,
            fold.base.shown,
            len(fold.rows.base),
            novel,
            bool(run.label_maps),
            o.layout,
            () if run.scenes is None else run.scenes.images,
            o.inverted_share,
            seed,
            study,
        )
        method = METHODS[o.method](copy.deepcopy(trained), task, self.settings)
        numbers = fold.rows.numbers
        steps = []
        for step, learnt in learn(method, self._groups(fold), advance):
            seen = tuple(int(numbers[row]) for row in learnt)
            steps.append(StepResult(step, seen, self._query(fold, method.model, seen, advance)))
        stems = {cls: [pair.stem for pair in pairs] for cls, pairs in run.shots.items()}
        return RunResult(fold.name, run.number, fold.rows.base, stems, steps)

    def _base(self, fold: Fold) -> tuple[DeepLab, Any]:
        """The base model and what the method wants to know of the base images, once per fold."""
        if fold.name not in self._trained:
            model = fold.model.load()
            study = METHODS[self.options.method].study(model, fold.base.images, fold.base.shown)
            self._trained = {fold.name: (model, study)}  # one fold at a time is held
        return self._trained[fold.name]

    def _query(self, fold: Fold, model: DeepLab, learnt: Sequence[int], advance: Callable[[int], None]) -> Confusion:
        """Single-pass evaluation at full resolution."""
        seen = (*fold.rows.base, *learnt)
        total = Confusion()
        waiting: list[tuple[np.ndarray, np.ndarray]] = []
        for index in range(len(fold.query.images) + 1):
            sample = fold.query.images[index] if index < len(fold.query.images) else None
            full = len(waiting) == PREDICTED
            if waiting and (sample is None or full or sample[0].shape != waiting[0][0].shape):
                for found, (_, labels) in zip(self._predict(model, [i for i, _ in waiting]), waiting, strict=True):
                    total = total + confusion(fold.rows.numbers[found], fold.rows.to_numbers(labels), seen)
                advance(len(waiting))
                waiting = []
            if sample is not None:
                waiting.append(sample)
        return total

    def _predict(self, model: DeepLab, images: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """The rows of the classifier (H, W) in each of some images of one size."""
        for found in self._at_once.parts(len(images), lambda part: predict(model, images[part])):
            yield from found

    def finish(self, records: Mapping[str, Record]) -> Summary:
        """Sum up, and write the tables."""
        results = [RunResult.from_json(part) for part in read_parts(self.out, records.values()).values()]
        if not results:
            return Summary([], [])
        names = {number: name for fold in self._opened.folds.values() for number, name in fold.rows.names.items()}
        document = gfss_document(results, names, self.describe().options)
        title = f"Generalized few-shot segmentation: {self.options.method}"
        return write_results(self.out, title, document, gfss_report(document))
