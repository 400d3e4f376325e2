from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import CLIPTokenizer

from aligndiff_cli.datasets import emoji_classes as classes
from aligndiff_cli.models.training_state import step_of
from aligndiff_cli.pocket.recipe import on_gpu, passes
from aligndiff_cli.pocket.recipe.captions import GOOD, known_words
from aligndiff_cli.pocket.recipe.captured import CapturedStep
from aligndiff_cli.pocket.recipe.denoiser import Denoiser, build_scheduler
from aligndiff_cli.pocket.recipe.drawings import UNNAMED, Drawing
from aligndiff_cli.pocket.recipe.text import write_tokenizer
from aligndiff_cli.pocket.recipe.variants import SIDE, variant


def drawing(concept: str, colour: int = 200) -> Drawing:
    sprite = np.zeros((60, 40, 4), np.uint8)
    sprite[10:50, 5:35] = (colour, 40, 90, 255)
    return Drawing("noto", concept, sprite)


@pytest.fixture
def layout() -> passes.Layout:
    return passes.Layout([drawing(classes.KNOWN[0]), drawing(classes.FSS_TRAIN[0]), drawing(UNNAMED[0])], 2, 64)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> CLIPTokenizer:
    return write_tokenizer(tmp_path_factory.mktemp("tokenizer"), known_words())


def test_a_variant_has_another_outline_and_no_name() -> None:
    plain = drawing("bus")
    first, second = (variant(np.random.default_rng(seed), plain) for seed in (1, 2))

    assert first.concept == ""
    assert first.artist == "noto"
    assert max(first.sprite.shape[:2]) == SIDE
    assert 0.2 < (first.sprite[..., 3] > 127).mean() < 1
    assert first.sprite.shape != second.sprite.shape
    again = variant(np.random.default_rng(1), plain)
    np.testing.assert_array_equal(first.sprite, again.sprite)


def test_known_drawings_are_twice_as_often_in_a_pass_and_variants_follow(layout: passes.Layout) -> None:
    assert layout.counts.tolist() == [4, 2, 2, 2, 2, 2]
    assert layout.starts.tolist() == [0, 4, 6, 8, 10, 12]
    assert layout.size == 14
    # 4, 1 and 0.5 of 5.5, seven tenths of the samples; a tenth for each variant
    assert layout.weights() == pytest.approx([0.7 * 4 / 5.5, 0.7 / 5.5, 0.35 / 5.5, 0.1, 0.1, 0.1])


def test_captions_say_what_is_drawn(layout: passes.Layout, tokenizer: CLIPTokenizer) -> None:
    codes = np.zeros((3, layout.size), np.uint8)
    rng = np.random.default_rng(0)
    own, other, tokens, at, _ = passes.draw(rng, 3, codes, layout, layout.weights(), tokenizer, 400)

    assert own.max() < 3 * layout.size
    assert (own != other).all()
    place, beside = own % layout.size, other % layout.size
    shown = np.searchsorted(layout.starts, place, "right") - 1
    assert (shown == np.searchsorted(layout.starts, beside, "right") - 1).all()
    assert ((own // layout.size == other // layout.size) | (shown < 3)).all()
    assert {0, 1, 2, 3, 4, 5} == set(shown.tolist())
    good = tokenizer.convert_tokens_to_ids(f"{GOOD}</w>")
    said = at >= 0
    assert (tokens[said, at[said]] == good).all()
    text = tokenizer.batch_decode(tokens, skip_special_tokens=True)
    name = classes.KNOWN[0].replace("_", " ").replace("-", " ")
    assert any(name in line for line, index in zip(text, shown, strict=True) if index == 0)
    assert not any(name in line for line, index in zip(text, shown, strict=True) if index >= 3)


def test_the_rate_goes_up_stays_and_goes_down() -> None:
    assert on_gpu.rate(0.0, 0) == pytest.approx(0.001)
    assert on_gpu.rate(0.3, 5000) == 1
    assert on_gpu.rate(0.8, 5000) == pytest.approx(0.5)
    assert on_gpu.rate(1.0, 5000) == 0


def test_a_step_off_a_gpu_moves_weights_and_averages(tokenizer: CLIPTokenizer) -> None:
    torch.manual_seed(0)
    model = Denoiser(tokenizer, 16, 8)
    mean = {name: p.detach().clone() for name, p in model.named_parameters()}
    latents = torch.randn(6, 16, 8, 8).half()
    step = CapturedStep(model, mean, latents, 1.0, build_scheduler().alphas_cumprod, 2)
    samples = [torch.tensor([0, 3]), torch.tensor([1, 4]), model.empty.expand(2, -1), torch.tensor([-1, 2])]
    samples.append(torch.tensor([True, False]))
    name = "unet.conv_out.weight"
    before = mean[name].clone()
    noted = step.averages()

    step.run(samples, 0.5)

    moved = (dict(model.named_parameters())[name].detach() - before).abs().max()
    assert 0 < moved < 2e-3
    assert 0 < (mean[name] - before).abs().max() < moved
    assert 0.3 < step.loss(1) < 3
    step.restore(noted)
    torch.testing.assert_close(dict(model.named_parameters())[name].detach(), before)
    torch.testing.assert_close(mean[name], before)


@pytest.mark.slow
def test_a_short_training_leaves_a_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawings = [drawing(classes.KNOWN[0]), drawing(classes.FSS_TRAIN[0], 90)]
    monkeypatch.setattr(on_gpu, "load_drawings", lambda *_: drawings)
    monkeypatch.setattr(on_gpu, "STEPS_OF_PIECE", 2)
    options = on_gpu.GpuOptions(minutes=0.02, batch=4, passes=2, per_drawing=2, processes=2, seed=0)

    on_gpu.train_on_gpu(Path("none"), tmp_path, options, torch.device("cpu"))

    assert step_of(tmp_path / "diffusion.safetensors") > step_of(on_gpu.KEPT / "diffusion.safetensors")
