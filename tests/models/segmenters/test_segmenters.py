"""The contract every segmenter keeps, on a tiny random backbone."""

from __future__ import annotations

import json
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from transformers import ResNetConfig, ResNetModel

from aligndiff_cli.errors import InputError, ModelError, UsageError
from aligndiff_cli.models.segmenters import SEGMENTERS, load_segmenter
from aligndiff_cli.models.segmenters.backbone import Backbone, load_backbone
from aligndiff_cli.models.segmenters.base import FeatureSegmenter, masked_average, pool_mask, resize_mask
from aligndiff_cli.models.segmenters.checkpoint import load_hsnet, save_hsnet
from aligndiff_cli.models.segmenters.hsnet import HSNet, HsnetSegmenter
from aligndiff_cli.models.segmenters.prototype import PrototypeSegmenter
from aligndiff_cli.models.segmenters.ssp import SspSegmenter, SspSettings

pytestmark = pytest.mark.slow


def tiny_net(layer_type: str = "basic", seed: int = 0) -> ResNetModel:
    torch.manual_seed(seed)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 12, 16, 24], depths=[1, 2, 1, 2], layer_type=layer_type)
    return ResNetModel(config)


def tiny_backbone(layer_type: str = "basic", seed: int = 0) -> Backbone:
    return Backbone(tiny_net(layer_type, seed), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def tiny_hsnet() -> HSNet:
    torch.manual_seed(1)
    return HSNet((2, 1, 2))


@pytest.fixture(params=["prototype", "ssp", "hsnet", "prototype, native size", "ssp, native size"])
def segmenter(request: pytest.FixtureRequest) -> FeatureSegmenter:
    size = None if "native" in request.param else 64
    if request.param.startswith("prototype"):
        return PrototypeSegmenter(tiny_backbone(), size, batch=2)
    if request.param.startswith("ssp"):
        return SspSegmenter(tiny_backbone(), size, batch=2)
    return HsnetSegmenter(tiny_backbone("bottleneck"), tiny_hsnet(), 64, batch=2)


def picture(seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A red rectangle on blue noise, and its mask."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
    image[..., 2] += 150
    mask = np.zeros((height, width), bool)
    top, left = rng.integers(2, height // 3), rng.integers(2, width // 3)
    mask[top : top + height // 2, left : left + width // 2] = True
    image[mask] = (220, 40, 30)
    return image, mask


def test_maps_have_each_images_own_size_and_lie_in_the_unit_interval(segmenter: FeatureSegmenter) -> None:
    state = segmenter.condition([picture(0, 40, 70)])
    images = [picture(1, 50, 31)[0], picture(2, 64, 64)[0], picture(3, 20, 90)[0]]
    maps = segmenter.predict(state, images)
    assert [soft.shape for soft in maps] == [(50, 31), (64, 64), (20, 90)]
    assert all(soft.dtype == np.float32 and soft.min() >= 0 and soft.max() <= 1 for soft in maps)


def test_batches_do_not_change_predictions(segmenter: FeatureSegmenter) -> None:
    state = segmenter.condition([picture(0, 40, 70), picture(5, 33, 60), picture(6, 70, 40)])
    images = [picture(seed, 50, 40)[0] for seed in (1, 2, 3)]
    together = segmenter.predict(state, images)
    for image, soft in zip(images, together, strict=True):
        np.testing.assert_allclose(segmenter.predict(state, [image])[0], soft, atol=1e-5)


def test_joining_equals_conditioning_on_all(segmenter: FeatureSegmenter) -> None:
    pairs = [picture(seed, 40, 50 + seed) for seed in range(4)]
    grown = segmenter.join([segmenter.condition(some) for some in (pairs[:1], pairs[1:3], pairs[3:])])
    at_once = segmenter.condition(pairs)
    assert len(grown) == 4
    for first, second in zip(grown.parts, at_once.parts, strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)


def test_what_was_seen_stands_for_the_picture(segmenter: FeatureSegmenter) -> None:
    pairs = [picture(0, 40, 70), picture(1, 50, 31), picture(2, 40, 70)]
    images = [image for image, _ in pairs]
    seen = segmenter.see(images)
    assert [one.shape for one in seen] == [(40, 70), (50, 31), (40, 70)]
    assert all(one.nbytes == sum(part.numel() * 4 for part in one.parts) for one in seen)
    again = segmenter.condition([(seen[0], pairs[0][1]), pairs[1], (seen[2], pairs[2][1])])
    for first, second in zip(again.parts, segmenter.condition(pairs).parts, strict=True):
        torch.testing.assert_close(first, second, atol=1e-5, rtol=1e-4)
    expected = segmenter.predict(again, images)
    with mock.patch.object(segmenter, "look", side_effect=AssertionError):
        for soft, other in zip(segmenter.predict(again, seen), expected, strict=True):
            np.testing.assert_allclose(soft, other, atol=1e-5)
    for soft, other in zip(segmenter.predict(again, [seen[0], images[1], images[2]]), expected, strict=True):
        np.testing.assert_allclose(soft, other, atol=1e-5)


def test_what_a_training_free_segmenter_keeps_does_not_grow_with_the_supports(segmenter: FeatureSegmenter) -> None:
    pairs = [picture(seed, 40, 50 + seed) for seed in range(5)]
    sizes = [[part.numel() for part in segmenter.condition(pairs[:count]).parts] for count in (1, 5)]
    if segmenter.name == "hsnet":
        assert sizes[1] == [5 * size for size in sizes[0]]
        assert segmenter.max_supports == 4
    else:
        assert sizes[1] == sizes[0]
        assert segmenter.max_supports is None


def test_no_images_give_no_maps(segmenter: FeatureSegmenter) -> None:
    assert segmenter.predict(segmenter.condition([picture(0, 40, 70)]), []) == []


def test_bad_supports_are_refused(segmenter: FeatureSegmenter) -> None:
    image, mask = picture(0, 40, 70)
    with pytest.raises(InputError, match="no support"):
        segmenter.condition([])
    with pytest.raises(InputError, match="support 2 is empty"):
        segmenter.condition([(image, mask), (image, np.zeros_like(mask))])
    with pytest.raises(InputError, match="40 x 70 pixels, its image 70 x 40"):
        segmenter.condition([(image, mask.T)])


def test_a_state_of_another_segmenter_is_refused(segmenter: FeatureSegmenter) -> None:
    other = PrototypeSegmenter(tiny_backbone(seed=7), 64)
    with pytest.raises(ModelError, match="cannot be used with"):
        segmenter.predict(other.condition([picture(0, 40, 70)]), [picture(1, 40, 70)[0]])
    state = segmenter.condition([picture(0, 40, 70)])
    with pytest.raises(ModelError, match="cannot be used with"):
        segmenter.predict(state, other.see([picture(1, 40, 70)[0]]))
    with pytest.raises(ModelError, match="cannot be used with"):
        segmenter.join([state, other.condition([picture(0, 40, 70)])])


def test_a_full_mask_and_a_single_pixel_are_fine(segmenter: FeatureSegmenter) -> None:
    image, mask = picture(0, 40, 70)
    point = np.zeros_like(mask)
    point[20, 30] = True
    for support in (np.ones_like(mask), point):
        soft = segmenter.predict(segmenter.condition([(image, support)]), [image])[0]
        assert np.isfinite(soft).all()


def test_fingerprints_tell_weights_sizes_and_kinds_apart() -> None:
    prints = {
        PrototypeSegmenter(tiny_backbone(), 64).fingerprint,
        PrototypeSegmenter(tiny_backbone(), 96).fingerprint,
        PrototypeSegmenter(tiny_backbone(seed=1), 64).fingerprint,
        SspSegmenter(tiny_backbone(), 64).fingerprint,
        SspSegmenter(tiny_backbone(), 64, SspSettings(stages=(3, 4))).fingerprint,
        SspSegmenter(tiny_backbone(), 64, SspSettings(refine=False)).fingerprint,
        SspSegmenter(tiny_backbone(), None).fingerprint,
    }
    assert len(prints) == 7
    assert PrototypeSegmenter(tiny_backbone(), 64).fingerprint in prints


def test_prototype_finds_the_red_rectangle() -> None:
    found = PrototypeSegmenter(tiny_backbone(), 256)
    image, mask = picture(1, 60, 80)
    soft = found.predict(found.condition([picture(0, 70, 90)]), [image])[0]
    assert soft[mask].mean() > soft[~mask].mean()


def test_pool_mask_keeps_the_area_of_what_is_smaller_than_a_cell() -> None:
    mask = np.zeros((8, 8), bool)
    mask[1, 6] = True
    share = pool_mask(resize_mask(mask, 8)[None], (2, 2))
    torch.testing.assert_close(share[0, 0], torch.tensor([[0.0, 1 / 16], [0.0, 0.0]]))


def test_masked_average_by_hand() -> None:
    features = torch.tensor([[[[1.0, 2.0, 3.0]], [[0.0, 4.0, 8.0]]]])
    weights = torch.tensor([[[[0.0, 1.0, 3.0]]]])
    torch.testing.assert_close(masked_average(features, weights), torch.tensor([[2.75, 7.0]]))
    torch.testing.assert_close(masked_average(features, torch.zeros_like(weights)), torch.zeros(1, 2))


@pytest.mark.parametrize("layer_type", ["basic", "bottleneck"])
def test_stages_give_every_block_before_its_last_relu(layer_type: str) -> None:
    backbone = tiny_backbone(layer_type)
    pixels = backbone.pixels([picture(0, 40, 70)[0]], 64)
    stages = backbone.stages(pixels)
    assert [len(blocks) for blocks in stages] == [1, 2, 1, 2]
    assert stages[1][0].shape == (1, 12, 8, 8)
    assert all(float(block.min()) < 0 for blocks in stages for block in blocks)
    hidden = backbone.net(pixels, output_hidden_states=True).hidden_states
    for blocks, expected in zip(stages, hidden[1:], strict=True):
        torch.testing.assert_close(blocks[-1].relu(), expected)
    assert len(backbone.stages(pixels, 2)) == 2


def write_backbone(folder: Path, **preprocessing: object) -> Path:
    tiny_net().half().save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    return folder


@pytest.mark.parametrize(
    "preprocessing",
    [
        {"image_mean": [0.5, 0.25, 0.125], "image_std": [0.5, 0.5, 0.25]},
        {"image_mean": [127.5, 63.75, 31.875], "image_std": [127.5, 127.5, 63.75], "do_rescale": False},
        {"image_mean": [0.5, 0.25, 0.125], "image_std": [0.5, 0.5, 0.25], "rescale_factor": 1 / 255},
    ],
)
def test_preprocessing_is_read_on_any_scale(tmp_path: Path, preprocessing: dict) -> None:
    backbone = load_backbone(write_backbone(tmp_path, **preprocessing))
    torch.testing.assert_close(backbone.mean.flatten(), torch.tensor([0.5, 0.25, 0.125]))
    torch.testing.assert_close(backbone.std.flatten(), torch.tensor([0.5, 0.5, 0.25]))
    assert all(value.dtype == torch.float32 for value in backbone.net.parameters())
    white = np.full((30, 50, 3), 255, np.uint8)
    expected = torch.tensor([1.0, 1.5, 3.5]).view(3, 1, 1).expand(3, 16, 16)
    torch.testing.assert_close(backbone.pixels([white], 16)[0], expected)


def test_load_segmenter_by_name(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = write_backbone(tmp_path, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    capfd.readouterr()
    loaded = load_segmenter("ssp", backbone=folder, size=64, device="cpu")
    assert (loaded.name, loaded.size) == ("ssp", 64)
    again = load_segmenter("ssp", backbone=folder, size=64, device="cpu")
    assert loaded.fingerprint == again.fingerprint
    assert load_segmenter("ssp", backbone=folder, size=0, device="cpu").size is None
    assert capfd.readouterr() == ("", "")


def test_hsnet_weights_survive_the_disk(tmp_path: Path) -> None:
    backbone = tiny_backbone()
    save_hsnet(tiny_hsnet(), tmp_path / "h.safetensors", size=64, backbone=backbone.fingerprint(), dtype=torch.float32)
    loaded = load_hsnet(backbone, tmp_path / "h.safetensors")
    before = HsnetSegmenter(backbone, tiny_hsnet(), 64)
    assert loaded.fingerprint == before.fingerprint
    with pytest.raises(ModelError, match="another backbone"):
        load_hsnet(tiny_backbone(seed=9), tmp_path / "h.safetensors")


def test_what_cannot_be_loaded_is_said(tmp_path: Path) -> None:
    folder = write_backbone(tmp_path / "net", image_mean=[0.5] * 3, image_std=[0.5] * 3)
    with pytest.raises(UsageError, match="unknown segmenter 'unet'"):
        load_segmenter("unet")
    with pytest.raises(UsageError, match="prototype has no second pass to leave out"):
        load_segmenter("prototype", refine=False, device="cpu")
    with pytest.raises(UsageError, match="hsnet has no second pass to leave out"):
        load_segmenter(None, refine=False, device="cpu")
    with pytest.raises(UsageError, match="HSNet looks at squares"):
        load_segmenter("hsnet", size=0, device="cpu")
    with pytest.raises(UsageError, match="no weights of its own"):
        load_segmenter("prototype", weights=folder / "model.safetensors")
    with pytest.raises(ModelError, match="trained on this backbone"):
        load_segmenter("hsnet", backbone=folder)
    with pytest.raises(ModelError, match="no weights of HSNet or SSP"):
        load_segmenter("hsnet", backbone=folder, weights=folder / "model.safetensors", device="cpu")
    with pytest.raises(ModelError, match="are missing"):
        load_segmenter("hsnet", backbone=folder, weights=folder / "none.safetensors", device="cpu")
    with pytest.raises(ModelError, match=r"config\.json cannot be read"):
        load_segmenter("ssp", backbone=tmp_path)
    (folder / "preprocessor_config.json").write_text("{}")
    with pytest.raises(ModelError, match="image_mean"):
        load_segmenter("ssp", backbone=folder)
    (folder / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(ModelError, match="a vit, not a resnet"):
        load_backbone(folder)
    with pytest.raises(ModelError, match="no backbone class for a vit"):
        load_segmenter("ssp", backbone=folder)


@pytest.mark.parametrize("name", SEGMENTERS)
def test_the_bundled_ones_load_and_keep_sizes(name: str) -> None:
    bundled = load_segmenter(name, device="cpu")
    soft = bundled.predict(bundled.condition([picture(0, 40, 70)]), [picture(1, 50, 31)[0]])[0]
    assert soft.shape == (50, 31)
