"""The ways `aligndiff mask` makes masks of coarse ones, behind one interface; each is chosen by --segmenter.

Besides Algorithm 1 with a few-shot segmenter there are the baselines the paper compares it with: the attention cut at
its threshold and noise learning (here), and a grounding module (``stages/masking/grounding.py``).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from aligndiff_cli.disk.digest import file_digest, joint_digest
from aligndiff_cli.disk.support import PairFiles, load_pair, load_usable, scan_support
from aligndiff_cli.errors import InputError
from aligndiff_cli.method.consensus import Image, Mask, Refined, iou, refine
from aligndiff_cli.method.noise_learning import learn_noise
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.device import pick_device
from aligndiff_cli.models.fingerprints import network_fingerprint
from aligndiff_cli.models.segmenters import POCKET
from aligndiff_cli.models.segmenters.description import SegmenterDescription
from aligndiff_cli.stages.common import SEGMENTER_NOTE, describe_chosen, load_chosen, named_backbone, segmenter_notes
from aligndiff_cli.stages.options.mask import MaskOptions

if TYPE_CHECKING:
    from aligndiff_cli.models.segmenters import Segmenter

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


class Refiner(ABC):
    """Refines the coarse masks of one class at a time.

    Attributes:
        unit: what progress is counted in.
        words: see ``Words``.
        most_shown: most kept pairs that a segmenter is shown for the rest; None for all, or where none is.
        notes: lines the user should read before it starts.
    """

    unit = "images"
    words: Words
    notes: Sequence[str] = ()
    most_shown: int | None = None

    def resolved(self, o: MaskOptions) -> MaskOptions:
        """The options with what suits the network filled in."""
        return o

    @abstractmethod
    def model(self) -> dict[str, str]:
        """The network's source and fingerprint."""

    def verify(self) -> None:  # noqa: B027  nothing, for most
        """Refuse what the network cannot do; asked once, before a folder is begun."""

    def check(self) -> list[InputError]:
        """Read through what is needed besides the images; what of it cannot be used."""
        return []

    def inputs(self, cls: str, images: Mapping[str, str]) -> dict[str, str]:
        """Digests of what a mask is made from besides its own image.

        Args:
            images: id -> digest of each image of the class.

        Raises:
            InputError: the class cannot be refined.
        """
        return {}

    def preparation(self) -> int:
        """Units of work before the first class."""
        return 0

    def prepare(self, advance: Advance) -> None:  # noqa: B027  nothing, for most
        """Do that work, unless it is done; ``advance`` is told of all its units, even where another process did it."""

    def units(self, images: int) -> int:
        """Units of work for a class of so many images."""
        return images

    def measured(self) -> dict[str, int]:
        """What a record should tell of how the network was run."""
        return {}

    @abstractmethod
    def refine(self, group: ClassImages, advance: Advance) -> Results:
        """Index and result of each image once.

        Args:
            group: one class.
            advance: called with units of work done and a note.
        """


class AttentionRefiner(Refiner):
    """The coarse map cut at its threshold, and nothing more (Hertz et al. 2022): the plainest mask there is."""

    words = Words("with a mask", "without", "the attention map, cut at its threshold", "nothing reaches the threshold")

    def model(self) -> dict[str, str]:
        return {"source": "attention", "fingerprint": "none"}

    def refine(self, group: ClassImages, advance: Advance) -> Results:
        """The coarse mask; it agrees with itself, unless it is empty."""
        for index, mask in enumerate(group.coarse):
            advance(1, group.cls)
            yield index, Refined(mask, iou(mask, mask), bool(mask.any()), 1)


