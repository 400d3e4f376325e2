"""SSP as its authors publish it: its own ResNet, its own refinement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from aligndiff_cli.errors import ModelError, UsageError
from aligndiff_cli.models.segmenters import load_segmenter
from aligndiff_cli.models.segmenters.ssp import SspSettings
from aligndiff_cli.models.segmenters.ssp_published import PublishedSspSegmenter, match_published
from aligndiff_cli.stages.common import SegmenterChoice
from tests.models.segmenters.checkpoints import ssp_features, ssp_state, torchvision_state


def load(path: Path, size: int | None = None) -> PublishedSspSegmenter:
    loaded = SegmenterChoice(None, path, None, size).load("cpu")
    assert isinstance(loaded, PublishedSspSegmenter)
    return loaded


@pytest.mark.parametrize("depths", [(3, 4, 6), (3, 4, 23)])
def test_features_are_the_authors(tmp_path: Path, depths: tuple[int, ...]) -> None:
    state = ssp_state(depths)
    torch.save(state, tmp_path / "resnet_1shot.pth")
    pixels = torch.randn(1, 3, 48, 80, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = load(tmp_path / "resnet_1shot.pth")._features(pixels)
    assert found.shape == (1, 64, 6, 10)
    assert found.min() < 0
    torch.testing.assert_close(found, ssp_features(state, pixels, depths), atol=1e-5, rtol=1e-4)


def cosines(query: Tensor, prototypes: Tensor) -> Tensor:
    """(C, P) with (C, P) or (C, 1) -> (P,)"""
    return (query * prototypes).sum(0) / (query.norm(dim=0) * prototypes.norm(dim=0))


def by_hand(query: Tensor, foreground: Tensor, background: Tensor) -> Tensor:
    """One query, (C, P), and two prototypes, (C, 1) -> logits (2, P); written down from the authors' description."""

    def logits(fg: Tensor, bg: Tensor) -> Tensor:
        return 10 * torch.stack([cosines(query, bg), cosines(query, fg)])

    def own(before: Tensor) -> tuple[Tensor, Tensor]:
        back, front = before.softmax(0)
        fg = query[:, front > 0.7] if (front > 0.7).any() else query[:, front.topk(12).indices]
        bg = query[:, back > 0.6] if (back > 0.6).any() else query[:, back.topk(12).indices]
        local = torch.empty_like(query)
        for p in range(query.shape[1]):
            share = (2 * cosines(bg, query[:, p : p + 1])).softmax(0)
            local[:, p] = bg @ share
        return 0.5 * foreground + 0.5 * fg.mean(1, keepdim=True), 0.3 * bg.mean(1, keepdim=True) + 0.7 * local

    fg1, bg1 = own(logits(foreground, background))
    first = logits(fg1, bg1)
    fg2, bg2 = own(first)
    second = logits(0.5 * foreground + 0.2 * fg1 + 0.3 * fg2, 0.5 * background + 0.2 * bg1 + 0.3 * bg2)
    return 0.7 * second + 0.3 * first


@pytest.mark.parametrize("seed", [0, 1])
def test_the_matching_is_the_authors(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    query = torch.randn(2, 8, 4, 7, generator=draw)
    fg, bg = torch.randn(2, 1, 8, 1, 1, generator=draw)
    found = match_published(query, fg, bg, SspSettings())
    for one, logits in zip(query, found, strict=True):
        expected = by_hand(one.flatten(1), fg[0].flatten(1), bg[0].flatten(1))
        torch.testing.assert_close(logits.flatten(1), expected, atol=1e-4, rtol=1e-4)


def test_it_segments_at_the_size_of_its_training(tmp_path: Path) -> None:
    torch.save(ssp_state((1, 1, 2)), tmp_path / "s.pth")
    assert load(tmp_path / "s.pth").size == 473
    segmenter = load(tmp_path / "s.pth", 64)
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (40, 70, 3), dtype=np.uint8) for _ in range(3)]
    mask = np.zeros((40, 70), bool)
    mask[10:30, 20:50] = True
    state = segmenter.condition([(images[0], mask), (images[1], mask)])
    together = segmenter.predict(state, images)
    assert [soft.shape for soft in together] == [(40, 70)] * 3
    np.testing.assert_allclose(segmenter.predict(state, images[2:])[0], together[2], atol=1e-5)


def test_what_does_not_fit_is_said(tmp_path: Path) -> None:
    path = tmp_path / "s.pth"
    state = ssp_state((1, 1, 1))
    torch.save(state, path)
    with pytest.raises(UsageError, match="holds weights of ssp, not of hsnet"):
        load_segmenter("hsnet", weights=path, device="cpu")
    torch.save(torchvision_state((1, 1, 1, 1)), tmp_path / "resnet.pth")
    with pytest.raises(UsageError, match="brings its own backbone"):
        load_segmenter("ssp", weights=path, backbone=tmp_path / "resnet.pth", device="cpu")
    torch.save({k: v for k, v in state.items() if not k.startswith("layer0.0.6")}, path)
    with pytest.raises(ModelError, match=r"missing, as named here: embedder\.6\.weight"):
        load_segmenter("ssp", weights=path, device="cpu")
    torch.save(state | {"layer9.x": torch.ones(1)}, path)
    with pytest.raises(ModelError, match=r"unexpected: layer9\.x"):
        load_segmenter("ssp", weights=path, device="cpu")
