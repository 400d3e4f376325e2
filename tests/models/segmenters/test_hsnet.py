"""HSNet's parts against slow, literal versions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from aligndiff_cli.errors import FolderError, ModelError
from aligndiff_cli.models.segmenters.hsnet import (
    CenterPivotConv4d,
    HSNet,
    HsnetSegmenter,
    hypercorrelation,
    masked_features,
)
from aligndiff_cli.pocket.recipe.episodes import Batch, Episode, mean_iou, train_hsnet
from tests.models.segmenters.test_segmenters import picture, tiny_backbone, tiny_hsnet

pytestmark = pytest.mark.slow


def literal_center_pivot(conv: CenterPivotConv4d, x: Tensor) -> Tensor:
    """The sum over kernel positions with one side at its centre, position by position."""
    stride, pad = conv.stride, conv.query.padding[0]
    n, _, hq, wq, hs, ws = x.shape
    rows, columns = range(0, hs, stride), range(0, ws, stride)
    out = torch.zeros(n, conv.query.out_channels, hq, wq, len(rows), len(columns))
    padded_q = torch.nn.functional.pad(x, (0, 0, 0, 0, pad, pad, pad, pad))
    padded_s = torch.nn.functional.pad(x, (pad, pad, pad, pad))
    k = 2 * pad + 1
    for i in range(hq):
        for j in range(wq):
            for a, r in enumerate(rows):
                for b, c in enumerate(columns):
                    query = padded_q[:, :, i : i + k, j : j + k, r, c]
                    support = padded_s[:, :, i, j, r : r + k, c : c + k]
                    value = torch.einsum("ncyx,ocyx->no", query, conv.query.weight) + conv.query.bias
                    value = value + torch.einsum("ncyx,ocyx->no", support, conv.support.weight)
                    out[:, :, i, j, a, b] = value + conv.support.bias
    return out


@pytest.mark.parametrize(
    ("kernel", "stride", "support"), [(3, 1, (3, 4)), (3, 2, (5, 4)), (5, 4, (6, 3)), (3, 2, (1, 1))]
)
@torch.no_grad()
def test_center_pivot_convolution_is_the_literal_sum(kernel: int, stride: int, support: tuple[int, int]) -> None:
    torch.manual_seed(0)
    conv = CenterPivotConv4d(2, 3, kernel, stride)
    x = torch.randn(2, 2, 4, 3, *support)
    torch.testing.assert_close(conv(x), literal_center_pivot(conv, x), atol=1e-5, rtol=1e-4)


def test_hypercorrelation_by_hand() -> None:
    query = torch.tensor([[1.0, 0.0], [1.0, 1.0]]).T.view(1, 1, 2, 1, 2)
    support = torch.tensor([[3.0, 0.0], [0.0, 0.0], [-1.0, 1.0]]).T.reshape(1, 1, 2, 3, 1)
    expected = torch.tensor([[1.0, 0.0, 0.0], [0.5**0.5, 0.0, 0.0]]).view(1, 1, 1, 2, 3, 1)
    torch.testing.assert_close(hypercorrelation(query, support), expected, atol=1e-4, rtol=1e-4)


def test_what_is_next_to_nothing_correlates_with_next_to_nothing() -> None:
    # beside a mask its bilinear samples leave rests of about 1e-8 of a feature; each length has 1e-5 added
    query = torch.tensor([3.0, 4.0]).view(1, 1, 2, 1, 1)
    for rest, expected in ((1e-7, 1e-7 / 1.01e-5), (1e-5, 0.5), (1.0, 1.0)):
        found = hypercorrelation(query, rest * torch.tensor([0.6, 0.8]).view(1, 1, 2, 1, 1))
        assert float(found) == pytest.approx(expected, rel=1e-4)


def test_masked_features_use_the_bilinearly_resized_mask() -> None:
    masks = torch.zeros(1, 1, 3, 3)
    masks[..., 0] = 1.0
    levels = torch.ones(1, 2, 4, 2, 2)
    expected = torch.tensor([[1.0, 0.0], [1.0, 0.0]]).expand(1, 2, 4, 2, 2)
    torch.testing.assert_close(masked_features(levels, masks), expected)
    wide = masked_features(torch.ones(1, 1, 1, 1, 5), masks)
    torch.testing.assert_close(wide.flatten(), torch.tensor([1.0, 0.5, 0.0, 0.0, 0.0]))


def test_the_published_size_reduces_every_support_to_two_by_two() -> None:
    net = HSNet((4, 6, 3))
    assert sum(value.numel() for value in net.parameters()) == 2_573_794
    for block, depth, side in zip(net.squeeze, (4, 6, 3), (50, 25, 13), strict=True):
        with torch.no_grad():
            assert block(torch.rand(1, depth, 2, 3, side, side)).shape == (1, 128, 2, 3, 2, 2)


@pytest.mark.parametrize("sides", [((16, 12), (8, 6), (4, 3)), ((9, 5), (5, 3), (3, 2)), ((2, 3), (1, 2), (1, 1))])
@torch.no_grad()
def test_small_pyramids_of_any_shape_pass(sides: tuple[tuple[int, int], ...]) -> None:
    levels = [torch.rand(1, depth, *side, *side) for depth, side in zip((2, 1, 2), sides, strict=True)]
    logits = tiny_hsnet()(levels)
    assert logits.shape == (1, 2, 2 * sides[0][0], 2 * sides[0][1])
    assert torch.isfinite(logits).all()


def test_several_supports_vote() -> None:
    segmenter = HsnetSegmenter(tiny_backbone(), tiny_hsnet(), 64, batch=2)
    pairs = [picture(seed, 40, 50) for seed in range(3)]
    query = np.ascontiguousarray(picture(9, 64, 64)[0])
    alone = [segmenter.predict(segmenter.condition([pair]), [query])[0] > 0.5 for pair in pairs]
    votes = np.sum(alone, axis=0)
    together = segmenter.predict(segmenter.condition(pairs), [query])[0]
    np.testing.assert_allclose(together, votes / max(1, votes.max()), atol=1e-6)


def test_weights_for_other_depths_are_refused() -> None:
    with pytest.raises(ModelError, match="last three"):
        HsnetSegmenter(tiny_backbone(), HSNet((3, 4, 3)), 64)


def random_batch(step: int) -> Batch:
    """Queries with a bright left half that the support shows too."""
    generator = torch.Generator().manual_seed(step)
    truth = torch.zeros(2, 16, 16, dtype=torch.int64)
    truth[..., :8] = 1
    levels = []
    for depth, side in zip((2, 1, 2), (8, 4, 2), strict=True):
        level = torch.rand(2, depth, 6, side, side, generator=generator) * 0.2
        level[..., 0, :, : side // 2] += 1.0
        level[..., 1, :, side // 2 :] += 1.0
        levels.append(level)
    masks = truth[:, None].float()
    return Batch(levels, [masked_features(level, masks) for level in levels], truth)


def test_training_learns_resumes_and_keeps_the_best(tmp_path: Path) -> None:
    log: list[str] = []
    scores = iter((0.2, 0.6, 0.4))
    net = tiny_hsnet()
    best = train_hsnet(net, random_batch, lambda _: next(scores), tmp_path / "a", steps=6, every=2, log=log.append)
    assert best == 0.6
    losses = [float(line.split()[3].rstrip(",")) for line in log]
    assert losses[-1] < losses[0]
    # the same in two goes: stopping after four steps is stopping at a save
    halted = tiny_hsnet()

    def stop(_: HSNet) -> float:
        if len(seen) == 2:
            raise KeyboardInterrupt
        seen.append(0)
        return (0.2, 0.6)[len(seen) - 1]

    seen: list[int] = []
    with pytest.raises(KeyboardInterrupt):
        train_hsnet(halted, random_batch, stop, tmp_path / "b", steps=6, every=2, log=log.append)
    again = tiny_hsnet()
    train_hsnet(again, random_batch, lambda _: 0.4, tmp_path / "b", steps=6, every=2, log=log.append)
    for name, value in net.state_dict().items():
        torch.testing.assert_close(again.state_dict()[name], value)
    last = [(tmp_path / folder / "last.safetensors").read_bytes() for folder in "ab"]
    assert last[0] == last[1]
    with pytest.raises(FolderError, match="another network"):
        train_hsnet(HSNet((1, 1, 1)), random_batch, lambda _: 0.4, tmp_path / "b", steps=6, every=2)


def test_mean_iou_pools_within_a_class() -> None:
    class Fixed:
        name = fingerprint = ""
        size = 4

        def condition(self, pairs: object) -> None: ...

        def extend(self, state: object, pairs: object) -> None: ...

        def predict(self, state: object, images: list[np.ndarray]) -> list[np.ndarray]:
            return [image[..., 0].astype(np.float32) for image in images]

    def episode(category: str, found: int, true: int) -> Episode:
        image, mask = np.zeros((2, 6, 3), np.uint8), np.zeros((2, 6), bool)
        image[:, :found], mask[:, :true] = 1, True
        return Episode(category, [], image, mask)

    score, per_class = mean_iou(
        Fixed(),  # type: ignore[arg-type]
        [episode("a", 1, 2), episode("a", 4, 4), episode("b", 3, 6)],
    )
    assert per_class == pytest.approx({"a": 5 / 6, "b": 0.5})
    assert score == pytest.approx(2 / 3)
