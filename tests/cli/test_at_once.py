"""Batches that the device's memory does not hold: halved, told in the records, and the same results."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from aligndiff_cli.disk.bank import read_embedding
from aligndiff_cli.disk.images import read_image, read_soft
from aligndiff_cli.engine.manifest import read_records
from aligndiff_cli.models.diffusion import inversion, sampling
from aligndiff_cli.models.segmenters.backbone import Features
from tests.cli.conftest import Run
from tests.cli.world import World, draw_bank

pytestmark = pytest.mark.slow


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory for one instance to be learnt, or two pictures to be drawn or looked at."""
    invert, sample, pixels = inversion.invert, sampling.sample, Features.pixels

    def invert_one(model: Any, instances: Sequence[Any], *more: Any) -> Any:
        return refuse(len(instances) > 1) or invert(model, instances, *more)

    def sample_two(model: Any, prompts: Sequence[Any], *more: Any) -> Any:
        return refuse(len(prompts) > 2) or sample(model, prompts, *more)

    def pixels_two(self: Features, images: Sequence[Any], size: Any) -> Any:
        return refuse(len(images) > 2) or pixels(self, images, size)

    def refuse(too_many: bool) -> None:
        if too_many:
            raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(inversion, "invert", invert_one)
    monkeypatch.setattr(sampling, "sample", sample_two)
    monkeypatch.setattr(Features, "pixels", pixels_two)


def told(folder: Path) -> set[int | None]:
    """The ``at_once`` of all records."""
    return {record.measured.get("at_once") for record in read_records(folder).values()}


def invert_command(world: World, out: Path) -> list[object]:
    small = ["--steps", 3, "--batch", 2, "--gradient-accumulation", 1, "--preview", 0]
    return ["invert", "--images", world / "support", "--out", out, "--model", world.model, *small]


def generate_command(world: World, out: Path) -> list[object]:
    size = ["--height", 24, "--width", 40, "--steps", 2]
    return ["generate", "--bank", world / "bank", "--out", out, "--per-class", 10, "--batch", 6, *size]


def mask_command(world: World, out: Path) -> list[object]:
    few_shot = ["--segmenter", "ssp", "--backbone", world.backbone, "--segmenter-size", 64, "--consensus-iou", 0.05]
    return ["mask", "--images", world / "synth", "--support", world / "support", "--out", out, *few_shot]


def test_embeddings_are_learnt_one_after_another(world: World, run: Run, request: pytest.FixtureRequest) -> None:
    run(*invert_command(world, world / "whole"))
    request.getfixturevalue("room")
    assert "2 made" in run(*invert_command(world, world / "halved")).output
    assert (told(world / "whole"), told(world / "halved")) == ({None}, {1})
    for name in ("dog/01", "chess_queen/01"):
        own, other = (read_embedding(world / tree / f"{name}.safetensors").vectors for tree in ("whole", "halved"))
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-5)


def test_pictures_are_drawn_in_parts(world: World, run: Run, request: pytest.FixtureRequest) -> None:
    draw_bank(world / "bank", world.model)
    run(*generate_command(world, world / "whole"))
    request.getfixturevalue("room")
    run(*generate_command(world, world / "halved"))
    assert (told(world / "whole"), told(world / "halved")) == ({None}, {2})
    own, other = (read_records(world / tree) for tree in ("whole", "halved"))
    assert own.keys() == other.keys()
    for item_id in own:
        first, second = (read_image(world / tree / "images" / f"{item_id}.png") for tree in ("whole", "halved"))
        assert np.abs(first.astype(int) - second).max() <= 1, "seeds are of items, not of batches"


def test_masks_are_made_in_parts(world: World, run: Run, synth: Path, request: pytest.FixtureRequest) -> None:
    run(*mask_command(world, world / "whole"))
    request.getfixturevalue("room")
    run(*mask_command(world, world / "halved"))
    assert (told(world / "whole"), told(world / "halved")) == ({None}, {2})
    for item_id in read_records(synth):
        first, second = (read_soft(world / tree / "masks" / f"{item_id}.png") for tree in ("whole", "halved"))
        assert (first != second).mean() < 0.01
