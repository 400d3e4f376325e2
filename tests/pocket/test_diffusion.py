from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline

from aligndiff_cli.models.diffusion.defaults import read_defaults
from aligndiff_cli.pocket import diffusion, vae
from aligndiff_cli.pocket.export import export_model
from aligndiff_cli.pocket.text import MAX_TOKENS, write_tokenizer
from aligndiff_cli.pocket.training import Ema, ema_weights, save_state

SIZE_LIMIT = 40_000_000


def test_min_snr_weights() -> None:
    alphas_bar = torch.tensor([10 / 11, 0.5, 0.1])  # SNR 10, 1, 1/9
    weight = diffusion.min_snr_weight(alphas_bar, torch.tensor([0, 1, 2]))
    assert torch.allclose(weight, torch.tensor([0.5, 1.0, 1.0]))


def test_the_reconstruction_loss_by_hand() -> None:
    images = torch.zeros(1, 3, 4, 8)
    decoded = torch.zeros(1, 3, 4, 8)
    decoded[..., 4:] = 1.0
    # pixels 1/2; one of seven columns of differences is 1, none of the rows; one of two areas is off by 1
    expected = 0.5 + vae.EDGE_WEIGHT / 7 + vae.AREA_WEIGHT * 0.5
    assert vae.reconstruction_loss(decoded, images).item() == pytest.approx(expected)


def test_the_decoder_learns_alone_when_asked() -> None:
    model = vae.build_vae()
    images, noise = torch.zeros(1, 3, 16, 24), torch.zeros(1, 4, 4, 6)
    vae.vae_loss(model, images, noise, encoder=False).backward()
    assert all(p.grad is None for p in model.encoder.parameters())
    assert all(p.grad is not None for p in model.decoder.parameters())


def test_two_threads_find_the_gradients_of_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = diffusion.Denoiser(write_tokenizer(tmp_path, ["a"]))
    generator = torch.Generator().manual_seed(1)
    x0, noise = torch.randn(2, 4, 4, 16, 16, generator=generator)
    tokens = torch.randint(0, 500, (4, MAX_TOKENS), generator=generator)
    batch = diffusion.Batch(x0, noise, torch.tensor([10, 300, 600, 900]), tokens)
    alphas_bar = diffusion.build_scheduler().alphas_cumprod
    found = []
    for parts in (1, 2):
        loss = diffusion.SideBySide(model, parts).backward(alphas_bar, batch)
        found.append((loss, torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-5)
    assert torch.allclose(found[0][1], found[1][1], rtol=1e-3, atol=1e-6)
    assert found[0][1].abs().max() > 1e-3


def prepare_work(work: Path) -> None:
    """Stand-ins for what the earlier steps of the recipe leave behind."""
    torch.manual_seed(0)
    model = vae.build_vae()
    save_state(work / "vae.safetensors", model, torch.optim.AdamW(model.parameters()), Ema(model, 0.9), 1)
    entries = [{"concept": "bus", "adjectives": ["flat"], "tint": None}] * 6
    (work / "pool.json").write_text(json.dumps(entries))
    np.save(work / "pool.npy", np.random.default_rng(0).integers(0, 255, (6, 64, 64, 3), np.uint8))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("pocket")
    prepare_work(work)
    for until in (1, 2):  # killed after the first step
        diffusion.train_diffusion(work, steps=4, until=until, batch=2, seed=0, device=torch.device("cpu"))
    return work


def test_training_resumes_to_the_same_weights(trained: Path, tmp_path: Path) -> None:
    prepare_work(tmp_path)
    diffusion.train_diffusion(tmp_path, steps=4, until=2, batch=2, seed=0, device=torch.device("cpu"))
    resumed, whole = ema_weights(trained / "diffusion.safetensors"), ema_weights(tmp_path / "diffusion.safetensors")
    assert resumed.keys() == whole.keys()
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)


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
