"""The grounding module as a refiner of masks ("GD" in the paper's tables): trained once, kept, and used again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import numpy as np

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.base import BaseFolder, open_base
from aligndiff_cli.disk.decoding import Orientation
from aligndiff_cli.disk.digest import as_in, joint_digest
from aligndiff_cli.engine.lock import one_at_a_time
from aligndiff_cli.engine.run_file import RunFile, own_run, relative_to_folder, write_run
from aligndiff_cli.engine.stage import plain
from aligndiff_cli.engine.versions import versions
from aligndiff_cli.errors import FolderError, InputError, first_few
from aligndiff_cli.labels import IGNORE
from aligndiff_cli.method.consensus import ESTIMATE_PROBABILITY, Refined, iou
from aligndiff_cli.method.grounding import object_window
from aligndiff_cli.models.diffusion.description import Description
from aligndiff_cli.models.diffusion.grounding import NOISE_LEVEL, GroundingSegmenter
from aligndiff_cli.models.diffusion.grounding_training import (
    GroundingSettings,
    is_trained,
    load_grounding,
    train_grounding,
)
from aligndiff_cli.models.diffusion.load import describe_diffusion, load_diffusion
from aligndiff_cli.models.diffusion.model import DiffusionModel
from aligndiff_cli.stages.common import model_folder
from aligndiff_cli.stages.masking.mask_methods import Advance, ClassImages, Refiner, Results, Words
from aligndiff_cli.stages.options.mask import MaskOptions

COMMAND = "grounding"
BASE_DATA = "base data"
"""What its run file calls their digest."""
MIN_PIXELS = 16
"""A smaller piece of an object is not trained on."""
MODEL_FACT = "diffusion model's fingerprint"
REMEDY = (
    "Leave out --base to use it as it is, pass another folder with --grounding, or remove this one to train it again"
)


class GroundingRefiner(Refiner):
    """Masks by a grounding module that has learnt the base classes, after Li et al. 2023 and smaller than theirs.

    Args:
        made_by: source of the diffusion model whose features it reads, unless the options name one.

    Raises:
        FolderError: there is no trained module and no base, or the folder's was trained on something else.
    """

    name = "grounding"
    unit = "steps"
    words = Words("with a mask", "without", "by the grounding module", "nothing found")

    def __init__(self, options: MaskOptions, made_by: str) -> None:
        o = self._options = options
        self._source = o.model or made_by
        self._base = None if o.base is None else named_base(o.base, o.mask_orientation)
        self._folder = o.grounding or o.out / "grounding"
        self._settings = GroundingSettings(
            o.grounding_steps,
            o.grounding_batch,
            o.grounding_lr,
            o.grounding_width,
            o.grounding_layers,
            o.grounding_dice,
        )
        self._objects: list[tuple[str, int]] = []
        if o.base is None and not is_trained(self._folder):
            raise FolderError(
                "holds no trained grounding module",
                self._folder,
                "Pass --base, labelled scenes to train on, or the folder of a trained one as --grounding",
            )

    @cached_property
    def about(self) -> Description:
        """The diffusion model, not loaded."""
        return describe_diffusion(model_folder(self._source), device=self._options.device)

    @cached_property
    def diffusion(self) -> DiffusionModel:
        """The diffusion model, loaded when first needed."""
        return load_diffusion(model_folder(self._source), device=self._options.device)

    @cached_property
    def segmenter(self) -> GroundingSegmenter:
        """The trained module at work."""
        return GroundingSegmenter(self.diffusion, load_grounding(self._folder, self.diffusion))

    @cached_property
    def trained_on(self) -> RunFile:
        """What the module is, or will be, trained on.

        Raises:
            FolderError: the folder's module was trained on something else.
        """
        before = own_run(self._folder, COMMAND, "--grounding")
        model = {"source": self._source, "fingerprint": self.about.fingerprint}
        if self._base is None:
            assert before is not None  # a trained module is there, so the folder is not empty
            wanted = RunFile(COMMAND, before.options, before.seed, before.inputs, {"diffusion": model}, before.versions)
        else:
            with nullcontext() if before is None else as_in(str(before.options.get(BASE_DATA, ""))):
                digest = base_digest(self._base)
            options = plain(asdict(self._settings)) | {"noise_level": NOISE_LEVEL, BASE_DATA: digest}
            if self._options.mask_orientation != "auto":  # modules trained before it could be said have no such entry
                options["mask_orientation"] = self._options.mask_orientation
            inputs = {"base": relative_to_folder(self._base.root, self._folder)}
            wanted = RunFile(COMMAND, options, self._options.seed, inputs, {"diffusion": model}, versions())
        if before is not None:
            check_same_training(self._folder, before, wanted)
        return wanted

    def model(self) -> dict[str, str]:
        return {"source": self.name, "fingerprint": joint_digest(_facts(self.trained_on), former=True)}

    def check(self) -> list[InputError]:
        """Find the objects to train on, unless that is done."""
        if self._base is None or is_trained(self._folder):
            return []
        self._objects, problems = find_objects(self._base)
        if not self._objects:
            why = f": {first_few(problems)}" if problems else ""
            raise FolderError(f"no picture shows a labelled object{why}", self._base.root, "Check its labels")
        return problems

    def preparation(self) -> int:
        """Training steps."""
        return 0 if is_trained(self._folder) else self._settings.steps

    def prepare(self, advance: Advance) -> None:
        """Train the module, or wait until another process has."""
        if is_trained(self._folder):
            self._check_training()
            return
        note = "training the grounding module"
        with one_at_a_time(self._folder, lambda: advance(0, f"another process is {note}")):
            self._check_training()
            if is_trained(self._folder):
                advance(self._settings.steps, note)
            else:
                self._train(lambda steps: advance(steps, note))

    def _check_training(self) -> None:
        """Refuse what another process has begun to train here otherwise since this run was described (FolderError)."""
        before = own_run(self._folder, COMMAND, "--grounding")
        if before is not None:
            check_same_training(self._folder, before, self.trained_on)

    def refine(self, group: ClassImages, advance: Advance) -> Results:
        for index, image in enumerate(group.images):
            mask = self.segmenter.predict(group.cls, [image])[0] >= ESTIMATE_PROBABILITY
            advance(1, group.cls)
            yield index, Refined(mask, iou(mask, group.coarse[index]), bool(mask.any()), 1)

    def _train(self, advance: Callable[[int], None]) -> None:
        assert self._base is not None
        write_run(self._folder, self.trained_on)
        names = self._base.classes or []
        train_grounding(self.diffusion, names, self._draw, self._settings, self._options.seed, self._folder, advance)

    def _draw(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        assert self._base is not None
        stem, cls = self._objects[int(rng.integers(len(self._objects)))]
        image, labels = self._base.load(stem)
        return object_window(rng, image, labels, cls, self.diffusion.image_size)


def named_base(base: Path, orientation: Orientation = "auto") -> BaseFolder:
    """Labelled scenes whose classes have names.

    Raises:
        FolderError: it is not one, or has no classes.txt.
    """
    folder = open_base(base, orientation=orientation)
    if folder.classes is None:
        raise FolderError(
            f"has no {layout.CLASSES}, and the grounding module asks by name", base, "Add it: line i names class i"
        )
    return folder


def find_objects(base: BaseFolder) -> tuple[list[tuple[str, int]], list[InputError]]:
    """Stem and class of everything that can be trained on, and the items that cannot be read."""
    objects: list[tuple[str, int]] = []
    problems = list(base.problems)
    for stem in base.stems:
        try:
            _, labels = base.load(stem)
        except InputError as error:
            problems.append(error)
            continue
        values, counts = np.unique(labels, return_counts=True)
        kept = values[(values > 0) & (values != IGNORE) & (counts >= MIN_PIXELS)]
        objects += [(stem, int(cls)) for cls in kept]
    return objects, problems


def base_digest(base: BaseFolder) -> str:
    """One digest for the pictures, labels and class names of a split; a missing file counts as missing."""
    digests = {"classes": joint_digest({str(i): name for i, name in enumerate(base.classes or [])})}
    for stem in base.stems:
        try:
            digests |= {f"{stem} {name}": digest for name, digest in base.digests(stem).items()}
        except InputError:
            digests[stem] = "missing"
    return joint_digest(digests)


def check_same_training(folder: Path, before: RunFile, wanted: RunFile) -> None:
    """Refuse a module that was trained on something else (FolderError that names the first difference)."""
    old, new = _facts(before), _facts(wanted)
    for name in sorted(old.keys() | new.keys()):
        if old.get(name) != new.get(name):
            raise FolderError(
                f"the grounding module was trained with {name} = {old.get(name)}, now it is {new.get(name)}",
                folder,
                REMEDY if name != MODEL_FACT else "Pass another folder with --grounding, or the model with --model",
            )


def _facts(run: RunFile) -> dict[str, str]:
    """What decides the weights, by name."""
    facts = {name: str(value) for name, value in run.options.items()}
    fingerprint = run.models.get("diffusion", {}).get("fingerprint", "unknown")
    return {**facts, "seed": str(run.seed), MODEL_FACT: fingerprint}
