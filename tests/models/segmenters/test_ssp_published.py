"""SSP as its authors publish it: its own ResNet, its own refinement."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from aligndiff_cli.errors import ModelError, UsageError
from aligndiff_cli.models.segmenters import base, load_segmenter
from aligndiff_cli.models.segmenters.base import Pair, pool_mask
from aligndiff_cli.models.segmenters.ssp import SspSettings, match
from aligndiff_cli.models.segmenters.ssp_published import PublishedSspSegmenter
from tests.models.segmenters.checkpoints import State, ssp_features, ssp_state, torchvision_state
from tests.models.segmenters.test_segmenters import picture


def load(path: Path, size: int | None = None) -> PublishedSspSegmenter:
    loaded = load_segmenter(weights=path, size=size, device="cpu")
    assert isinstance(loaded, PublishedSspSegmenter)
    return loaded


@pytest.mark.parametrize("depths", [(3, 4, 6), (3, 4, 23)])
def test_features_are_the_authors(tmp_path: Path, depths: tuple[int, ...]) -> None:
    state = ssp_state(depths)
    torch.save(state, tmp_path / "resnet_1shot.pth")
    pixels = torch.randn(1, 3, 48, 80, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = load(tmp_path / "resnet_1shot.pth").look(pixels)[0]
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
    found = match(query, fg, bg, SspSettings())
    for one, logits in zip(query, found, strict=True):
        expected = by_hand(one.flatten(1), fg[0].flatten(1), bg[0].flatten(1))
        torch.testing.assert_close(logits.flatten(1), expected, atol=1e-4, rtol=1e-4)


def whole(state: State, depths: tuple[int, ...], support: Pair, query: np.ndarray) -> np.ndarray:
    """Foreground probability of one query by one support, each at its own size, from the authors' description."""

    def features(image: np.ndarray) -> Tensor:
        mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
        return ssp_features(state, ((torch.from_numpy(image) / 255 - mean) / std).permute(2, 0, 1)[None], depths)

    (image, mask), looked = support, features(query)
    shown = features(image)
    inside = F.interpolate(
        torch.from_numpy(mask)[None, None].float(), shown.shape[-2:], mode="bilinear", align_corners=True
    )
    fg, bg = (((shown * side).sum((2, 3)) / (side.sum() + 1e-5)).T for side in (inside, 1 - inside))
    logits = by_hand(looked[0].flatten(1), fg, bg).view(1, 2, *looked.shape[-2:])
    return F.interpolate(logits, query.shape[:2], mode="bilinear", align_corners=True).softmax(1)[0, 1].numpy()


def test_pictures_are_looked_at_in_their_own_size(tmp_path: Path) -> None:
    state = ssp_state((1, 1, 2))
    torch.save(state, tmp_path / "s.pth")
    segmenter = load(tmp_path / "s.pth")
    assert segmenter.size is None
    support, queries = picture(0, 61, 90), [picture(1, 75, 47)[0], picture(2, 48, 96)[0], picture(3, 75, 47)[0]]
    found = segmenter.predict(segmenter.condition([support]), queries)
    for soft, query in zip(found, queries, strict=True):
        with torch.no_grad():
            np.testing.assert_allclose(soft, whole(state, (1, 1, 2), support, query), atol=1e-4)
    # squashed into a square, as before, it says something else
    square = load(tmp_path / "s.pth", 96)
    other = square.predict(square.condition([support]), queries[:1])[0]
    assert np.abs(other - found[0]).max() > 0.01


def test_supports_of_different_sizes_count_alike(tmp_path: Path) -> None:
    torch.save(ssp_state((1, 1, 2)), tmp_path / "s.pth")
    segmenter = load(tmp_path / "s.pth")
    pairs = [picture(seed, 40 + 8 * (seed % 2), 70) for seed in range(5)]
    alone = [segmenter.condition([pair]).parts for pair in pairs]
    for side, found in enumerate(segmenter.condition(pairs).parts):
        torch.testing.assert_close(found, torch.stack([parts[side] for parts in alone]).mean(0))


def test_a_huge_picture_is_looked_at_smaller_in_its_own_proportions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(ssp_state((1, 1, 2)), tmp_path / "s.pth")
    segmenter = load(tmp_path / "s.pth")
    monkeypatch.setattr(base, "MAX_NATIVE", 64)
    assert segmenter._sides(np.zeros((100, 200, 3), np.uint8)) == (32, 64)
    assert segmenter._sides(np.zeros((64, 20, 3), np.uint8)) == (64, 20)


def test_an_object_between_all_samples_still_has_a_prototype(tmp_path: Path) -> None:
    torch.save(ssp_state((1, 1, 2)), tmp_path / "s.pth")
    masks = torch.zeros(2, 1, 16, 24)
    masks[0, 0, 3, 4] = 1
    masks[1, 0, :, 12:] = 1
    found = load(tmp_path / "s.pth").inside(masks, (2, 3))
    assert torch.equal(found[0], pool_mask(masks, (2, 3))[0])
    assert found[1, 0].tolist() == [[0, 0.5, 1]] * 2


def test_the_second_pass_can_be_left_out(tmp_path: Path) -> None:
    torch.save(ssp_state((1, 1, 2)), tmp_path / "s.pth")
    with_it, without = (
        load_segmenter(weights=tmp_path / "s.pth", refine=refine, device="cpu") for refine in (True, False)
    )
    assert with_it.fingerprint != without.fingerprint
    support, query = picture(0, 61, 90), picture(1, 75, 47)[0]
    one, other = (own.predict(own.condition([support]), [query])[0] for own in (with_it, without))
    assert np.abs(one - other).max() > 1e-3
    assert isinstance(without, PublishedSspSegmenter)
    assert without.settings == SspSettings(refine=False)


def test_it_segments_at_a_size_that_is_asked_for(tmp_path: Path) -> None:
    torch.save(ssp_state((1, 1, 2)), tmp_path / "s.pth")
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
