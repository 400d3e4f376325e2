"""HSNet as its authors publish it: names, features, and the whole segmenter from one file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from aligndiff_cli.errors import ModelError, UsageError
from aligndiff_cli.models.at_once import AtOnce
from aligndiff_cli.models.segmenters import load_segmenter
from aligndiff_cli.models.segmenters.hsnet import HsnetSegmenter
from aligndiff_cli.models.segmenters.hsnet_published import PAIRS, own_name
from tests.models.segmenters.checkpoints import State, hsnet_state, torchvision_state, torchvision_taps

pytestmark = pytest.mark.slow

DEPTHS = (3, 4, 6, 3)


@pytest.fixture(scope="module")
def state() -> State:
    return hsnet_state(DEPTHS)


@pytest.fixture(scope="module")
def file(state: State, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In the format of the PyTorch 1.5 that the published files were written with."""
    path = tmp_path_factory.mktemp("hsnet") / "best_model.pt"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return path


@pytest.fixture(scope="module")
def segmenter(file: Path) -> HsnetSegmenter:
    loaded = load_segmenter(weights=file, device="cpu")
    assert isinstance(loaded, HsnetSegmenter)
    return loaded


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("hpn_learner.encoder_layer4.0.conv1.weight", "squeeze.2.0.query.weight"),
        ("hpn_learner.encoder_layer3.3.conv2.bias", "squeeze.1.3.support.bias"),
        ("hpn_learner.encoder_layer2.7.weight", "squeeze.0.7.weight"),
        ("hpn_learner.encoder_layer4to3.0.conv1.bias", "mix.0.0.query.bias"),
        ("hpn_learner.encoder_layer3to2.4.bias", "mix.1.4.bias"),
        ("hpn_learner.decoder1.2.weight", "coarse_decoder.2.weight"),
        ("hpn_learner.decoder2.0.bias", "fine_decoder.0.bias"),
        ("hpn_learner.extra.0.bias", "hpn_learner.extra.0.bias"),
    ],
)
def test_names_by_hand(theirs: str, ours: str) -> None:
    assert own_name(theirs) == ours


def test_every_learned_weight_has_its_place(state: State, segmenter: HsnetSegmenter) -> None:
    ours = segmenter.net.state_dict()
    theirs = {own_name(key.removeprefix("module.")): value for key, value in state.items() if "hpn_learner" in key}
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_a_center_pivot_convolution_has_conv1_over_the_query(state: State, segmenter: HsnetSegmenter) -> None:
    """The first convolution of the coarsest level at one position, by its definition."""
    x = torch.randn(1, 3, 4, 6, 6, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        found = segmenter.net.squeeze[2][0](x)
    name = "module.hpn_learner.encoder_layer4.0"
    # output support position (1, 2) lies on input (2, 4): the support side has stride 2, the query side none
    over_query = F.conv2d(x[..., 2, 4], state[f"{name}.conv1.weight"], state[f"{name}.conv1.bias"], padding=1)
    over_support = F.conv2d(
        x[:, :, 3, 5], state[f"{name}.conv2.weight"], state[f"{name}.conv2.bias"], stride=2, padding=1
    )
    torch.testing.assert_close(found[:, :, 3, 5, 1, 2], over_query[:, :, 3, 5] + over_support[:, :, 1, 2])


@pytest.mark.parametrize(("depths", "last"), [((3, 4, 6, 3), 16), ((3, 4, 23, 3), 33)])
def test_features_are_blocks_4_to_the_last_before_their_relu(tmp_path: Path, depths: tuple, last: int) -> None:
    state = hsnet_state(depths)
    torch.save(state, tmp_path / "h.pt")
    loaded = load_segmenter("hsnet", weights=tmp_path / "h.pt", device="cpu")
    assert isinstance(loaded, HsnetSegmenter)
    pixels = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    taps = torchvision_taps(torchvision_state(depths), pixels, depths)[3:]
    assert len(taps) == last - 3
    with torch.no_grad():
        blocks = [level[:, i] for level in loaded.levels(pixels) for i in range(level.shape[1])]
    for ours, theirs in zip(blocks, taps, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_it_segments_at_the_size_of_its_training(file: Path, segmenter: HsnetSegmenter) -> None:
    assert (segmenter.name, segmenter.size) == ("hsnet", 400)
    small = load_segmenter("hsnet", weights=file, size=64, device="cpu")
    assert small.fingerprint != segmenter.fingerprint
    rng = np.random.default_rng(0)
    image = rng.integers(0, 255, (40, 70, 3), dtype=np.uint8)
    mask = np.zeros((40, 70), bool)
    mask[10:30, 20:50] = True
    soft = small.predict(small.condition([(image, mask)]), [image])[0]
    assert soft.shape == (40, 70)
    assert soft.std() > 0


def test_a_backbone_is_named_only_where_none_is_inside(file: Path, state: State, tmp_path: Path) -> None:
    torch.save(torchvision_state(DEPTHS), tmp_path / "resnet.pth")
    alone = tmp_path / "learner.pt"
    torch.save({key: value for key, value in state.items() if "backbone" not in key}, alone)
    with pytest.raises(UsageError, match="brings its own backbone"):
        load_segmenter("hsnet", weights=file, backbone=tmp_path / "resnet.pth", device="cpu")
    with pytest.raises(UsageError, match=r"holds no backbone.*--backbone"):
        load_segmenter("hsnet", weights=alone, device="cpu")
    joined = load_segmenter("hsnet", weights=alone, backbone=tmp_path / "resnet.pth", size=400, device="cpu")
    assert joined.fingerprint == load_segmenter("hsnet", weights=file, device="cpu").fingerprint


def test_what_does_not_fit_is_named(state: State, tmp_path: Path) -> None:
    path = tmp_path / "h.pt"

    def refused(content: object, match: str, error: type[Exception] = ModelError, name: str = "hsnet") -> None:
        torch.save(content, path)
        with pytest.raises(error, match=match):
            load_segmenter(name, weights=path, device="cpu")

    learner = "module.hpn_learner."
    refused(
        {k: v for k, v in state.items() if "decoder2.2" not in k}, r"missing, as named here: fine_decoder\.2\.weight"
    )
    refused(state | {f"{learner}decoder3.weight": torch.ones(1)}, r"unexpected: hpn_learner\.decoder3\.weight")
    refused(state | {f"{learner}decoder2.2.bias": torch.ones(3)}, r"decoder2\.2\.bias \(3,\) for \(2,\)")
    refused({k: v for k, v in state.items() if "encoder_layer4.0" not in k}, "lack .*encoder_layer4")
    vgg = {"module.backbone.features.0.weight": torch.ones(1), f"{learner}decoder2.2.bias": torch.ones(2)}
    refused(vgg, "VGG-16")
    refused(state, "holds weights of hsnet, not of ssp", UsageError, "ssp")
    refused(torchvision_state(DEPTHS), "no weights of HSNet or SSP.*--backbone")


def test_several_queries_in_a_pass_give_the_masks_of_one_at_a_time(file: Path) -> None:
    segmenter = load_segmenter("hsnet", weights=file, size=64, device="cpu")
    assert segmenter.batch == 1, "a GPU compares more"
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (40, 70, 3), dtype=np.uint8) for _ in range(3)]
    mask = np.zeros((40, 70), bool)
    mask[10:30, 20:50] = True
    state = segmenter.condition([(images[0], mask)])
    alone = segmenter.predict(state, images)
    segmenter.at_once = AtOnce(PAIRS)
    for first, second in zip(alone, segmenter.predict(state, images), strict=True):
        np.testing.assert_allclose(first, second, atol=1e-5)
