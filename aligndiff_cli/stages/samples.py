"""The synthetic samples of a chain, as later stages see them: which image, which mask, how it was conditioned."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from aligndiff_cli.disk import layout
from aligndiff_cli.disk.digest import file_digest, has_digest
from aligndiff_cli.disk.images import ImageArray, MaskArray, read_image, read_mask
from aligndiff_cli.engine.lock import tell_if_in_use
from aligndiff_cli.engine.manifest import Record, contained, read_records, torn_records
from aligndiff_cli.engine.run_file import input_folder, require_run
from aligndiff_cli.errors import FolderError, InputError, first_few
from aligndiff_cli.evaluation.support_sets import INVERTED, TEXT
from aligndiff_cli.stages.marks import USE_MARKED, without_marked

__all__ = ["INVERTED", "TEXT", "Sample", "read_samples"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sample:
    """A synthetic image with its mask.

    Attributes:
        id: e.g. ``"dog/text-0003"``.
        cls: class name.
        kind: "inverted" or "text".
        image, coarse, mask: files; the mask is the refined one.
        digests: of the image and of the mask, by these names.
        area: foreground's share of the mask as it is now, in [0, 1].
    """

    id: str
    cls: str
    kind: str
    image: Path
    coarse: Path
    mask: Path
    digests: Mapping[str, str]
    area: float

    def load(self) -> tuple[ImageArray, MaskArray]:
        """The image, uint8 (H, W, 3), and its mask, bool (H, W), which may be empty.

        Raises:
            InputError: a file cannot be read, or the sizes differ.
        """
        image, mask = read_image(self.image), read_mask(self.mask)
        if image.shape[:2] != mask.shape:
            raise InputError(
                f"expected a mask of {image.shape[1]} x {image.shape[0]} (width x height), the size of its image, "
                f"got {mask.shape[1]} x {mask.shape[0]}",
                self.mask,
                "Scale it to its image, or delete it and run `aligndiff mask` again",
            )
        return image, mask


def read_samples(masks: Path, problems: list[InputError]) -> list[Sample]:
    """All samples of a masks folder, with the images it refers to, sorted by id.

    What is on the disk counts: a mask that was changed by hand since is measured anew, and said so in the log. What
    cannot be used is left out, and added to ``problems``; empty masks are not.

    Raises:
        FolderError: not a masks folder, an empty one, or its images are gone.
    """
    run = require_run(masks, "mask", "the masks folder")
    tell_if_in_use(masks)
    synth = input_folder(masks, run, "images")
    require_run(synth, "generate", "--images of `aligndiff mask`")
    generated, recorded = read_records(synth), read_records(masks)
    if not recorded:
        raise FolderError("holds no masks", masks, "Run `aligndiff mask` to its end first")
    samples, bad = [], [*torn_records(masks), *torn_records(synth)]
    if not run.told.get(USE_MARKED):
        marked = generated.keys() - without_marked(generated, synth, bad).keys()
        recorded = {item_id: record for item_id, record in recorded.items() if item_id not in marked}
    refined = [record for record in recorded.values() if record.id in generated]
    if not refined:
        raise FolderError(f"has no record of the images that {masks} holds masks of", synth, "Generate them again")
    if strays := sorted(recorded.keys() - generated.keys()):
        log.info("%s has no record of %d images, so their masks are left out: %s", synth, len(strays), strays[0])
    for record in sorted(refined, key=lambda record: record.id):
        try:
            samples.append(_sample(masks, synth, record, generated[record.id]))
        except InputError as error:
            bad.append(error)
    if not samples:
        raise FolderError(f"not one of its masks can be used: {first_few(bad)}", masks)
    problems += bad
    return samples


def _sample(masks: Path, synth: Path, refined: Record, generated: Record) -> Sample:
    """A sample as it is now (InputError if it cannot be used)."""
    image, coarse = (f"{kind}/{refined.id}.png" for kind in (layout.IMAGES, layout.COARSE))
    mask = f"{layout.MASKS}/{refined.id}.png"
    paths = {"image": contained(synth, image), "mask": contained(masks, mask)}
    digests = {name: file_digest(path) for name, path in paths.items()}
    recorded = {"image": generated.outputs.get(image), "mask": refined.outputs.get(mask)}
    area = float(refined.measured["area"])
    sample = Sample(
        refined.id,
        refined.cls,
        refined.parameters["kind"],
        paths["image"],
        contained(synth, coarse),
        paths["mask"],
        digests,
        area,
    )
    same = {name: digests[name] == recorded[name] or has_digest(path, recorded[name]) for name, path in paths.items()}
    if all(same.values()):
        return sample  # as it was written, so it need not be read to know that it can be
    area = float(sample.load()[1].mean())
    if not same["mask"] and area:
        log.info("%s was changed by hand: it is used as it is now, and measured anew", sample.mask)
    elif not same["mask"]:
        log.info("%s was changed by hand: it is empty now, and left out", sample.mask)
    return replace(sample, area=area)
