"""HSNet: hypercorrelation squeeze network (AlignDiff D.4 uses it as its few-shot segmenter).

Query and support features of every block are compared position by position, which gives stacks
of 4-D correlations; center-pivot 4-D convolutions squeeze their support side, top-down mixing
merges the stages, and a small decoder reads the mask off the query side. A correlation tensor is
(N, channels, hq, wq, hs, ws) throughout: query rows and columns, support rows and columns.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from aligndiff_cli.errors import ModelError
from aligndiff_cli.method.voting import vote
from aligndiff_cli.models.segmenters.backbone import Backbone, state_fingerprint
from aligndiff_cli.models.segmenters.base import Conditioned, FeatureSegmenter
from aligndiff_cli.models.segmenters.description import MAX_SUPPORTS

CHANNELS = (16, 64, 128)
# per level, fine to coarse (stages 2, 3, 4): kernels and support strides of the squeezing blocks
KERNELS = ((5, 5, 3), (5, 3, 3), (3, 3, 3))
STRIDES = ((4, 4, 2), (4, 2, 2), (2, 2, 2))
NORM_GROUPS = 4
EPS = 1e-5
"""Added to a feature's length before it is divided by it: what interpolation leaves beside a mask stays small."""


class CenterPivotConv4d(nn.Module):
    """A 4-D convolution kept to the kernel positions where one side sits on its centre.

    Such a kernel is the sum of a 2-D convolution over query positions and one over support
    positions. Only the support side is strided.

    Args:
        channels_in, channels_out: channels before and after.
        kernel: side of both 2-D kernels, odd.
        stride: step over support positions; n positions become ceil(n / stride), never 0.
    """

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.query = nn.Conv2d(channels_in, channels_out, kernel, padding=kernel // 2)
        self.support = nn.Conv2d(channels_in, channels_out, kernel, stride=stride, padding=kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, hq, wq, hs, ws) -> (N, C', hq, wq, ceil(hs / stride), ceil(ws / stride))."""
        if x.shape[4:] == (1, 1):
            return self._over_both(x[..., 0, 0])[..., None, None]
        pruned = x[..., :: self.stride, :: self.stride]
        n, _, hq, wq, hs, ws = pruned.shape
        over_query = self.query(pruned.permute(0, 4, 5, 1, 2, 3).flatten(0, 2))
        over_query = over_query.view(n, hs, ws, -1, hq, wq).permute(0, 3, 4, 5, 1, 2)
        over_support = self._over_support(x.permute(0, 2, 3, 1, 4, 5).flatten(0, 2))
        over_support = over_support.view(n, hq, wq, -1, hs, ws).permute(0, 3, 1, 2, 4, 5)
        return over_query + over_support

    def _over_both(self, planes: Tensor) -> Tensor:
        """Of a single support position (N, C, hq, wq): only its own tap sees it, which the query's centre takes in."""
        centre = self.query.kernel_size[0] // 2
        own = self.support.weight[:, :, centre : centre + 1, centre : centre + 1]
        weight, (first, second) = self.query.weight + F.pad(own, (centre,) * 4), (self.query.bias, self.support.bias)
        assert first is not None  # both convolutions have one
        assert second is not None
        return F.conv2d(planes, weight, first + second, padding=centre)

    def _over_support(self, planes: Tensor) -> Tensor:
        """(M, C, hs, ws) -> (M, C', ceil(hs / stride), ceil(ws / stride))."""
        if max(planes.shape[2:]) > self.stride:
            return self.support(planes)
        # a single position is left: taps before the centre would read padding only
        centre = self.support.kernel_size[0] // 2
        planes = planes[:, :, : centre + 1, : centre + 1]
        rows, columns = planes.shape[2:]
        weight = self.support.weight[:, :, centre : centre + rows, centre : centre + columns]
        return F.linear(planes.flatten(1), weight.flatten(1), self.support.bias)[..., None, None]


def squeeze_block(channels: Sequence[int], kernels: Sequence[int], strides: Sequence[int]) -> nn.Sequential:
    """Center-pivot convolutions from channels[0] to channels[-1], each with GroupNorm and ReLU."""
    layers: list[nn.Module] = []
    for i, (kernel, stride) in enumerate(zip(kernels, strides, strict=True)):
        layers.append(CenterPivotConv4d(channels[i], channels[i + 1], kernel, stride))
        layers.append(nn.GroupNorm(NORM_GROUPS, channels[i + 1]))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


class HSNet(nn.Module):
    """The learned part, from hypercorrelations to mask logits.

    Args:
        depths: correlations per level, fine to coarse: blocks of the backbone's stages 2, 3, 4.
    """

    def __init__(self, depths: Sequence[int]) -> None:
        super().__init__()
        self.depths = tuple(depths)
        self.squeeze = nn.ModuleList(
            squeeze_block((depth, *CHANNELS), kernels, strides)
            for depth, kernels, strides in zip(depths, KERNELS, STRIDES, strict=True)
        )
        top = CHANNELS[-1]
        self.mix = nn.ModuleList(squeeze_block((top,) * 4, (3,) * 3, (1,) * 3) for _ in range(2))
        self.coarse_decoder = nn.Sequential(
            nn.Conv2d(top, top, 3, padding=1), nn.ReLU(), nn.Conv2d(top, top // 2, 3, padding=1), nn.ReLU()
        )
        self.fine_decoder = nn.Sequential(
            nn.Conv2d(top // 2, top // 2, 3, padding=1), nn.ReLU(), nn.Conv2d(top // 2, 2, 3, padding=1)
        )

    def forward(self, correlations: Sequence[Tensor]) -> Tensor:
        """Levels fine to coarse, each (N, depth, hq, wq, hs, ws) -> logits (N, 2, 2 hq, 2 wq) of the finest."""
        fine, middle, coarse = (block(x) for block, x in zip(self.squeeze, correlations, strict=True))
        mixed = self.mix[0](_spread(coarse, middle) + middle)
        mixed = self.mix[1](_spread(mixed, fine) + fine)
        decoded = self.coarse_decoder(mixed.mean(dim=(4, 5)))
        decoded = F.interpolate(decoded, scale_factor=2, mode="bilinear", align_corners=True)
        return self.fine_decoder(decoded)


def _spread(x: Tensor, like: Tensor) -> Tensor:
    """Resize both sides of a correlation tensor to those of another, bilinearly."""
    if x.shape[4:] != like.shape[4:]:
        n, c, hq, wq = x.shape[:4]
        x = _resize(x.flatten(1, 3), like.shape[4:]).view(n, c, hq, wq, *like.shape[4:])
    n, c, _, _, hs, ws = x.shape
    planes = x.permute(0, 4, 5, 1, 2, 3).flatten(0, 2)
    planes = _resize(planes, like.shape[2:4])
    return planes.view(n, hs, ws, c, *like.shape[2:4]).permute(0, 3, 4, 5, 1, 2)


def _resize(planes: Tensor, shape: Sequence[int]) -> Tensor:
    return F.interpolate(planes, tuple(shape), mode="bilinear", align_corners=True)


def masked_features(level: Tensor, masks: Tensor) -> Tensor:
    """Support features (N, L, C, h, w) times their bilinearly resized masks (N, 1, S, S)."""
    inside = F.interpolate(masks, level.shape[-2:], mode="bilinear", align_corners=True)
    return level * inside[:, None]


def unit(level: Tensor) -> Tensor:
    """(N, L, C, h, w) -> (N, L, C, h, w) of unit length over C, or a little less."""
    return level / (level.norm(dim=2, keepdim=True) + EPS)


def hypercorrelation(query: Tensor, support: Tensor) -> Tensor:
    """Cosines of all position pairs, negative ones at 0.

    Args:
        query: (N, L, C, hq, wq); support: (N, L, C, hs, ws), masked.

    Returns:
        (N, L, hq, wq, hs, ws) in [0, 1].
    """
    q, s = (unit(level).flatten(3) for level in (query, support))
    cosines = (q.transpose(2, 3) @ s).clamp_min(0.0)
    return cosines.view(*cosines.shape[:2], *query.shape[3:], *support.shape[3:])


def hypercorrelations(queries: Tensor, supports: Tensor) -> Tensor:
    """The hypercorrelation of every query with every support.

    Args:
        queries: (N, L, C, hq, wq); supports: (K, L, C, hs, ws), masked; both of unit length.

    Returns:
        (N K, L, hq, wq, hs, ws) in [0, 1], the supports of a query one after another.
    """
    cosines = torch.einsum("nlcp,klcs->nklps", queries.flatten(3), supports.flatten(3)).clamp_min(0.0)
    return cosines.flatten(0, 1).unflatten(3, supports.shape[3:]).unflatten(2, queries.shape[3:])


class HsnetSegmenter(FeatureSegmenter):
    """HSNet on a frozen backbone; k supports give k binary predictions that are voted on.

    With one support the soft map is the softmax probability; with more it is the share of the
    image's largest vote.

    Args:
        batch: support-query combinations per forward pass.
    """

    name = "hsnet"
    max_supports: int | None = MAX_SUPPORTS
    backbone: Backbone

    def __init__(self, backbone: Backbone, net: HSNet, size: int, *, batch: int = 8) -> None:
        if net.depths != backbone.depths[1:]:
            raise ModelError(
                f"the HSNet weights are for a backbone with {net.depths} blocks in its last three"
                f" stages, this one has {backbone.depths[1:]}"
            )
        super().__init__(backbone, size, batch=batch)
        self.net = net.to(backbone.device).eval()
        self.fingerprint += f"-{state_fingerprint(net)}"

    def levels(self, pixels: Tensor) -> list[Tensor]:
        """Features of stages 2, 3, 4 before the last ReLU of each block, each (N, L, C, h, w)."""
        return [torch.stack(blocks, dim=1) for blocks in self.backbone.stages(pixels)[1:]]

    def look(self, pixels: Tensor) -> tuple[Tensor, ...]:
        return tuple(self.levels(pixels))

    def encode(self, parts: Sequence[Tensor], masks: Tensor) -> tuple[Tensor, ...]:
        return tuple(unit(masked_features(level, masks)) for level in parts)

    def score(self, state: Conditioned, parts: Sequence[Tensor], sides: tuple[int, int]) -> Tensor:
        queries = [unit(level) for level in parts]
        some = max(1, self.batch // len(state))
        blocks = zip(*(level.split(some) for level in queries), strict=True)
        return torch.cat([self._block(state, block, sides) for block in blocks])

    def _block(self, state: Conditioned, queries: Sequence[Tensor], sides: tuple[int, int]) -> Tensor:
        """A few queries' levels against all supports -> probability or vote share (N, h, w)."""
        count, maps = len(queries[0]), []
        for supports in zip(*(part.split(self.batch) for part in state.parts), strict=True):
            pairs = [hypercorrelations(q, s) for q, s in zip(queries, supports, strict=True)]
            probability = _resize(self.net(pairs), sides).softmax(1)[:, 1].unflatten(0, (count, -1))
            if len(state) == 1:
                return probability[:, 0]
            maps.append(probability > 0.5)
        return vote(torch.cat(maps, dim=1).transpose(0, 1))
