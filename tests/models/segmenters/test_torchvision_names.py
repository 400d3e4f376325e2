"""A torchvision ResNet's file, read as a backbone: same names, same features."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from aligndiff_cli.errors import ModelError
from aligndiff_cli.models.segmenters import load_segmenter
from aligndiff_cli.models.segmenters.backbone import Backbone, load_backbone
from aligndiff_cli.models.segmenters.torchvision_names import transformers_name
from tests.models.segmenters.checkpoints import torchvision_state, torchvision_taps

PIXELS = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("conv1.weight", "embedder.embedder.convolution.weight"),
        ("bn1.running_var", "embedder.embedder.normalization.running_var"),
        ("layer1.0.conv1.weight", "encoder.stages.0.layers.0.layer.0.convolution.weight"),
        ("layer3.22.bn3.bias", "encoder.stages.2.layers.22.layer.2.normalization.bias"),
        ("layer4.0.downsample.0.weight", "encoder.stages.3.layers.0.shortcut.convolution.weight"),
        ("layer4.0.downsample.1.running_mean", "encoder.stages.3.layers.0.shortcut.normalization.running_mean"),
        ("layer4.0.se.weight", "layer4.0.se.weight"),
        ("avgpool.weight", "avgpool.weight"),
    ],
)
def test_names_by_hand(theirs: str, ours: str) -> None:
    assert transformers_name(theirs) == ours


@pytest.mark.parametrize("depths", [(3, 4, 6, 3), (3, 4, 23, 3)])
def test_every_block_is_what_torchvision_computes(tmp_path: Path, depths: tuple[int, ...]) -> None:
    state = torchvision_state(depths)
    torch.save(state, tmp_path / "resnet.pth")
    backbone = load_backbone(tmp_path / "resnet.pth")
    taps = torchvision_taps(state, PIXELS, depths)
    with torch.no_grad():
        blocks = [block for stage in backbone.stages(PIXELS) for block in stage]
    assert len(blocks) == len(taps) == sum(depths)
    for ours, theirs in zip(blocks, taps, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


def test_old_files_without_counts_of_batches_are_read(tmp_path: Path) -> None:
    torch.save(torchvision_state((1, 1, 1, 1), counts=False), tmp_path / "old.pth")
    assert load_backbone(tmp_path / "old.pth").depths == (1, 1, 1, 1)


def test_such_a_file_is_a_backbone_of_the_training_free_ones(tmp_path: Path) -> None:
    torch.save({"state_dict": torchvision_state((1, 1, 1, 1)), "epoch": 90}, tmp_path / "checkpoint.pth")
    segmenter = load_segmenter("ssp", backbone=tmp_path / "checkpoint.pth", size=64, device="cpu")
    backbone = segmenter.backbone  # type: ignore[attr-defined]
    assert isinstance(backbone, Backbone)
    torch.testing.assert_close(backbone.mean.flatten(), torch.tensor([0.485, 0.456, 0.406]))
    torch.testing.assert_close(backbone.std.flatten(), torch.tensor([0.229, 0.224, 0.225]))


def test_the_global_random_state_is_left_alone(tmp_path: Path) -> None:
    torch.save(torchvision_state((1, 1, 1, 1)), tmp_path / "r.pth")
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    load_backbone(tmp_path / "r.pth")
    assert torch.rand(1) == expected


class Trap:
    """Something that would run on being unpickled."""

    def __reduce__(self) -> tuple:
        return (Path.touch, (Path("sprung"),))


def test_what_does_not_fit_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "net.pth"
    whole = torchvision_state((1, 1, 1, 1))

    def refused(content: object, match: str) -> None:
        torch.save(content, path)
        with pytest.raises(ModelError, match=match):
            load_backbone(path)

    refused(
        {k: v for k, v in whole.items() if k != "layer2.0.bn2.bias"},
        r"missing, as named here: encoder\.stages\.1\.layers\.0\.layer\.1\.normalization\.bias",
    )
    refused(whole | {"layer5.0.x": torch.ones(1)}, r"unexpected: layer5\.0\.x")
    refused(whole | {"conv1.weight": torch.ones(4, 3, 3, 3)}, r"shape: conv1\.weight \(4, 3, 3, 3\) for \(4, 3, 7, 7\)")
    refused({f"x.{k}": v for k, v in whole.items()}, r"no ResNet .* layer1\.0\.conv1\.weight is missing")
    refused({"a": 1}, "no state dict")
    refused([1, 2], "no state dict")
    refused({"state": Trap()}, "reading them runs code: ")
    assert not (tmp_path / "sprung").exists()
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(ModelError, match="no file of weights alone"):
        load_backbone(path)
