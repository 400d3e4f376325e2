"""Weights of a new class for a cosine classifier, taken from a few masked images without training.

Imprinted weights: Qi et al. (2018); in generalized few-shot segmentation: PIFS (Cermelli et al., 2021) and
GAPS (Qiu et al., 2023).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def masked_mean(features: Tensor, masks: Tensor) -> Tensor:
    """Average the direction of the features under each image's mask (GAPS; PIFS's masked average pooling).

    Every position's feature is first scaled to length 1 along C, so that each counts by its direction alone, as
    it does for a cosine classifier. The average itself is at most of length 1.

    Args:
        features: float (N, C, h, w).
        masks: float (N, h, w) in [0, 1], the share of each position that the class covers.

    Returns:
        (N, C), in the features' type: per image the mean over positions, weighted with the mask.

    Raises:
        ValueError: the shapes do not fit, a mask leaves [0, 1], or an image's mask is empty.
    """
    if features.ndim != 4 or masks.shape != (features.shape[0], *features.shape[2:]):
        raise ValueError(
            f"expected features (N, C, h, w) and masks (N, h, w), got {tuple(features.shape)} and {tuple(masks.shape)}"
        )
    M = masks.to(features)
    if not bool(((M >= 0) & (M <= 1)).all()):
        raise ValueError("expected masks in [0, 1]")
    weight = M.sum(dim=(1, 2))
    empty = torch.nonzero(weight == 0).flatten().tolist()
    if empty:
        raise ValueError(f"the mask is empty in image {', '.join(map(str, empty))} of {len(M)}")
    return torch.einsum("nchw,nhw->nc", F.normalize(features, dim=1), M) / weight[:, None]


def imprint(means: Tensor) -> Tensor:
    """The weight of a class from its shots (Qi et al., 2018; GAPS): the mean of the shots' masked means.

    Every shot counts alike, however large its picture or its mask. The classifier is cosine, so only the direction
    matters, and the weight is given at length 1.

    Args:
        means: float (N, C), the :func:`masked_mean` of each shot, N at least 1.

    Returns:
        (C,), of length 1 (0 only where the means cancel out).

    Raises:
        ValueError: no shot.
    """
    if not len(means):
        raise ValueError("there is no shot to imprint from")
    return F.normalize(means.mean(dim=0), dim=0)
