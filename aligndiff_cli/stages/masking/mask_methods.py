"""The ways `aligndiff mask` makes masks of coarse ones, behind one interface; each is chosen by --segmenter.

Besides Algorithm 1 with a few-shot segmenter there are the baselines the paper compares it with: the attention cut at
its threshold and noise learning (here), and a grounding module (``stages/masking/grounding.py``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from aligndiff_cli.disk.digest import file_digest, joint_digest
from aligndiff_cli.disk.images import Orientation
from aligndiff_cli.disk.support import Pair, load_pair, load_usable, scan_support
from aligndiff_cli.errors import InputError, UsageError
from aligndiff_cli.method.consensus import Image, Keep, Mask, Refined, iou, refine
from aligndiff_cli.method.noise_learning import learn_noise
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.device import pick_device
from aligndiff_cli.models.noise_learner import NoiseLearner, NoiseSettings
from aligndiff_cli.models.segmenters import POCKET, Segmenter
from aligndiff_cli.models.segmenters.backbone import load_backbone
from aligndiff_cli.stages.common import SEGMENTER_NOTE, SegmenterChoice, oriented

Advance = Callable[..., None]
Results = Iterator[tuple[int, Refined]]
SET_OF_IMAGES = "set of images of its class"
"""Name of the input of a mask that tells which other images it depends on."""


@dataclass(frozen=True)
class Words:
    """What the two kinds of masks are called: in the table, and as headings of the overlay sheet."""

    kept: str
    rest: str
    kept_heading: str
    rest_heading: str


@dataclass(frozen=True)
class ClassImages:
    """The images of one class; ``images`` and ``coarse`` are in step with ``ids`` and read when asked for."""

    cls: str
    ids: Sequence[str]
    images: Sequence[Image]
    coarse: Sequence[Mask]


class Refiner(Protocol):
    """Refines the coarse masks of one class at a time.

    Attributes:
        name: what --segmenter calls it.
        unit: what progress is counted in.
        words: see ``Words``.
        most_shown: most kept pairs that a segmenter is shown for the rest; None for all, or where none is.
        notes: lines the user should read before it starts.
    """

    name: str
    unit: str
    words: Words
    notes: Sequence[str]

    @property
    def most_shown(self) -> int | None: ...

    def describe(self) -> tuple[dict[str, Any], dict[str, Path], dict[str, str]]:
        """Options that decide the masks, folders read besides the images, and the network's source and fingerprint."""
        ...

    def check(self) -> list[InputError]:
        """Read through what is needed besides the images; what of it cannot be used."""
        ...

    def inputs(self, cls: str, images: Mapping[str, str]) -> dict[str, str]:
        """Digests of what a mask is made from besides its own image.

        Args:
            images: id -> digest of each image of the class.

        Raises:
            InputError: the class cannot be refined.
        """
        ...

    def preparation(self) -> int:
        """Units of work before the first class."""
        ...

    def prepare(self, advance: Advance) -> None:
        """Do that work, unless it is done; ``advance`` is told of all its units, even where another process did it."""
        ...

    def units(self, images: int) -> int:
        """Units of work for a class of so many images."""
        ...

    def refine(self, group: ClassImages, advance: Advance) -> Results:
        """Index and result of each image once.

        Args:
            group: one class.
            advance: called with units of work done and a note.
        """
        ...


class PerImage:
    """What refiners have in common that treat each image on its own, without real pairs."""

    unit = "images"
    notes: Sequence[str] = ()
    most_shown: int | None = None

    def check(self) -> list[InputError]:
        return []

    def inputs(self, cls: str, images: Mapping[str, str]) -> dict[str, str]:
        return {}

    def preparation(self) -> int:
        return 0

    def prepare(self, advance: Advance) -> None:
        pass

    def units(self, images: int) -> int:
        return images


class AttentionRefiner(PerImage):
    """The coarse map cut at its threshold, and nothing more (Hertz et al. 2022): the plainest mask there is."""

    name = "attention"
    words = Words("with a mask", "without", "the attention map, cut at its threshold", "nothing reaches the threshold")

    def describe(self) -> tuple[dict[str, Any], dict[str, Path], dict[str, str]]:
        return {"segmenter": self.name}, {}, {"source": self.name, "fingerprint": "none"}

    def refine(self, group: ClassImages, advance: Advance) -> Results:
        """The coarse mask; it agrees with itself, unless it is empty."""
        for index, mask in enumerate(group.coarse):
            advance(1, group.cls)
            yield index, Refined(mask, iou(mask, mask), bool(mask.any()), 1)


