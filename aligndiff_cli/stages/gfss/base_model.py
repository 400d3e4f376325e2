"""The base-trained DeepLab of the ``gfss`` protocol: trained once per fold, then reused by every method and run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from aligndiff_cli.engine.lock import one_at_a_time
from aligndiff_cli.engine.run_file import RunFile, own_run, write_run
from aligndiff_cli.engine.runner import check_same_run
from aligndiff_cli.engine.stage import plain
from aligndiff_cli.engine.versions import versions
from aligndiff_cli.engine.workers import launcher_place
from aligndiff_cli.errors import FolderError, UsageError
from aligndiff_cli.models.device import pick_device
from aligndiff_cli.models.fingerprints import network_fingerprint
from aligndiff_cli.models.parallel import ALONE, Ranks, join_ranks
from aligndiff_cli.models.segmenters import POCKET
from aligndiff_cli.models.semantic.base_training import WEIGHTS, BaseSettings, train_base
from aligndiff_cli.models.semantic.deeplab import Architecture, DeepLab, check_stride
from aligndiff_cli.models.semantic.load import POCKET_ARCHITECTURE, POCKET_BASE, build_deeplab
from aligndiff_cli.stages.gfss.data import Rows, Scenes
from aligndiff_cli.stages.options.evaluate import GfssOptions

COMMAND = "evaluate (base stage)"
BASE_IMAGES = "base images"
"""What its run file calls their digest."""


@dataclass(frozen=True)
class BaseChoice:
    """How the model of the base classes is made.

    Attributes:
        backbone: folder or hub id of a ResNet; None for the bundled one.
        workers: of a launcher, that train together; the weights depend on their number.
    """

    backbone: str | None
    architecture: Architecture
    settings: BaseSettings
    workers: int = 1

    def options(self) -> dict[str, Any]:
        """Plain data for a run file."""
        together = {"data-parallel workers": self.workers} if self.workers > 1 else {}
        return plain({**asdict(self.architecture), **asdict(self.settings), **together})

    @cached_property
    def models(self) -> dict[str, dict[str, str]]:
        """The backbone by its weights, wherever they lie, for a run file.

        Raises:
            ModelError: the backbone cannot be read.
        """
        fingerprint = network_fingerprint(self.backbone or POCKET)
        return {"backbone": {"source": self.backbone or "bundled", "fingerprint": fingerprint}}


@dataclass(frozen=True)
class BaseModel:
    """The model of one fold's base classes, on the disk or still to be trained.

    Attributes:
        folder: of the weights; its run.yaml says what they were trained on.
        images_digest: over the base images.
    """

    folder: Path
    choice: BaseChoice
    rows: Rows
    scenes: Scenes
    images_digest: str
    seed: int
    device: str

    @cached_property
    def run(self) -> RunFile:
        """What the weights depend on."""
        classes = [self.rows.names[number] for number in self.rows.base]
        options = {**self.choice.options(), "classes": classes, BASE_IMAGES: self.images_digest}
        return RunFile(COMMAND, options, self.seed, {}, self.choice.models, versions())

    def check(self) -> None:
        """Refuse a folder that holds a model trained otherwise.

        Raises:
            FolderError: it does, and the message names the first difference; or something else made the folder.
        """
        own_run(self.folder, COMMAND, "--base-model")
        try:
            check_same_run(self.folder, self.run, force=False)
        except FolderError as error:
            remedy = "Give another folder with --base-model, or remove this one to train again"
            raise FolderError(error.what, error.where, remedy) from error

    @property
    def steps(self) -> int:
        """Steps of the whole training; 0 once it is done."""
        if (self.folder / WEIGHTS).is_file():
            return 0
        return self.choice.settings.steps(len(self.scenes.images))

    def train(self, advance: Callable[..., None]) -> None:
        """Train it or go on with its training, unless that is done; wait while another process trains it.

        Raises:
            FolderError: the folder holds a model trained otherwise.
        """
        if not self.steps:
            return
        with one_at_a_time(self.folder, lambda: advance(0, "another process is training on the base classes")):
            self.check()
            write_run(self.folder, self.run)
            self._load(lambda units: advance(units, "training on the base classes"))

    def train_together(self, wanted: bool, advance: Callable[..., None]) -> None:
        """As `train`, in all of a launcher's workers at once; the first decides whether it is ``wanted``."""
        ranks = join_ranks(pick_device(self.device))
        wanted = ranks.rank == 0 and wanted and self.steps > 0
        with one_at_a_time(self.folder, lambda: None) if wanted else nullcontext():
            if wanted:
                self.check()
                write_run(self.folder, self.run)
            if ranks.agree(wanted and self.steps > 0):
                tell = advance if ranks.rank == 0 else lambda units, note: None
                self._load(lambda units: tell(units, "training on the base classes"), ranks)

    def load(self) -> DeepLab:
        """The trained model, in eval mode."""
        return self._load(lambda units: None).eval()

    def _load(self, advance: Callable[[int], None], ranks: Ranks = ALONE) -> DeepLab:
        device = pick_device(self.device)
        model = build_deeplab(
            self.choice.backbone, self.choice.architecture, 1 + len(self.rows.base), device, self.seed
        )
        train_base(model, self.scenes.images, self.choice.settings, self.seed, self.folder, advance, ranks)
        return model


def base_choice(o: GfssOptions) -> BaseChoice:
    """How the base stage is done: the paper's settings, or small ones for the bundled backbone; what is given wins.

    Raises:
        UsageError: an output stride other than 8, 16 or 32, or fewer pictures in a batch than workers.
    """
    architecture, settings = (Architecture(), BaseSettings()) if o.backbone else (POCKET_ARCHITECTURE, POCKET_BASE)
    if o.output_stride is not None:
        check_stride(o.output_stride)
        # the paper's rates are for stride 16; the same reach in pixels needs twice the rate at half the stride
        rates = tuple(max(1, rate * architecture.output_stride // o.output_stride) for rate in architecture.rates)
        architecture = replace(architecture, output_stride=o.output_stride, rates=rates)
    given: dict[str, Any] = {
        "epochs": o.epochs,
        "batch": o.base_batch,
        "learning_rate": o.base_lr,
        "crop": None if o.crop is None else (o.crop, o.crop),
    }
    settings = replace(settings, **{name: value for name, value in given.items() if value is not None})
    workers = launcher_place()[1] if o.data_parallel else 1
    if workers > settings.batch:
        raise UsageError(
            f"{workers} workers cannot share batches of {settings.batch}", remedy="Raise --base-batch, or use fewer"
        )
    return BaseChoice(o.backbone, architecture, settings, workers)
