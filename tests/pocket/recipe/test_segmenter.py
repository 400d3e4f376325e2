"""The recipe of the bundled segmenter, on a made-up world of two classes and tiny pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from aligndiff_cli.models.segmenters import load_segmenter
from aligndiff_cli.pocket.recipe import segmenter as recipe

pytestmark = pytest.mark.slow


class World:
    """Red squares and green bars on grey noise."""

    def split(self, name: str) -> tuple[str, ...]:
        return ("square", "bar")

    def fss_picture(
        self, rng: np.random.Generator, concept: str, size: tuple[int, int] = (32, 32)
    ) -> tuple[np.ndarray, np.ndarray]:
        image = rng.integers(90, 120, (*size, 3), dtype=np.uint8)
        mask = np.zeros(size, bool)
        height = size[0] // 2 if concept == "square" else size[0] // 4
        top, left = rng.integers(0, size[0] - height), rng.integers(0, size[1] // 2)
        mask[top : top + height, left : left + size[1] // 2] = True
        image[mask] = (220, 30, 30) if concept == "square" else (30, 200, 30)
        return image, mask


@pytest.fixture
def renders(monkeypatch: pytest.MonkeyPatch) -> recipe.Renders:
    monkeypatch.setattr(recipe, "CLASSIFIER_SIZE", 32)
    monkeypatch.setattr(recipe, "SIZE", 64)
    monkeypatch.setattr(recipe, "RENDER_SIZES", (24, 32))
    return recipe.Renders(World(), "train", 0)  # type: ignore[arg-type]


def test_a_batch_depends_on_its_step_alone(renders: recipe.Renders) -> None:
    images, masks, labels = renders.labelled(3, 4, 32)
    assert images.shape == (4, 3, 32, 32)
    assert masks.shape == (4, 1, 32, 32)
    for first, second in zip(renders.labelled(3, 4, 32), (images, masks, labels), strict=True):
        assert torch.equal(first, second)
    assert not torch.equal(renders.labelled(4, 4, 32)[0], images)


def test_the_classifier_resumes_where_it_was(renders: recipe.Renders, tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = recipe.train_classifier(renders, tmp_path / "a", steps=4, batch=4)
    torch.manual_seed(0)
    with pytest.raises(KeyboardInterrupt):
        recipe.train_classifier(Broken(renders, 2), tmp_path / "b", steps=4, batch=4, every=2)
    torch.manual_seed(1)
    resumed = recipe.train_classifier(renders, tmp_path / "b", steps=4, batch=4)
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name


class Broken(recipe.Renders):
    """Renders that stop the training at a step."""

    def __init__(self, renders: recipe.Renders, at: int) -> None:
        super().__init__(renders.world, "train", renders.seed)
        self.at = at

    def labelled(self, step: int, count: int, side: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        if step == self.at:
            raise KeyboardInterrupt
        return super().labelled(step, count, side)


def test_what_is_written_is_what_is_loaded(renders: recipe.Renders, tmp_path: Path) -> None:
    torch.manual_seed(0)
    backbone = recipe.save_backbone(recipe.ResNetModel(recipe.small_resnet()), tmp_path)
    net = recipe.HSNet(backbone.depths[1:])
    recipe.save_hsnet(net, tmp_path / "hsnet.safetensors", size=64, backbone=backbone.fingerprint())
    loaded = load_segmenter("hsnet", backbone=tmp_path, weights=tmp_path / "hsnet.safetensors", device="cpu")
    assert loaded.size == 64
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 6.5e6
    batch = recipe.hsnet_batch(backbone, renders, 0, 2)
    assert batch.truth.shape == (4, 64, 64)
    assert [level.shape[3] for level in batch.queries] == [8, 4, 2]
    episode = renders.episode("x", 1)
    assert loaded.predict(loaded.condition(episode.supports), [episode.image])[0].shape == (32, 32)