class ConsensusRefiner:
    """Algorithm 1 with a few-shot segmenter (paper 3.6).

    Args:
        support, support_masks: where the real pairs are.
        orientation: what their masks were drawn on.
        consensus_iou, keep: see ``method.consensus.refine``.
        max_supports: see there; 0 for all accepted pairs, None for what suits the segmenter.
    """

    unit = "images"
    words = Words("good", "re-estimated", "good: kept by consensus", "bad: re-estimated")

    def __init__(
        self,
        choice: SegmenterChoice,
        support: Path,
        support_masks: Path | None,
        *,
        orientation: Orientation,
        consensus_iou: float,
        keep: Keep,
        max_supports: int | None,
        device: str,
    ) -> None:
        self.name = choice.name or "consensus"
        self.notes: Sequence[str] = choice.notes
        self._choice = choice
        self._support, self._support_masks, self._orientation = support, support_masks, orientation
        self._alpha, self._keep, self._max_supports = consensus_iou, keep, max_supports
        self._device = device
        self._real: dict[str, list[Pair]] = {}

    @cached_property
    def segmenter(self) -> Segmenter:
        """The few-shot segmenter, loaded when first needed."""
        return self._choice.load(self._device)

    @property
    def most_shown(self) -> int | None:
        """Most accepted pairs to re-condition on; None for all."""
        return self.segmenter.max_supports if self._max_supports is None else self._max_supports or None

    def describe(self) -> tuple[dict[str, Any], dict[str, Path], dict[str, str]]:
        options = {"consensus_iou": self._alpha, "keep": self._keep, "max_supports": self.most_shown}
        network = {"source": self.segmenter.name, "fingerprint": self.segmenter.fingerprint}
        return options | oriented(self._orientation), {"support": self._support}, network

    def check(self) -> list[InputError]:
        """Keep the pairs that can be used; return what cannot."""
        scan = scan_support(self._support, self._support_masks, self._orientation)
        problems = list(scan.problems)
        for pair, _ in load_usable(scan.pairs, problems):
            self._real.setdefault(pair.cls, []).append(pair)
        return problems

    def inputs(self, cls: str, images: Mapping[str, str]) -> dict[str, str]:
        """What one mask becomes depends on all images of its class, and on its real pairs."""
        if cls not in self._real:
            what = f"the class {cls!r} has synthetic images but no usable support pair"
            raise InputError(what, self._support, "Add an image with its mask")
        real = {
            f"{p.cls}/{p.stem}": joint_digest({"image": file_digest(p.image), "mask": file_digest(p.mask)})
            for p in self._real[cls]
        }
        return {SET_OF_IMAGES: joint_digest(images), "set of support pairs": joint_digest(real)}

    def preparation(self) -> int:
        return 0

    def prepare(self, advance: Advance) -> None:
        pass

    def units(self, images: int) -> int:
        return images

    def refine(self, group: ClassImages, advance: Advance) -> Results:
        results = refine(
            self.segmenter,
            [load_pair(pair) for pair in self._real[group.cls]],
            group.images,
            group.coarse,
            alpha=self._alpha,
            keep=self._keep,
            max_supports=self.most_shown,
        )
        for result in results:
            yield result
            advance(1, group.cls)


class NoiseRefiner(PerImage):
    """DiffuMask's noise learning without its prompts (Wu et al. 2023; paper 3.6, Table A2).

    What is dropped gets an empty mask, which later stages pass over; see ``method.noise_learning``.

    Args:
        backbone: of the segmenters that are trained; None for the bundled one.
        folds, threshold, keep: see ``learn_noise``.
        settings: of each training.
    """

    name = "noise-learning"
    unit = "steps"
    words = Words("kept", "dropped", "kept: the segmenter of the other folds agrees", "dropped as noise")

    def __init__(
        self,
        backbone: str | None,
        settings: NoiseSettings,
        *,
        folds: int,
        threshold: float,
        keep: Keep,
        device: str,
        seed: int,
    ) -> None:
        self.notes = () if backbone else (SEGMENTER_NOTE,)
        self._backbone, self._settings = backbone, settings
        self._folds, self._threshold, self._keep = folds, threshold, keep
        self._device = pick_device(device)
        self._seed = seed

    def describe(self) -> tuple[dict[str, Any], dict[str, Path], dict[str, str]]:
        options = {
            "segmenter": self.name,
            "noise_folds": self._folds,
            "noise_steps": self._settings.steps,
            "noise_iou": self._threshold,
            "keep": self._keep,
        }
        backbone = load_backbone(self._backbone or POCKET).fingerprint()
        return options, {}, {"source": self.name, "fingerprint": backbone}

    def inputs(self, cls: str, images: Mapping[str, str]) -> dict[str, str]:
        """Every image is judged by the others."""
        return {SET_OF_IMAGES: joint_digest(images)}

    def units(self, images: int) -> int:
        """Training steps, and images."""
        trainings = min(self._folds, images) if images > 1 else 0
        return trainings * self._settings.steps + images

    def refine(self, group: ClassImages, advance: Advance) -> Results:
        seed = item_seed(self._seed, f"{self.name}/{group.cls}")
        learner = NoiseLearner(
            self._backbone, self._settings, self._device, seed, lambda steps: advance(steps, group.cls)
        )
        results = learn_noise(
            learner,
            group.ids,
            group.images,
            group.coarse,
            folds=self._folds,
            threshold=self._threshold,
            keep=self._keep,
            seed=self._seed,
        )
        for result in results:
            yield result
            advance(1, group.cls)


def refuse(choice: SegmenterChoice, name: str, *flags: str) -> None:
    """Refuse flags of the few-shot segmenters that mean nothing to a baseline (UsageError)."""
    given = {"--segmenter-weights": choice.weights, "--backbone": choice.backbone, "--segmenter-size": choice.size}
    given["--no-ssp-refine"] = None if choice.refine else "given"
    for flag in flags:
        if given[flag] is not None:
            raise UsageError(f"{flag} has no meaning for --segmenter {name}", remedy=f"Leave out {flag}")
