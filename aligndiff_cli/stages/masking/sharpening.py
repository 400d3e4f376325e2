"""Sharper edges for refined masks, with SAM or SAM 2; off unless asked for."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from aligndiff_cli.method.consensus import Image, Mask
from aligndiff_cli.method.sharpening import Sharpened, choose
from aligndiff_cli.models.device import pick_device
from aligndiff_cli.models.fingerprints import network_fingerprint

if TYPE_CHECKING:
    from aligndiff_cli.models.sam import Sam


class Sharpener:
    """Asks a SAM for the masks of what a refined mask shows, and takes the one that agrees with it.

    Args:
        source: folder or hub id.
        min_iou: agreement below which the refined mask is kept.
        device: where the network runs.
    """

    def __init__(self, source: str, min_iou: float, device: str) -> None:
        self._source, self._min_iou, self._device = source, min_iou, device

    @cached_property
    def sam(self) -> Sam:
        """The network, loaded when first needed."""
        from aligndiff_cli.models.sam import load_sam

        return load_sam(self._source, pick_device(self._device))

    def model(self) -> dict[str, str]:
        """The network's source and fingerprint."""
        return {"source": self._source, "fingerprint": network_fingerprint(self._source)}

    def sharpen(self, image: Image, mask: Mask) -> Sharpened:
        """One image (H, W, 3) with its mask bool (H, W); an empty mask stays empty.

        One at a time: in a batch the last bits of a logit, and with them a pixel at the edge, could depend on which
        other images are still to be done.
        """
        answers = self.sam.masks([image], [mask])[0] if mask.any() else []
        return choose(mask, answers, self._min_iou)
