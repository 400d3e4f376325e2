"""Words for looks: a vector, in the place of an adjective, that says what another picture of the drawing looks like.

It stands in for what CLIP's words learnt from 400 million captions: a space of looks, in which Eq. 3 finds v*. The
encoder is trained along with the U-Net and does not ship.
"""

from __future__ import annotations

from torch import Tensor, nn

SIZE = 0.5
"""Root mean square of a vector of looks."""

NOISE = 0.3
"""Spread of the noise added in training, over `SIZE`: near vectors come to mean near things."""


class LooksEncoder(nn.Module):
    """Latents (B, C, h, w) of a picture to vectors (B, width) of root mean square `SIZE`.

    Args:
        channels: C.
        side: h and w, a multiple of 4.
        width: numbers in a vector, as many as a token embedding has.
    """

    def __init__(self, channels: int, side: int, width: int) -> None:
        super().__init__()
        self.maps = nn.Sequential(
            nn.Conv2d(channels, 96, 3, padding=1),
            nn.GroupNorm(8, 96),
            nn.SiLU(),
            nn.Conv2d(96, 128, 3, stride=2, padding=1),
            nn.GroupNorm(8, 128),
            nn.SiLU(),
            nn.Conv2d(128, 192, 3, stride=2, padding=1),
            nn.GroupNorm(8, 192),
            nn.SiLU(),
        )
        self.vector = nn.Linear(192 * (side // 4) ** 2, width)

    def forward(self, latents: Tensor) -> Tensor:
        vector = self.vector(self.maps(latents).flatten(1))
        return SIZE * vector / vector.square().mean(1, keepdim=True).add(1e-6).sqrt()


def noisy(vectors: Tensor, noise: Tensor) -> Tensor:
    """Vectors (B, width) with standard normal `noise` of the same shape laid over them."""
    return vectors + SIZE * NOISE * noise
