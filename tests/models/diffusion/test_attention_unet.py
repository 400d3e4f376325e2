"""Attention recorded in half precision: large products of queries and keys neither overflow nor lose their order."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from aligndiff_cli.models.diffusion.attention_dit import _JointRecorder
from aligndiff_cli.models.diffusion.attention_unet import AttentionSums, _Recorder

SIZE = (1, 2)


def attention(scale: float) -> SimpleNamespace:
    """One head of width 4 whose projections multiply by ``scale``."""
    grow = lambda x: x * scale  # noqa: E731
    return SimpleNamespace(
        heads=1, to_q=grow, to_k=grow, to_v=nn.Identity(), to_out=[nn.Identity()], add_k_proj=grow,
        norm_q=None, norm_added_k=None,
    )  # fmt: skip


def recorded(kind: str, attn: SimpleNamespace, patches: Tensor, text: Tensor) -> Tensor:
    """Attention of two patches to the second of two tokens, and what the layer made of it."""
    sums = AttentionSums([[1]], "class", torch.device("cpu"))
    if kind == "cross":
        out = _Recorder(sums, SIZE)(attn, patches, text)
        assert torch.isfinite(out).all()
    else:
        _JointRecorder(lambda *_: None, sums, SIZE)(attn, patches, text)
    return sums.means()[0][0, 0, 0]


@pytest.mark.parametrize("kind", ["cross", "joint"])
def test_products_beyond_half_precision(kind: str) -> None:
    # 4 x 400 x 400 = 640 000 is ten times float16's largest number
    patches = torch.tensor([[[1.0, 1, 1, 1], [1, 1, 1, -1]]]).half()
    text = torch.tensor([[[1.0, 1, 1, -1], [1, 1, 1, 1]]]).half()
    assert recorded(kind, attention(400.0), patches, text).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("kind", ["cross", "joint"])
def test_products_are_not_rounded_to_bfloat16(kind: str) -> None:
    # products 256 and 257 differ by less than bfloat16's step there; halved, the logits differ by 1/2
    patches = torch.tensor([[[16.0, 1, 0, 0], [16, 1, 0, 0]]]).bfloat16()
    text = torch.tensor([[[16.0, 0, 0, 0], [16, 1, 0, 0]]]).bfloat16()
    expected = torch.tensor(0.5).sigmoid()
    torch.testing.assert_close(recorded(kind, attention(1.0), patches, text), expected.expand(2))
