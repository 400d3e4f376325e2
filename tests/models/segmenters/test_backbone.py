"""Backbones of every kind, small and random, saved and read back: sizes, stages, preprocessing, and use."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    ConvNextConfig,
    ConvNextForImageClassification,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
    SwinConfig,
    SwinForImageClassification,
)

from aligndiff_cli.errors import ModelError
from aligndiff_cli.models.segmenters import backbone as backbone_module
from aligndiff_cli.models.segmenters import load_segmenter
from aligndiff_cli.models.segmenters.backbone import AutoFeatures, Backbone, load_backbone, load_features

pytestmark = pytest.mark.slow

DINO = {"hidden_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2, "patch_size": 14, "image_size": 56}
HIERARCHY = {"depths": [1, 1, 2, 1]}


def network(kind: str) -> PreTrainedModel:
    torch.manual_seed(0)
    if kind == "resnet":
        sizes = {"embedding_size": 8, "hidden_sizes": [8, 12, 16, 24], "layer_type": "basic"}
        return ResNetForImageClassification(ResNetConfig(**sizes, **HIERARCHY))
    if kind == "swin":
        config = SwinConfig(embed_dim=8, num_heads=[1, 1, 2, 2], window_size=4, image_size=64, **HIERARCHY)
        return SwinForImageClassification(config)
    if kind == "convnext":
        return ConvNextForImageClassification(ConvNextConfig(hidden_sizes=[8, 12, 16, 24], **HIERARCHY))
    if kind == "dinov2":
        return Dinov2Model(Dinov2Config(**DINO))
    return Dinov2WithRegistersModel(Dinov2WithRegistersConfig(num_register_tokens=2, **DINO))


def save(kind: str, folder: Path, **preprocessing: object) -> Path:
    network(kind).save_pretrained(folder)
    content = {"image_mean": [0.5, 0.25, 0.125], "image_std": [0.5, 0.5, 0.25], **preprocessing}
    (folder / "preprocessor_config.json").write_text(json.dumps(content))
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    kinds = ("resnet", "swin", "convnext", "dinov2", "registers")
    return {kind: save(kind, tmp_path_factory.mktemp(kind)) for kind in kinds}


@pytest.mark.parametrize(
    ("kind", "side", "matched", "shapes"),
    [
        # asked for 60 pixels: the side they take, the stages matched, and the shapes of those
        ("resnet", 60, (3, 4), [(16, 4, 4), (24, 2, 2)]),
        ("swin", 60, (3, 4), [(32, 4, 4), (64, 2, 2)]),
        ("convnext", 60, (3, 4), [(16, 3, 3), (24, 1, 1)]),
        ("dinov2", 70, (3,), [(24, 5, 5)]),
        ("registers", 70, (3,), [(24, 5, 5)]),
    ],
)
def test_sizes_and_stages(folders: dict[str, Path], kind: str, side: int, matched: tuple, shapes: list) -> None:
    features = load_features(folders[kind])
    assert isinstance(features, Backbone if kind == "resnet" else AutoFeatures)
    assert features.fit(60) == side
    assert features.fit(side) == side
    assert features.matched == matched
    image = np.random.default_rng(0).integers(0, 255, (40, 90, 3), dtype=np.uint8)
    with torch.no_grad():
        maps = features.maps(features.pixels([image, image[:20]], side), matched)
    assert [tuple(found.shape[1:]) for found in maps] == shapes
    assert all(len(found) == 2 and torch.isfinite(found).all() for found in maps)


@pytest.mark.parametrize("kind", ["swin", "dinov2"])
def test_features_are_those_of_the_saved_network(folders: dict[str, Path], kind: str) -> None:
    """The last stage, against the plain model's own output; nothing in the file is made up or left out."""
    features = load_features(folders[kind])
    side = 128 if kind == "swin" else features.fit(60)  # swin: whole windows in every stage
    pixels = torch.randn(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        found = features.maps(pixels, features.matched[-1:])[0].flatten(2).transpose(1, 2)
        if kind == "swin":
            plain = network(kind).swin.eval()(pixels, output_hidden_states=True).reshaped_hidden_states[-1]
            expected = torch.nn.functional.layer_norm(plain.flatten(2).transpose(1, 2), plain.shape[1:2])
        else:
            expected = network(kind).eval()(pixels).last_hidden_state[:, 1:]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_pixels_follow_the_preprocessing_of_the_folder(folders: dict[str, Path]) -> None:
    white = np.full((30, 50, 3), 255, np.uint8)
    expected = torch.tensor([1.0, 1.5, 3.5])
    for folder in folders.values():
        torch.testing.assert_close(load_features(folder).pixels([white], 14)[0, :, 7, 7], expected)


@pytest.mark.parametrize("kind", ["resnet", "swin", "convnext", "dinov2", "registers"])
@pytest.mark.parametrize("name", ["ssp", "prototype"])
def test_training_free_segmenters_take_any(folders: dict[str, Path], kind: str, name: str) -> None:
    segmenter = load_segmenter(name, backbone=folders[kind], size=60, device="cpu")
    assert segmenter.size == (70 if kind in ("dinov2", "registers") else 60)
    rng = np.random.default_rng(1)
    image = rng.integers(0, 60, (48, 90, 3), dtype=np.uint8)
    mask = np.zeros((48, 90), bool)
    mask[12:40, 30:70] = True
    image[mask] = (220, 40, 30)
    soft = segmenter.predict(segmenter.condition([(image, mask)]), [image, image[:, :33]])
    assert [found.shape for found in soft] == [(48, 90), (48, 33)]
    assert soft[0].std() > 0
    # in their own size, up to a multiple of the patch
    native = load_segmenter(name, backbone=folders[kind], size=0, device="cpu")
    assert native._sides(image) == ((56, 98) if kind in ("dinov2", "registers") else (48, 90))  # type: ignore[attr-defined]
    if kind != "swin":
        soft = native.predict(native.condition([(image, mask)]), [image, image[:, :33]])
        assert [found.shape for found in soft] == [(48, 90), (48, 33)]


def test_the_same_folder_has_the_same_fingerprint(folders: dict[str, Path]) -> None:
    prints = {kind: load_features(folder).fingerprint() for kind, folder in folders.items()}
    assert len(set(prints.values())) == len(prints)
    assert load_features(folders["swin"]).fingerprint() == prints["swin"]


def test_hsnet_and_a_network_to_train_want_a_resnet(folders: dict[str, Path]) -> None:
    with pytest.raises(ModelError, match="a swin, not a resnet"):
        load_backbone(folders["swin"])


def test_weights_that_are_missing_are_not_made_up(tmp_path: Path) -> None:
    folder = save("dinov2", tmp_path)
    tensors = load_file(folder / "model.safetensors")
    del tensors["layernorm.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 weights, e\.g\. layernorm\.weight"):
        load_features(folder)


def test_counts_of_seen_batches_may_be_missing(folders: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(folders["resnet"], tmp_path / "resnet"))
    tensors = load_file(folder / "model.safetensors")
    kept = {key: value for key, value in tensors.items() if not key.endswith("num_batches_tracked")}
    assert len(kept) < len(tensors)
    save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
    pixels = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    own, whole = load_features(folder), load_features(folders["resnet"])
    assert torch.equal(own.maps(pixels, (4,))[0], whole.maps(pixels, (4,))[0])


@pytest.mark.parametrize("kind", ["resnet", "dinov2"])
def test_weights_cut_short_are_said(folders: dict[str, Path], tmp_path: Path, kind: str) -> None:
    folder = Path(shutil.copytree(folders[kind], tmp_path / kind))
    # what a clone without git-lfs leaves in their place
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ModelError, match="the weights cannot be read"):
        load_features(folder)


def test_a_hub_id_is_fetched(folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(source: str | Path) -> Path:
        asked.append(source)
        return folders["dinov2"]

    monkeypatch.setattr(backbone_module, "network_folder", fetch)
    found = load_segmenter("ssp", backbone="facebook/dinov2-small", device="cpu")
    assert asked == ["facebook/dinov2-small"]
    assert found.size == 322
