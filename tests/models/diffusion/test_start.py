"""Starting from a picture: the right steps are run, from the noise level that the scheduler begins at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, FlowMatchEulerDiscreteScheduler, HeunDiscreteScheduler, PNDMScheduler

from aligndiff_cli.errors import UsageError
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.diffusion import DiffusionModel, SampleOptions, load_diffusion, sample
from aligndiff_cli.models.diffusion.sampling import check_sampling, denoise
from aligndiff_cli.models.diffusion.schedulers import SHORT_NAMES
from aligndiff_cli.models.diffusion.start import Start, last_steps, noised
from tests.models.diffusion.families import FAMILIES

PROMPTS = [Prompt("a photo of a {class}", "dog"), Prompt("a photo of a {class}", "chess queen")]
H, W = 24, 40
LATENT = (12, 20)
SIZE = {"height": H, "width": W}
STOCHASTIC = ("ddpm", "euler-a")


@pytest.mark.parametrize(
    ("strength", "steps", "run"), [(0.6, 20, 12), (0.3, 4, 1), (0.01, 50, 1), (1.0, 7, 7), (0.5, 4, 2)]
)
def test_a_strength_is_a_share_of_the_steps(strength: float, steps: int, run: int) -> None:
    assert Start((), strength).steps(steps) == run


@pytest.mark.parametrize("strength", [0.0, -0.1, 1.01, float("nan")])
def test_impossible_strengths_are_refused(strength: float) -> None:
    with pytest.raises(UsageError, match="strength"):
        Start((), strength)


@pytest.mark.parametrize(
    ("scheduler", "wanted", "times"),
    [
        (DDIMScheduler(), 3, [400, 200, 0]),
        (PNDMScheduler(skip_prk_steps=True), 3, [400, 200, 200, 0]),  # the second of the steps that are run, twice
        (PNDMScheduler(skip_prk_steps=True), 1, [0]),
        (HeunDiscreteScheduler(timestep_spacing="leading"), 3, [400, 200, 200, 0, 0]),
        (HeunDiscreteScheduler(timestep_spacing="leading"), 1, [0]),
    ],
)
def test_the_last_steps(scheduler, wanted: int, times: list[int]) -> None:
    scheduler.set_timesteps(5)
    assert last_steps(scheduler, scheduler.timesteps, 5, wanted).tolist() == times


def test_all_steps_are_those_of_the_scheduler() -> None:
    for scheduler in (DDIMScheduler(), PNDMScheduler(skip_prk_steps=True), HeunDiscreteScheduler()):
        scheduler.set_timesteps(5)
        assert torch.equal(last_steps(scheduler, scheduler.timesteps, 5, 5), scheduler.timesteps)


def test_runge_kutta_cannot_begin_midway() -> None:
    scheduler = PNDMScheduler(skip_prk_steps=False)
    scheduler.set_timesteps(20)
    with pytest.raises(UsageError, match="Runge-Kutta"):
        last_steps(scheduler, scheduler.timesteps, 20, 10)


def test_noising_by_hand() -> None:
    x0, noise = torch.full((1, 1, 1, 1), 2.0), torch.full((1, 1, 1, 1), -1.0)
    ddim = DDIMScheduler(trained_betas=[0.36] * 4)
    ddim.set_timesteps(4)
    t = last_steps(ddim, ddim.timesteps, 4, 1)[0]
    assert noised(ddim, x0, noise, t).item() == pytest.approx(0.8 * 2 - 0.6)  # sqrt(0.64), sqrt(0.36)
    flow = FlowMatchEulerDiscreteScheduler()
    flow.set_timesteps(sigmas=[1.0, 0.75, 0.25])
    t = last_steps(flow, flow.timesteps, 3, 2)[0]
    assert noised(flow, x0, noise, t).item() == pytest.approx(0.25 * 2 - 0.75)


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    return [rng.integers(0, 256, (H, W, 3), dtype=np.uint8) for _ in PROMPTS]


@pytest.fixture(scope="module")
def model(tiny_sd: Path) -> DiffusionModel:
    return load_diffusion(tiny_sd, device="cpu")


def truth(model: DiffusionModel, seeds: list[int], x0: torch.Tensor):
    """The denoiser that knows each item's noise, so that every path is straight and ends at x0; and its calls."""
    shape = (1, model.latent_channels, *LATENT)
    noise = torch.cat([torch.randn(shape, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
    calls: list[float] = []

    def predict(x_t, t, conditioning):
        calls.append(float(t))
        if not hasattr(model, "unet"):
            return noise - x0
        alphas = model.scheduler.alphas_cumprod
        a = alphas[int(t)] if float(t) == int(t) else alphas[int(t)].lerp(alphas[int(t) + 1], float(t) % 1)
        v = model.scheduler.config.prediction_type == "v_prediction"
        return a.sqrt() * noise - (1 - a).sqrt() * x0 if v else noise

    return predict, calls


def ends_at_the_picture(model: DiffusionModel, monkeypatch, scheduler: str | None, strength: float) -> list[float]:
    """Denoise with the truth; how far from the picture's latents it ends is bounded. Returns the times."""
    start = Start(pictures(), strength)
    x0 = model.encode_images(start.images).mean
    predict, calls = truth(model, [5, 6], x0)
    monkeypatch.setattr(model, "predict", predict)
    options = SampleOptions(**SIZE, steps=10, guidance=0.0, scheduler=scheduler)
    with torch.inference_mode():
        end = denoise(model, model.encode_prompts(PROMPTS), [5, 6], LATENT, options, start)
    # these end at the model's first noise level, all others at none
    left = 0.04 if scheduler in (None, "ddim", "ddpm", "pndm", "deis") else 0.005
    assert (end - x0).abs().mean() < left
    return calls


@pytest.mark.slow
@pytest.mark.parametrize("name", [*SHORT_NAMES, "KDPM2DiscreteScheduler"])
def test_every_scheduler_noises_to_the_level_it_begins_at(model, name, monkeypatch) -> None:
    for strength in (0.1,) if name in STOCHASTIC else (0.1, 0.5, 1.0):
        ends_at_the_picture(model, monkeypatch, name, strength)


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_does(name, family_model, monkeypatch) -> None:
    for strength, steps in ((0.1, 1), (0.5, 5), (1.0, 10)):
        assert len(ends_at_the_picture(family_model(name), monkeypatch, None, strength)) == steps


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_samples_with_attention(name, family_model) -> None:
    model = family_model(name)
    guidance = 0.0 if name == "flux-schnell" else 3.0
    options = SampleOptions(**SIZE, steps=4, guidance=guidance)
    plain = model.decode(model.encode_images(pictures()).mean)
    far = []
    for strength in (0.25, 1.0):
        start = Start(pictures(), strength)
        images, soft = sample(model, PROMPTS, [5, 6], options, start)
        again, _ = sample(model, PROMPTS, [5, 6], options, start)
        assert np.array_equal(images, again)
        assert images.shape == (2, H, W, 3)
        assert soft.shape == (2, H, W)
        assert 0 <= soft.min() < soft.max() <= 1
        far.append(np.abs(images.astype(int) - plain).mean())
    assert far[0] < far[1]


@pytest.mark.slow
@pytest.mark.parametrize("images", [pictures()[:1], [np.zeros((W, H, 3), np.uint8)] * 2])
def test_a_picture_of_its_size_for_each_sample(model, images) -> None:
    with pytest.raises(UsageError, match=r"expected a picture of its size for each sample.*\(12, 20\)"):
        sample(model, PROMPTS, [5, 6], SampleOptions(**SIZE, steps=2), Start(images, 0.5))


@pytest.mark.slow
def test_what_cannot_begin_midway_is_known_before(tiny_sd, tmp_path) -> None:
    import json
    import shutil

    folder = shutil.copytree(tiny_sd, tmp_path / "model")
    PNDMScheduler(skip_prk_steps=False).save_pretrained(folder / "scheduler")
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(json.dumps(index | {"scheduler": ["diffusers", "PNDMScheduler"]}))
    own = load_diffusion(folder, device="cpu")
    options = SampleOptions(**SIZE, steps=20, scheduler="pndm")
    check_sampling(own, options)
    with pytest.raises(UsageError, match="Runge-Kutta"):
        check_sampling(own, options, 0.5)
