"""Stable Diffusion XL behind the same interface: two text encoders, pooled prompt, size conditioning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from aligndiff_cli.errors import ModelError
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.diffusion import (
    DiffusionModel,
    Instance,
    InversionOptions,
    SampleOptions,
    invert,
    load_diffusion,
    sample,
)

PROMPTS = [Prompt("a photo of a {class}", "dog"), Prompt("a photo of a {class}", "chess queen")]
ADJECTIVE = "a photo of a {v*} {class}"


@pytest.fixture(scope="module")
def model(tiny_sdxl: Path) -> DiffusionModel:
    return load_diffusion(tiny_sdxl, device="cpu")


def plain_pipeline(folder: Path):
    import diffusers

    pipe = diffusers.StableDiffusionXLPipeline.from_pretrained(folder, low_cpu_mem_usage=False, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_pixels_equal_the_plain_pipeline(model, tiny_sdxl, guidance) -> None:
    options = {"height": 40, "width": 24, "steps": 3, "guidance": guidance}
    expected = plain_pipeline(tiny_sdxl)(
        [prompt.text for prompt in PROMPTS],
        height=40,
        width=24,
        num_inference_steps=3,
        guidance_scale=guidance,
        generator=[torch.Generator().manual_seed(seed) for seed in (5, 6)],
        output_type="np",
    ).images
    expected = (expected * 255).round().astype(np.uint8)
    off, _ = sample(model, PROMPTS, [5, 6], SampleOptions(**options, capture=False))
    assert np.abs(off.astype(int) - expected).max() <= 1
    on, coarse = sample(model, PROMPTS, [5, 6], SampleOptions(**options))
    assert np.abs(on.astype(int) - expected).max() <= 1
    assert coarse.shape == (2, 40, 24)


def test_an_embedding_means_the_same_to_diffusers(model, tiny_sdxl) -> None:
    v = torch.randn(1, 48, generator=torch.Generator().manual_seed(0))
    pipe = plain_pipeline(tiny_sdxl)
    pipe.load_textual_inversion(v[0, :32], token="<v>", text_encoder=pipe.text_encoder, tokenizer=pipe.tokenizer)
    pipe.load_textual_inversion(v[0, 32:], token="<v>", text_encoder=pipe.text_encoder_2, tokenizer=pipe.tokenizer_2)
    hidden, _, pooled, _ = pipe.encode_prompt("a photo of a <v> dog", device="cpu", do_classifier_free_guidance=False)
    ours = model.encode_prompts([Prompt(ADJECTIVE, "dog", v)])
    torch.testing.assert_close(ours.hidden, hidden)
    torch.testing.assert_close(ours.pooled, pooled)


@pytest.mark.parametrize("insertion", ["input", "encoded"])
def test_inversion_lowers_the_held_out_loss(model, insertion) -> None:
    rng = np.random.default_rng(0)
    pair = Instance("dog", (rng.integers(0, 256, (16, 24, 3), dtype=np.uint8),), (rng.random((16, 24)) > 0.5,))
    options = InversionOptions(
        steps=16, learning_rate=0.08, batch=2, accumulation=1, size=(16, 24), insertion=insertion
    )
    (found,) = invert(model, [pair], options, [1])
    assert found.embedding.shape == (1, 48)
    assert found.final.total < found.initial.total


def test_facts(model) -> None:
    assert model.embedding_dim == 48
    assert model.word_embedding("good").shape == (1, 48)
    with pytest.raises(ModelError, match="48 numbers"):
        model.encode_prompts([Prompt(ADJECTIVE, "dog", torch.zeros(1, 32))])
