"""The grounding module: what it reads, that it learns, and that a resumed training is the same training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from aligndiff_cli.errors import FolderError, UsageError
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models import training_state
from aligndiff_cli.models.diffusion import DiffusionModel, load_diffusion
from aligndiff_cli.models.diffusion import grounding_training as training
from aligndiff_cli.models.diffusion.grounding import (
    GroundingSegmenter,
    build_grounding,
    name_classes,
    word_states,
)
from aligndiff_cli.models.diffusion.grounding_training import GroundingSettings, load_grounding, train_grounding

pytestmark = pytest.mark.slow

NAMES = ["dog", "chess_queen"]


@pytest.fixture(scope="module")
def model(tiny_sd: Path) -> DiffusionModel:
    return load_diffusion(tiny_sd, device="cpu")


def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A bright box (class 1 or 2) on a dark ground."""
    image, labels = rng.integers(0, 60, (32, 32, 3), dtype=np.uint8), np.zeros((32, 32), np.uint8)
    top, left = rng.integers(0, 16, 2)
    labels[top : top + 16, left : left + 16] = rng.integers(1, 3)
    image[labels > 0] = 250
    return image, labels


def test_features_are_the_up_blocks_and_leave_no_hook(model: DiffusionModel) -> None:
    conditioning = model.encode_prompts([Prompt("a photo of a {class}", "dog")] * 2)
    x_t, t = torch.randn(2, 4, 20, 12, generator=torch.Generator().manual_seed(0)), torch.tensor([3, 3])
    with torch.no_grad():
        features = model.features(x_t, t, conditioning)
        output = model.predict(x_t, t, conditioning)
    assert [tuple(own.shape) for own in features] == [(2, 32, 10, 6), (2, 16, 20, 12), (2, 16, 20, 12)]
    unet = model.unet
    with torch.no_grad():
        last = unet.conv_out(unet.conv_act(unet.conv_norm_out(features[-1])))
    torch.testing.assert_close(last, output)
    assert not any(block._forward_hooks for block in unet.up_blocks)
    with pytest.raises(RuntimeError):
        model.features(x_t[:, :3], t, conditioning)
    assert not any(block._forward_hooks for block in unet.up_blocks)


def test_a_class_is_the_mean_of_its_tokens(model: DiffusionModel) -> None:
    named = name_classes(model, NAMES)
    states = word_states(named)
    # begin a photo of a dog; begin a photo of a chess queen
    torch.testing.assert_close(states[0], named.hidden[0, 5])
    torch.testing.assert_close(states[1], named.hidden[1, 5:7].mean(0))


def test_the_module_is_of_its_seed_and_leaves_the_global_state(model: DiffusionModel) -> None:
    state = torch.get_rng_state()
    first, again, other = (build_grounding(model, seed).query.weight for seed in (1, 1, 2))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_it_learns_the_object_and_is_the_same_when_loaded(model: DiffusionModel, tmp_path: Path) -> None:
    net = train_grounding(model, NAMES, draw, GroundingSettings(40, 4, 1e-2), 0, tmp_path, lambda steps: None)
    assert not (tmp_path / training_state.STATE).exists()
    pairs = [draw(np.random.default_rng(1000 + seed)) for seed in range(8)]
    images, masks = [image for image, _ in pairs], np.stack([labels > 0 for _, labels in pairs])
    soft = np.stack(GroundingSegmenter(model, load_grounding(tmp_path, model)).predict("dog", images))
    assert soft[masks].mean() > soft[~masks].mean() + 0.15
    np.testing.assert_array_equal(soft, np.stack(GroundingSegmenter(model, net).predict("dog", images)))


def test_its_size_can_be_set_and_is_read_off_its_weights(model: DiffusionModel, tmp_path: Path) -> None:
    settings = GroundingSettings(1, 2, width=24, layers=3)
    net = train_grounding(model, NAMES, draw, settings, 0, tmp_path, lambda steps: None)
    assert len(net.query.weight) == 24
    assert len(net.decoder.layers) == 3
    loaded = load_grounding(tmp_path, model).state_dict()
    assert all(torch.equal(value, loaded[name]) for name, value in net.state_dict().items())
    with pytest.raises(UsageError, match="a multiple of 8, got 20"):
        GroundingSettings(width=20)


def test_predictions_have_each_images_size_and_depend_on_it_alone(model: DiffusionModel) -> None:
    segmenter = GroundingSegmenter(model, build_grounding(model, 0))
    image = np.random.default_rng(0).integers(0, 255, (48, 40, 3), dtype=np.uint8)
    odd = image[:45, :39]
    first, second, turned = segmenter.predict("chess_queen", [image, odd, image.swapaxes(0, 1)])
    assert (first.shape, second.shape, turned.shape) == ((48, 40), (45, 39), (40, 48))
    assert first.dtype == np.float32
    assert 0 <= first.min() <= first.max() <= 1
    np.testing.assert_array_equal(segmenter.predict("chess queen", [odd, image])[1], first)
    assert not np.array_equal(segmenter.predict("dog", [image])[0], first)


def test_a_resumed_training_is_the_uninterrupted_one(
    model: DiffusionModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_state, "SAVE_SECONDS", -1.0)
    settings = GroundingSettings(4, 2, 1e-3)
    whole, taken = tmp_path / "whole", tmp_path / "taken"
    train_grounding(model, NAMES, draw, settings, 7, whole, lambda steps: None)
    done: list[int] = []

    def stop(steps: int) -> None:
        done.append(steps)
        if sum(done) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_grounding(model, NAMES, draw, settings, 7, taken, stop)
    assert not training.is_trained(taken)
    resumed: list[int] = []
    train_grounding(model, NAMES, draw, settings, 7, taken, resumed.append)
    assert resumed == [2, 1, 1]
    assert (taken / training.WEIGHTS).read_bytes() == (whole / training.WEIGHTS).read_bytes()
    (taken / training.WEIGHTS).write_bytes(b"no tensors")
    with pytest.raises(FolderError, match="cannot be read"):
        load_grounding(taken, model)


def test_an_object_that_is_gone_teaches_nothing(model: DiffusionModel, tmp_path: Path) -> None:
    def nothing(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros((32, 32, 3), np.uint8), np.zeros((32, 32), np.uint8)

    net = train_grounding(model, NAMES, nothing, GroundingSettings(2, 2), 0, tmp_path, lambda steps: None)
    before = build_grounding(model, training.item_seed(0, training.NAME))
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), before.parameters(), strict=True))