class ConsensusRefiner(Refiner):
    """Algorithm 1 with a few-shot segmenter (paper 3.6)."""

    words = Words("good", "re-estimated", "good: kept by consensus", "bad: re-estimated")

    def __init__(self, options: MaskOptions) -> None:
        self._options = options
        self.notes = segmenter_notes(options)
        self._real: dict[str, list[PairFiles]] = {}

    @cached_property
    def about(self) -> SegmenterDescription:
        """The few-shot segmenter, not loaded."""
        return describe_chosen(self._options)

    @cached_property
    def segmenter(self) -> Segmenter:
        """The few-shot segmenter, loaded when first needed."""
        return load_chosen(self._options)

    def verify(self) -> None:
        """Load the segmenter, which may refuse what is asked of it."""
        _ = self.segmenter

    @cached_property
    def most_shown(self) -> int | None:  # type: ignore[override]  # found out when it is asked for
        """Most accepted pairs to re-condition on; None for all."""
        asked = self._options.max_supports
        return self.about.max_supports if asked is None else asked or None

    def resolved(self, o: MaskOptions) -> MaskOptions:
        return replace(o, max_supports=self.most_shown or 0)

    def model(self) -> dict[str, str]:
        return {"source": self.about.name, "fingerprint": self.about.fingerprint, **named_backbone(self._options)}

    def check(self) -> list[InputError]:
        """Keep the pairs that can be used; return what cannot."""
        o = self._options
        assert o.support is not None  # MaskOptions sees to it
        scan = scan_support(o.support, o.support_masks, o.mask_orientation)
        problems = list(scan.problems)
        for pair, _ in load_usable(scan.pairs, problems):
            self._real.setdefault(pair.cls, []).append(pair)
        return problems

    def inputs(self, cls: str, images: Mapping[str, str]) -> dict[str, str]:
        """What one mask becomes depends on all images of its class, and on its real pairs."""
        if cls not in self._real:
            what = f"the class {cls!r} has synthetic images but no usable support pair"
            raise InputError(what, self._options.support, "Add an image with its mask")
        real = {
            f"{p.cls}/{p.stem}": joint_digest({"image": file_digest(p.image), "mask": file_digest(p.mask)})
            for p in self._real[cls]
        }
        return {SET_OF_IMAGES: joint_digest(images), "set of support pairs": joint_digest(real)}

    def measured(self) -> dict[str, int]:
        return self.segmenter.at_once.measured()

    def refine(self, group: ClassImages, advance: Advance) -> Results:
        results = refine(
            self.segmenter,
            [load_pair(pair) for pair in self._real[group.cls]],
            group.images,
            group.coarse,
            alpha=self._options.consensus_iou,
            keep=self._options.keep,
            max_supports=self.most_shown,
        )
        for result in results:
            yield result
            advance(1, group.cls)


class NoiseRefiner(Refiner):
    """DiffuMask's noise learning without its prompts (Wu et al. 2023; paper 3.6, Table A2).

    What is dropped gets an empty mask, which later stages pass over; see ``method.noise_learning``.
    """

    name = "noise-learning"
    unit = "steps"
    words = Words("kept", "dropped", "kept: the segmenter of the other folds agrees", "dropped as noise")

    def __init__(self, options: MaskOptions) -> None:
        self._options = options
        self.notes = () if options.backbone else (SEGMENTER_NOTE,)

    def model(self) -> dict[str, str]:
        fingerprint = network_fingerprint(self._options.backbone or POCKET)
        return {"source": self.name, "fingerprint": fingerprint, **named_backbone(self._options)}

    def verify(self) -> None:
        """Load the backbone, which may be none that can be trained on."""
        from aligndiff_cli.models.segmenters.backbone import load_backbone

        load_backbone(self._options.backbone or POCKET)

    def inputs(self, cls: str, images: Mapping[str, str]) -> dict[str, str]:
        """Every image is judged by the others."""
        return {SET_OF_IMAGES: joint_digest(images)}

    def units(self, images: int) -> int:
        """Training steps, and images."""
        trainings = min(self._options.noise_folds, images) if images > 1 else 0
        return trainings * self._options.noise_steps + images

    def refine(self, group: ClassImages, advance: Advance) -> Results:
        from aligndiff_cli.models.noise_learner import NoiseLearner, NoiseSettings

        o = self._options
        learner = NoiseLearner(
            o.backbone,
            NoiseSettings(o.noise_steps),
            pick_device(o.device),
            item_seed(o.seed, f"{self.name}/{group.cls}"),
            lambda steps: advance(steps, group.cls),
        )
        results = learn_noise(
            learner,
            group.ids,
            group.images,
            group.coarse,
            folds=o.noise_folds,
            threshold=o.noise_iou,
            keep=o.keep,
            seed=o.seed,
        )
        for result in results:
            yield result
            advance(1, group.cls)
