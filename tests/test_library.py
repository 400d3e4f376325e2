"""The library: its documented example is run as it stands, and folders are opened as the commands leave them."""

from __future__ import annotations

import doctest
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import aligndiff_cli as ad
from aligndiff_cli import library
from aligndiff_cli.errors import UsageError
from tests.cli.world import draw_folders, draw_synth, shape

pytestmark = pytest.mark.slow


@pytest.fixture
def model(tiny_sd: Path, tmp_path: Path) -> Path:
    """A tiny model whose own settings are quick."""
    folder = shutil.copytree(tiny_sd, tmp_path / "model")
    (folder / "aligndiff.json").write_text(json.dumps({"inversion_steps": 2, "steps": 2}))
    return folder


def test_the_example_does_what_it_says(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image, mask = shape(np.random.default_rng(0), 36, 48, 1)
    monkeypatch.setattr(library, "model_folder", lambda source: model)
    names: dict[str, Any] = {"image": image, "mask": mask, "photo": image, "labels": mask.astype(np.uint8) * 3}
    examples = doctest.DocTestParser().get_examples(library.__doc__ or "")
    assert len(examples) == 7
    for example in examples:
        exec(example.source, names)
    assert names["v"].vectors.shape[-1] == 32
    assert (names["images"].shape, names["images"].dtype) == ((8, 32, 32, 3), np.uint8)
    assert (names["soft"].shape, names["soft"].dtype) == ((8, 32, 32), np.float32)
    assert 0 <= names["soft"].min() <= names["soft"].max() <= 1
    assert [(one.shape, one.dtype) for one in names["masks"]] == [((32, 32), bool)] * 8
    assert names["scene"].image.shape == (36, 48, 3)
    assert set(np.unique(names["scene"].labels)) <= {0, 3, 21, 255}


def test_images_do_not_depend_on_the_batch(model: Path) -> None:
    loaded = ad.load_model(model)
    whole, _ = ad.generate(loaded, "dog", n=3, batch=3)
    parts, _ = ad.generate(loaded, "dog", n=3, batch=2)
    assert np.abs(whole.astype(int) - parts).max() <= 1


def test_folders_of_a_chain_are_opened(model: Path, tmp_path: Path) -> None:
    draw_folders(tmp_path)
    made = ad.run(ad.InvertOptions(images=tmp_path / "support", out=tmp_path / "bank", model=str(model), preview=0))
    assert (made.made, made.kept) == (2, 0)
    found = ad.open_bank(tmp_path / "bank")
    assert sorted(found) == ["chess_queen/01", "dog/01"]

    draw_synth(tmp_path / "synth", model)
    asked = ad.MaskOptions(images=tmp_path / "synth", out=tmp_path / "masks", segmenter="attention")
    ad.run(asked)
    masks = ad.open_masks(tmp_path / "masks")
    image, mask, name = masks[0]
    assert image.shape[:2] == mask.shape
    assert (mask.dtype, name) == (bool, "chess queen")
    assert len(masks) == 8  # of each class's five the last is empty

    ad.run(ad.ComposeOptions(foregrounds=tmp_path / "masks", base=tmp_path / "base", out=tmp_path / "scenes", count=3))
    scenes = ad.open_scenes(tmp_path / "scenes")
    picture, labels = scenes[2]
    assert len(scenes) == 3
    assert (picture.dtype, labels.dtype) == (torch.uint8, torch.int64)
    assert picture.shape == (3, *labels.shape) == (3, 40, 56)
    assert scenes.classes == ["dog", "chess queen", "bus"]


def test_options_are_checked_as_the_commands_are(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--steps: expected at least 1, got 0"):
        ad.InvertOptions(images=tmp_path / "support", out=tmp_path / "bank", steps=0)
    with pytest.raises(UsageError, match="--noise-folds has no meaning for --segmenter ssp"):
        ad.MaskOptions(images=tmp_path, support=tmp_path, out=tmp_path / "m", segmenter="ssp", noise_folds=7)


def test_it_is_loaded_when_first_used() -> None:
    program = (
        "import sys, aligndiff_cli as ad\n"
        "assert 'load_model' in dir(ad)\n"
        "ad.InvertOptions\n"
        "sys.exit('loaded torch' if 'torch' in sys.modules else 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
