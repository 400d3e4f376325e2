"""k-shot voting (HSNet's rule; used for the support sets of D.4)."""

from __future__ import annotations

from torch import Tensor


def vote(predictions: Tensor) -> Tensor:
    """Share of the votes that the image's most voted pixel got; foreground is where it is >= 0.5.

    One real and twenty synthetic supports are twenty-one equal votes.

    Args:
        predictions: bool (k, ..., H, W), one binary mask per support.

    Returns:
        float32 (..., H, W) in [0, 1]: the sum over k divided by its maximum over (H, W), at least 1.
    """
    votes = predictions.float().sum(0)
    return votes / votes.amax(dim=(-2, -1), keepdim=True).clamp_min(1.0)
