"""A coarse mask of a sample that starts from a real picture, whose mask is known (beyond the paper)."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F

BAND = 8
"""The edge of a real mask is trusted to within half of this part of the picture's longer side."""


def both_coarse(soft: np.ndarray, real: np.ndarray, threshold: float) -> np.ndarray:
    """Attention decides near the real mask's edge, and the real mask elsewhere.

    The mean of the attention map and of the real mask, blurred by a box, cut where attention would be. At a threshold
    of 0.5 what lies deeper in the real mask than half a box is object, and what lies as far outside is not.

    Args:
        soft: attention (H, W) in [0, 1].
        real: bool (H, W), in the sample's frame.
        threshold: where attention is cut.

    Returns:
        bool (H, W).
    """
    return np.asarray((soft + blurred(real)) / 2 >= threshold)


def blurred(mask: np.ndarray) -> np.ndarray:
    """For each pixel, the share of the box round it (cut at the picture's edge) that a mask covers, float32 (H, W)."""
    side = max(mask.shape) // BAND | 1
    planes = torch.from_numpy(np.ascontiguousarray(mask))[None, None].float()
    return F.avg_pool2d(planes, side, 1, side // 2, count_include_pad=False)[0, 0].numpy()
