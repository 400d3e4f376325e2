from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aligndiff_cli.errors import FolderError, InputError
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models import training_state
from aligndiff_cli.models.semantic import base_training
from aligndiff_cli.models.semantic.base_training import BaseSettings, train_base
from aligndiff_cli.models.semantic.batches import LabelledImage, batches, to_tensors
from aligndiff_cli.models.semantic.deeplab import DeepLab
from aligndiff_cli.models.semantic.load import build_deeplab
from aligndiff_cli.models.training_state import save_tensors
from tests.models.semantic.conftest import SMALL

SETTINGS = BaseSettings(epochs=2, batch=2, learning_rate=0.05, crop=(32, 48))
STEPS = 5  # 2 epochs of 5 images, two at a time


def model(backbone: Path) -> DeepLab:
    return build_deeplab(backbone, SMALL, 3, torch.device("cpu"))


def pictures() -> list[LabelledImage]:
    rng = np.random.default_rng(0)
    samples = []
    for number in range(5):
        image, labels = rng.integers(0, 256, (40, 56, 3), dtype=np.uint8), np.zeros((40, 56), np.uint8)
        labels[5:30, 8:40] = 1 + number % 2
        image[labels == 1], image[labels == 2] = (250, 10, 10), (10, 10, 250)
        samples.append((image, labels))
    return samples


def state(net: torch.nn.Module) -> dict[str, bytes]:
    return {key: value.numpy().tobytes() for key, value in net.state_dict().items()}


@pytest.mark.parametrize(("images", "steps"), [(5, 5), (1, 1), (4, 4), (100, 100)])
def test_steps_are_passes_over_the_images(images: int, steps: int) -> None:
    assert SETTINGS.steps(images) == steps
    assert BaseSettings(epochs=1, batch=32).steps(3) == 1


def test_batches_follow_from_seed_name_and_step_alone() -> None:
    def make(rng: np.random.Generator) -> LabelledImage:
        return rng.integers(0, 256, (2, 3, 3), dtype=np.uint8), rng.integers(0, 9, (2, 3), dtype=np.uint8)

    whole = list(batches(make, 1, "x", range(4), 3))
    assert [(i.shape, i.dtype, t.shape, t.dtype) for i, t in whole] == [
        ((3, 3, 2, 3), torch.uint8, (3, 2, 3), torch.int64)
    ] * 4
    for (a, b), (c, d) in zip(whole[2:], batches(make, 1, "x", range(2, 4), 3), strict=True):
        assert torch.equal(a, c)
        assert torch.equal(b, d)
    for seed, name in ((2, "x"), (1, "y")):
        assert not torch.equal(whole[0][0], next(iter(batches(make, seed, name, range(1), 3)))[0])
    assert not torch.equal(whole[0][0], whole[1][0])
    assert not torch.equal(whole[0][0][0], whole[0][0][1])
    assert list(batches(make, 1, "x", range(4, 4), 3)) == []


def one_after_another(
    make: Callable[[np.random.Generator], LabelledImage], seed: int, name: str, steps: range, count: range, _: object
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """What ``batches`` makes, without threads."""
    for step in steps:
        yield to_tensors([make(np.random.default_rng(item_seed(seed, f"{name}/{step}/{n}"))) for n in count])


def test_threads_change_no_loss(backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses: list[float] = []
    loss_of = base_training.batch_loss

    def noted(*given: Any) -> torch.Tensor:
        found = loss_of(*given)
        losses.append(found.item())
        return found

    monkeypatch.setattr(base_training, "batch_loss", noted)
    with_threads, without = model(backbone), model(backbone)
    train_base(with_threads, pictures(), SETTINGS, 3, tmp_path / "with", lambda _: None)
    monkeypatch.setattr(base_training, "batches", one_after_another)
    train_base(without, pictures(), SETTINGS, 3, tmp_path / "without", lambda _: None)
    assert len(losses) == 2 * STEPS
    assert losses[:STEPS] == losses[STEPS:]
    assert state(with_threads) == state(without)


def test_a_sample_that_cannot_be_read_ends_the_training_as_that_error() -> None:
    def make(rng: np.random.Generator) -> LabelledImage:
        raise InputError("the file is truncated", "b.jpg")

    with pytest.raises(InputError, match=r"b\.jpg: the file is truncated"):
        list(batches(make, 0, "x", range(3), 9))


def test_a_killed_training_goes_on_to_the_same_weights(
    backbone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, done = model(backbone), []
    train_base(whole, pictures(), SETTINGS, 3, tmp_path / "whole", done.append)
    assert sum(done) == STEPS
    assert [path.name for path in (tmp_path / "whole").iterdir()] == ["model.safetensors"]
    assert state(whole) != state(model(backbone))

    monkeypatch.setattr(training_state, "SAVE_SECONDS", -1.0)
    taken: list[int] = []

    def kill(steps: int) -> None:
        taken.append(steps)
        if sum(taken) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_base(model(backbone), pictures(), SETTINGS, 3, tmp_path / "killed", kill)
    assert [path.name for path in (tmp_path / "killed").iterdir()] == ["state.safetensors"]
    again, done = model(backbone), []
    train_base(again, pictures(), SETTINGS, 3, tmp_path / "killed", done.append)
    assert done == [2, 1, 1, 1]  # two steps were kept, the third was lost with the process
    assert state(again) == state(whole)
    files = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "killed")]
    assert files[0] == files[1]
    assert not (tmp_path / "killed" / "state.safetensors").exists()

    # what is done is read, and no image is asked for
    read, done = model(backbone), []
    train_base(read, [None] * 5, SETTINGS, 3, tmp_path / "whole", done.append)  # type: ignore[list-item]
    assert done == [STEPS]
    assert state(read) == state(whole)


def test_another_seed_is_another_training(backbone: Path, tmp_path: Path) -> None:
    nets = []
    for seed in (0, 1):
        nets.append(model(backbone))
        train_base(nets[-1], pictures(), SETTINGS, seed, tmp_path / str(seed), lambda _: None)
    assert state(nets[0]) != state(nets[1])


@pytest.mark.parametrize("name", ["model.safetensors", "state.safetensors"])
def test_what_another_network_left_is_refused(backbone: Path, tmp_path: Path, name: str) -> None:
    save_tensors(tmp_path / name, {"step": torch.tensor(1), "net.head.weight": torch.zeros(2, 2)})
    with pytest.raises(FolderError, match=f"{name}.*another network.*Remove the file"):
        train_base(model(backbone), pictures(), SETTINGS, 0, tmp_path, lambda _: None)
