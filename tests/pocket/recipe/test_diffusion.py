from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from aligndiff_cli.models.diffusion.defaults import read_defaults
from aligndiff_cli.models.diffusion.load import load_diffusion
from aligndiff_cli.models.training_state import save_state
from aligndiff_cli.pocket.recipe import vae
from aligndiff_cli.pocket.recipe.captions import known_words
from aligndiff_cli.pocket.recipe.denoiser import Batch, Denoiser, build_scheduler, v_loss
from aligndiff_cli.pocket.recipe.diffusion import DiffusionOptions, draw_batch, train_diffusion
from aligndiff_cli.pocket.recipe.export import export_model
from aligndiff_cli.pocket.recipe.looks import SIZE, LooksEncoder
from aligndiff_cli.pocket.recipe.pool import Pool
from aligndiff_cli.pocket.recipe.side_by_side import SideBySide
from aligndiff_cli.pocket.recipe.text import MAX_TOKENS, WIDTH, write_tokenizer
from aligndiff_cli.pocket.recipe.training import Ema, ema_weights

pytestmark = pytest.mark.slow

SIZE_LIMIT = 40_000_000
CPU = torch.device("cpu")


@pytest.fixture(autouse=True, scope="module")
def small_unet() -> None:
    """The networks as they are, but narrow."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aligndiff_cli.pocket.recipe.denoiser.UNET_CHANNELS", (32, 64))
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Denoiser:
    torch.manual_seed(0)
    return Denoiser(write_tokenizer(tmp_path_factory.mktemp("tokenizer"), known_words()), 4, 8).eval()


def a_batch(model: Denoiser, count: int = 4) -> Batch:
    generator = torch.Generator().manual_seed(1)
    x0, noise, other = torch.randn(3, count, 4, 8, 8, generator=generator)
    tokens = torch.full((count, MAX_TOKENS), model.end)
    tokens[:, 0] = model.empty[0, 0]
    tokens[:, 1:4] = torch.randint(0, 500, (count, 3), generator=generator)
    looks_noise = torch.randn(count, WIDTH, generator=generator)
    looks_at = torch.tensor([-1, 2] * (count // 2))
    bare = torch.tensor([False, False, True, True] * (count // 4))
    return Batch(x0, noise, torch.tensor([10, 300, 600, 999][:count]), tokens, looks_at, other, looks_noise, bare)


def test_the_reconstruction_loss_by_hand() -> None:
    images = torch.zeros(1, 3, 4, 8)
    decoded = torch.zeros(1, 3, 4, 8)
    decoded[..., 4:] = 1.0
    # pixels 1/2; one of seven columns of differences is 1, none of the rows; one of two areas is off by 1
    expected = 0.5 + vae.EDGE_WEIGHT / 7 + vae.AREA_WEIGHT * 0.5
    assert vae.reconstruction_loss(decoded, images).item() == pytest.approx(expected)


def test_nothing_of_the_picture_is_left_at_the_noisiest_step() -> None:
    scheduler = build_scheduler()
    assert scheduler.alphas_cumprod[-1] == 0
    assert scheduler.alphas_cumprod[0] > 0.99


def test_the_loss_is_that_of_v(model: Denoiser, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = a_batch(model)
    monkeypatch.setattr(Denoiser, "forward", lambda self, batch, x_t: x_t)
    alphas_bar = torch.zeros(1000)
    alphas_bar[[10, 300, 600]] = torch.tensor([1.0, 0.25, 0.25])
    # a = 1: v = noise, x_t = x0; a = 0: v = -x0, x_t = noise
    a = alphas_bar[batch.t].view(-1, 1, 1, 1)
    x_t = a.sqrt() * batch.x0 + (1 - a).sqrt() * batch.noise
    expected = (x_t - a.sqrt() * batch.noise + (1 - a).sqrt() * batch.x0).square().mean()
    assert v_loss(model, alphas_bar, batch) == pytest.approx(expected.item())
    assert torch.equal(x_t[0], batch.x0[0])
    assert torch.equal(x_t[3], batch.noise[3])


def test_looks_change_their_own_caption_only(model: Denoiser) -> None:
    batch = a_batch(model)
    changed = replace(batch, other=batch.other + torch.randn(batch.other.shape))
    with torch.no_grad():
        before, after = model.encode(batch), model.encode(changed)
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1, :2], after[1, :2])  # the encoder is causal
    assert not torch.allclose(before[1, 2:4], after[1, 2:4], atol=1e-3)


def test_bare_captions_end_as_the_empty_one_does(model: Denoiser) -> None:
    batch = a_batch(model)
    with torch.no_grad():
        states = model.encode(batch)
        empty = model.text_encoder(model.empty).last_hidden_state[0]
        whole = model.encode(replace(batch, bare=torch.zeros(4, dtype=torch.bool)))
    assert torch.allclose(states[2:, 4:], empty[4:].expand(2, -1, -1), atol=1e-5)
    assert torch.allclose(states[:, :4], whole[:, :4])
    assert not torch.allclose(states[0, 4:], empty[4:], atol=1e-2)


def test_vectors_of_looks_have_one_length() -> None:
    vectors = LooksEncoder(4, 8, WIDTH)(torch.randn(3, 4, 8, 8))
    assert torch.allclose(vectors.square().mean(1).sqrt(), torch.full((3,), SIZE), rtol=1e-3)


def test_two_threads_find_the_gradients_of_one(model: Denoiser) -> None:
    alphas_bar = build_scheduler().alphas_cumprod
    found = []
    for parts in (1, 2):
        loss = SideBySide(model, parts).backward(alphas_bar, a_batch(model))
        found.append((loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert torch.allclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-5)
    assert found[0][1].abs().max() > 1e-3


def test_half_precision_finds_nearly_the_same_gradients(model: Denoiser) -> None:
    alphas_bar = build_scheduler().alphas_cumprod
    found = []
    for half in (False, True):
        loss = SideBySide(model, 1, half).backward(alphas_bar, a_batch(model))
        found.append((loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])))
    assert found[0][0] == pytest.approx(found[1][0], rel=0.02)
    assert torch.cosine_similarity(found[0][1], found[1][1], dim=0) > 0.99


def prepare_work(work: Path) -> None:
    """Stand-ins for what the earlier steps of the recipe leave behind."""
    torch.manual_seed(0)
    model = vae.build_vae(64)
    save_state(work / "vae.safetensors", model, torch.optim.AdamW(model.parameters()), 1, Ema(model, 0.9).mean)
    entries = [
        {"drawing": i // 2, "artist": "noto", "concept": "bus", "adjectives": ["shaded", "good"]} for i in range(6)
    ]
    (work / "pool.json").write_text(json.dumps(entries))
    np.save(work / "pool.npy", np.random.default_rng(0).integers(0, 255, (6, 64, 64, 3), np.uint8))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("pocket")
    prepare_work(work)
    for until in (1, 2):  # killed after the first step
        train_diffusion(work, DiffusionOptions(steps=4, until=until, batch=2), CPU)
    return work


def test_training_resumes_to_the_same_weights(trained: Path, tmp_path: Path) -> None:
    prepare_work(tmp_path)
    train_diffusion(tmp_path, DiffusionOptions(steps=4, until=2, batch=2), CPU)
    resumed, whole = ema_weights(trained / "diffusion.safetensors"), ema_weights(tmp_path / "diffusion.safetensors")
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


def test_a_batch_says_where_the_looks_go(trained: Path) -> None:
    tokenizer = write_tokenizer(trained / "again", known_words())
    options = DiffusionOptions(steps=4, until=2, batch=64)
    batch = draw_batch(np.random.default_rng(0), Pool.load(trained), tokenizer, 1000, options, CPU)
    with_looks = batch.looks_at >= 0
    assert 0.25 < with_looks.float().mean() < 0.65
    good = tokenizer.convert_tokens_to_ids("good</w>")
    assert (batch.tokens[with_looks, batch.looks_at[with_looks]] == good).all()
    assert 0 <= batch.t.min() < 100 < 900 < batch.t.max() < 1000
    assert batch.x0.shape == batch.other.shape == (64, 16, 8, 8)


def test_an_export_is_a_stable_diffusion_pipeline(trained: Path, tmp_path: Path) -> None:
    export_model(trained, tmp_path / "model")
    assert sum(p.stat().st_size for p in (tmp_path / "model").rglob("*") if p.is_file()) < SIZE_LIMIT
    assert not list((tmp_path / "model").rglob("*.bin"))
    pipeline = StableDiffusionPipeline.from_pretrained(tmp_path / "model")
    parts = (pipeline.unet, pipeline.text_encoder, pipeline.vae)
    assert {next(part.parameters()).dtype for part in parts} == {torch.float32}
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(0)
    images = pipeline("a photo of a bus", height=48, width=64, num_inference_steps=2, generator=generator).images
    assert images[0].size == (64, 48)
    averaged = ema_weights(trained / "diffusion.safetensors")
    assert torch.allclose(pipeline.unet.conv_in.weight, averaged["unet.conv_in.weight"], atol=1e-3)
    assert read_defaults(tmp_path / "model").guidance > 1
    model = load_diffusion(tmp_path / "model", device="cpu")
    assert model.embedding_dim == WIDTH
    assert model.latent_size(64, 96) == (8, 12)
