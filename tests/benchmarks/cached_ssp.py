"""SSP over photographs whose features are kept: what a whole matrix of settings of Algorithm 1 asks for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.method.consensus import Image, Mask, Pair, SoftMap
from aligndiff_cli.models.segmenters.base import masked_average, resize_mask
from aligndiff_cli.models.segmenters.ssp import SspSegmenter, match

State = tuple[str, ...]
"""One digest per support: states of equal supports are equal, and what was predicted from one is not asked twice."""
JITTER = 1e-5
"""What is added to squared lengths (2, of two stages) so that the Cholesky factor of near neighbours exists."""


@dataclass(frozen=True)
class _Seen:
    image: Image
    features: Tensor  # (1, C, h, w)
    gram: Tensor  # (h w, h w), float64


class CachedSsp:
    """The answers of an ``SspSegmenter``, to rounding, in a tenth of the time and without a forward pass.

    Matching takes nothing from features but weighted sums and cosines, so it may be done on any vectors with the same
    inner products: here on as many numbers each as there are positions and prototypes, instead of on thousands.
    """

    def __init__(self, segmenter: SspSegmenter) -> None:
        if segmenter.size is None:
            raise ValueError("expected a segmenter with a size of its own")
        self._segmenter = segmenter
        self._size = segmenter.size
        self.batch = segmenter.batch
        self._seen: dict[int, _Seen] = {}
        self._sides: dict[str, Tensor] = {}
        self._soft: dict[tuple[int, State], SoftMap] = {}

    def condition(self, pairs: Sequence[Pair]) -> State:
        """See ``method.consensus.FewShot``."""
        return tuple(self._support(image, mask) for image, mask in pairs)

    def see(self, images: Sequence[Image]) -> Sequence[Image]:
        """The images themselves: what is seen of them is kept here."""
        return images

    def join(self, states: Sequence[State]) -> State:
        """See ``method.consensus.FewShot``."""
        return tuple(name for state in states for name in state)

    def predict(self, state: State, images: Sequence[Image]) -> list[SoftMap]:
        """Foreground probability (H, W) of each image (H, W, 3)."""
        return [self._predict(state, image) for image in images]

    def forget(self) -> None:
        """Drop the predictions, but not the features."""
        self._soft.clear()

    @torch.no_grad()
    def _look(self, image: Image) -> _Seen:
        if id(image) not in self._seen:  # the image is held, so no other gets its id
            features = self._segmenter.features(
                self._segmenter.look(self._segmenter.backbone.pixels([image], self._size))
            )
            flat = features[0].flatten(1)
            self._seen[id(image)] = _Seen(image, features, (flat.T @ flat).double())
        return self._seen[id(image)]

    def _support(self, image: Image, mask: Mask) -> str:
        name = f"{id(image)} {hashlib.sha256(mask.tobytes()).hexdigest()}"
        if name not in self._sides:
            features = self._look(image).features
            inside = self._segmenter.inside(resize_mask(mask, self._size)[None], tuple(features.shape[2:]))
            sides = masked_average(features, inside), masked_average(features, 1.0 - inside)
            self._sides[name] = torch.cat(sides)
        return name

    @torch.no_grad()
    def _predict(self, state: State, image: Image) -> SoftMap:
        key = id(image), state
        if key not in self._soft:
            seen = self._look(image)
            _, _, height, width = seen.features.shape
            prototypes = torch.stack([self._sides[name] for name in state]).mean(0)
            vectors = reduced(seen.features[0].flatten(1), seen.gram, prototypes.T)[None]
            query = vectors[..., :-2].unflatten(2, (height, width))
            foreground, background = vectors[..., -2, None, None], vectors[..., -1, None, None]
            soft = match(query, foreground, background, self._segmenter.settings).softmax(1)[:, 1:]
            full = F.interpolate(soft, image.shape[:2], mode="bilinear", align_corners=False)
            self._soft[key] = full[0, 0].clamp(0.0, 1.0).numpy()
        return self._soft[key]


def reduced(query: Tensor, gram: Tensor, prototypes: Tensor) -> Tensor:
    """Vectors with the inner products of the given ones, in as many dimensions as there are of them.

    Args:
        query: (C, P), one column each.
        gram: the inner products of ``query``, float64 (P, P).
        prototypes: (C, K).

    Returns:
        float32 (P + K, P + K): column i stands for vector i, the query's first.
    """
    cross, corner = (query.T @ prototypes).double(), (prototypes.T @ prototypes).double()
    whole = torch.cat([torch.cat([gram, cross], 1), torch.cat([cross.T, corner], 1)])
    whole.diagonal().add_(JITTER)
    return torch.linalg.cholesky(whole).T.float()
