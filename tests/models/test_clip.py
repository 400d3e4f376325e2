"""CLIP and SigLIP on small random models: lengths, independence, and the pixels that transformers' own classes make."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aligndiff_cli.errors import ModelError
from aligndiff_cli.models.clip import BATCH, load_clip
from tests.models.clips import KINDS, MEAN, STD, save_clip

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_clip(request.param, tmp_path_factory.mktemp(request.param))


def picture(seed: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


def test_points_have_length_one_and_no_batch_mates(folder: Path) -> None:
    clip = load_clip(folder)
    pictures = [picture(0, 40, 90), picture(1, 90, 50), picture(2, 64, 64)]
    together = clip.images(pictures)
    assert together.shape == (3, 16)
    torch.testing.assert_close(together.norm(dim=1), torch.ones(3))
    assert torch.equal(clip.images([None, pictures[1]])[1], together[1])
    assert not torch.allclose(together[0], together[1], atol=1e-2)
    assert len(clip.images(pictures * 5)) == 15 < BATCH


def test_texts_differ_by_their_words_and_may_be_too_long(folder: Path) -> None:
    clip = load_clip(folder)
    dog, cat = clip.text("a photo of a dog"), clip.text("a photo of a cat")
    torch.testing.assert_close(dog.norm(), torch.tensor(1.0))
    assert not torch.allclose(dog, cat, atol=1e-5, rtol=0)
    assert torch.isfinite(clip.text("dog " * 100)).all()


def test_the_points_are_those_of_transformers(folder: Path) -> None:
    """Of a picture that needs no resizing, with its pixels normalised here."""
    clip, image = load_clip(folder), picture(3, 32, 32)
    pixels = torch.from_numpy((image / 255 - np.array(MEAN)) / np.array(STD)).permute(2, 0, 1)[None].float()
    found = clip.net.get_image_features(pixel_values=pixels)
    expected = getattr(found, "pooler_output", found)[0]
    torch.testing.assert_close(clip.images([image])[0], expected / expected.norm(), atol=1e-5, rtol=1e-5)


def test_clip_sees_the_middle_and_siglip_all(folder: Path) -> None:
    """A picture twice as wide as high: what lies left and right of its middle square."""
    clip, image = load_clip(folder), picture(4, 32, 64)
    other = image.copy()
    other[:, :12] = 0
    same = torch.allclose(clip.images([image]), clip.images([other]), atol=1e-3)
    assert same == (clip.net.config.model_type == "clip")


def test_pixels_are_those_of_the_library(folder: Path) -> None:
    """Of pictures higher and wider than the network sees, by the image processor of the folder."""
    transformers = pytest.importorskip("transformers", "5")
    clip = load_clip(folder)
    name = {"clip": "CLIPImageProcessorPil", "siglip": "SiglipImageProcessorPil"}[clip.net.config.model_type]
    settings = json.loads((folder / "preprocessor_config.json").read_text())
    processor = getattr(transformers, name)(**settings)
    for image in (picture(5, 50, 90), picture(6, 77, 41)):
        expected = processor(images=Image.fromarray(image), return_tensors="pt").pixel_values[0]
        torch.testing.assert_close(clip._pixels(image), expected, atol=0.03, rtol=0)


@pytest.mark.parametrize(
    ("config", "reason"),
    [({"model_type": "sam"}, "this is a sam, neither a CLIP nor a SigLIP"), ({}, "this is a model without a type")],
)
def test_other_networks_are_refused(tmp_path: Path, config: dict, reason: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=reason):
        load_clip(tmp_path)


def test_a_folder_without_a_tokenizer_says_so(folder: Path, tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors", "preprocessor_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    with pytest.raises(ModelError, match="the tokenizer cannot be read"):
        load_clip(tmp_path)
