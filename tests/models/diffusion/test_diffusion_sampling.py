"""Sampling equals the plain diffusers pipeline; capture sees real probabilities and changes nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from aligndiff_cli.errors import UsageError
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.diffusion import DiffusionModel, SampleOptions, load_diffusion, sample
from aligndiff_cli.models.diffusion.attention_unet import cross_attention_levels, halved
from aligndiff_cli.models.diffusion.sampling import check_sampling
from aligndiff_cli.models.diffusion.schedulers import SHORT_NAMES, build_scheduler

pytestmark = pytest.mark.slow

PROMPTS = [Prompt("a photo of a {class}", "dog"), Prompt("a photo of a {class}", "chess queen")]
SIZE = {"height": 40, "width": 24, "steps": 3}


@pytest.fixture(scope="module")
def model(tiny_sd: Path) -> DiffusionModel:
    return load_diffusion(tiny_sd, device="cpu")


def assert_same_pixels(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal up to rounding: two copies of one network differ in the last bit of a float, by their place in memory."""
    difference = np.abs(ours.astype(int) - theirs)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.01


def diffusers_images(
    folder: Path, guidance: float, scheduler: str | None = None, negative: str | None = None
) -> np.ndarray:
    import diffusers

    pipe = diffusers.StableDiffusionPipeline.from_pretrained(
        folder, safety_checker=None, requires_safety_checker=False, low_cpu_mem_usage=False
    )
    pipe.set_progress_bar_config(disable=True)
    if scheduler:
        pipe.scheduler = getattr(diffusers, scheduler).from_config(pipe.scheduler.config)
    images = pipe(
        [prompt.text for prompt in PROMPTS],
        negative_prompt=negative and [negative] * 2,
        height=40,
        width=24,
        num_inference_steps=3,
        guidance_scale=guidance,
        generator=[torch.Generator().manual_seed(seed) for seed in (5, 6)],
        output_type="np",
    ).images
    return (images * 255).round().astype(np.uint8)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_pixels_equal_the_plain_pipeline(model, tiny_sd, guidance) -> None:
    ours, coarse = sample(model, PROMPTS, [5, 6], SampleOptions(**SIZE, guidance=guidance, capture=False))
    assert coarse is None
    assert ours.shape == (2, 40, 24, 3)
    assert_same_pixels(ours, diffusers_images(tiny_sd, guidance))


@pytest.mark.parametrize("short", ["ddpm", "euler-a", "dpm++"])
def test_other_schedulers_equal_the_plain_pipeline(model, tiny_sd, short) -> None:
    ours, _ = sample(model, PROMPTS, [5, 6], SampleOptions(**SIZE, guidance=3.0, scheduler=short, capture=False))
    assert_same_pixels(ours, diffusers_images(tiny_sd, 3.0, SHORT_NAMES[short]))


@pytest.mark.parametrize("vectors", [1, 3])
def test_an_embedding_means_the_same_to_diffusers(model, tiny_sd, tmp_path, vectors) -> None:
    """Ours equals a pipeline that loaded the embedding as a new token."""
    import diffusers
    from safetensors.torch import save_file

    v = torch.randn(vectors, 32, generator=torch.Generator().manual_seed(0))
    save_file({"<v>": v if vectors > 1 else v[0]}, tmp_path / "v.safetensors")
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(
        tiny_sd, safety_checker=None, requires_safety_checker=False, low_cpu_mem_usage=False
    )
    pipe.load_textual_inversion(tmp_path / "v.safetensors")
    hidden, _ = pipe.encode_prompt("a photo of a <v> chess queen", torch.device("cpu"), 1, False)
    ours = model.encode_prompts([Prompt("a photo of a {v*} {class}", "chess queen", v)])
    torch.testing.assert_close(ours.hidden, hidden)


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_capture_changes_no_pixel_and_restores_the_network(model, guidance) -> None:
    before = dict(model.unet.attn_processors)
    off, _ = sample(model, PROMPTS, [5, 6], SampleOptions(**SIZE, guidance=guidance, capture=False))
    on, coarse = sample(model, PROMPTS, [5, 6], SampleOptions(**SIZE, guidance=guidance))
    assert np.abs(off.astype(int) - on).max() <= 1
    assert coarse.shape == (2, 40, 24)
    assert coarse.dtype == np.float32
    assert 0 <= coarse.min() < coarse.max() <= 1
    assert model.unet.attn_processors == before


def test_the_network_is_restored_after_an_error(model) -> None:
    before = dict(model.unet.attn_processors)

    def interrupted() -> None:
        with model.capture((20, 12), [(5,)], (0, 1)):
            assert model.unet.attn_processors != before
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert model.unet.attn_processors == before


def test_a_negative_prompt_is_the_plain_pipelines(model, tiny_sd) -> None:
    options = SampleOptions(**SIZE, guidance=4.0, negative="big red cat")
    ours, coarse = sample(model, PROMPTS, [5, 6], options)
    assert_same_pixels(ours, diffusers_images(tiny_sd, 4.0, negative="big red cat"))
    without, _ = sample(model, PROMPTS, [5, 6], replace(options, negative=""))
    assert np.abs(ours.astype(int) - without).max() > 1
    assert coarse is not None
    assert coarse.shape == ours.shape[:3]


def test_a_negative_prompt_without_guidance_is_refused(model) -> None:
    with pytest.raises(UsageError, match="a negative prompt has no meaning with a guidance of 1 or less"):
        check_sampling(model, SampleOptions(**SIZE, guidance=1.0, negative="cat"))


def test_an_item_depends_on_its_own_seed_only(model) -> None:
    options = SampleOptions(**SIZE, guidance=2.0, scheduler="ddpm", capture=False)
    pair, _ = sample(model, PROMPTS, [5, 6], options)
    alone, _ = sample(model, PROMPTS[1:], [6], options)
    assert np.abs(pair[1].astype(int) - alone[0]).max() <= 1
    other, _ = sample(model, PROMPTS[1:], [7], options)
    assert np.abs(other[0].astype(int) - alone[0]).max() > 1


@pytest.mark.parametrize("tokens", ["class", "onward"])
def test_the_sums_are_the_probabilities_of_the_conditional_rows(model, tokens) -> None:
    """Against attention computed the long way, on one pass of the U-Net."""
    h, w = 10, 7
    conditioning = model.encode_prompts(PROMPTS)
    x = torch.randn(4, 4, h, w, generator=torch.Generator().manual_seed(0))
    hidden = torch.cat([model.unconditional(2).hidden, conditioning.hidden])
    name = "down_blocks.1.attentions.0.transformer_blocks.0.attn2"
    layer, seen = model.unet.get_submodule(name), {}
    hook = layer.register_forward_pre_hook(lambda m, a, k: seen.update(x=a[0]), with_kwargs=True)
    with torch.no_grad(), model.capture((h, w), conditioning.class_tokens, (1,), tokens) as sums:
        # Both layers at level 1 record; keep the first only, to compare it by hand.
        other = [n for n, level in cross_attention_levels(model.unet).items() if level == 1 and n != name]
        for n in other:
            model.unet.get_submodule(n).processor.sums = type(sums)(conditioning.class_tokens, tokens, x.device)
        model.unet(x, torch.tensor(500), encoder_hidden_states=hidden)
    hook.remove()
    (mean,) = sums.means()
    assert mean.shape == (2, 1 if tokens == "onward" else 2, 5, 4)
    q = layer.to_q(seen["x"])[2:].unflatten(-1, (layer.heads, -1))
    k = layer.to_k(hidden)[2:].unflatten(-1, (layer.heads, -1))
    p = (torch.einsum("bihd,bjhd->bhij", q, k) * q.shape[-1] ** -0.5).softmax(-1).mean(1)
    torch.testing.assert_close(p.sum(-1), torch.ones(2, 20))
    if tokens == "onward":
        assert sums.valid.tolist() == [[True], [True]]
        torch.testing.assert_close(mean[:, 0].flatten(1), p[:, :, 5:].sum(-1))
    else:
        assert sums.valid.tolist() == [[True, False], [True, True]]
        torch.testing.assert_close(mean[0, 0].flatten(), p[0, :, 5])
        torch.testing.assert_close(mean[1].flatten(1), p[1, :, [5, 6]].T)


def test_levels(model) -> None:
    levels = cross_attention_levels(model.unet)
    assert sorted(levels.values()) == [0, 0, 0, 1, 1, 1, 2]
    assert all(name.endswith("attn2") for name in levels)
    assert levels["mid_block.attentions.0.transformer_blocks.0.attn2"] == 2
    assert levels["up_blocks.1.attentions.0.transformer_blocks.0.attn2"] == 1
    assert halved((64, 96), 2) == (16, 24)
    assert halved((9, 5), 2) == (3, 2)
    with pytest.raises(UsageError, match=r"levels 7.*This model has: 0, 1, 2"):
        sample(model, PROMPTS, [1, 2], SampleOptions(**SIZE, attention_levels=(7,)))


@pytest.mark.parametrize("name", [*SHORT_NAMES, "KDPM2DiscreteScheduler"])
@pytest.mark.parametrize("steps", [1, 2])
def test_every_named_scheduler_samples(model, name, steps, capfd) -> None:
    images, coarse = sample(model, PROMPTS[:1], [1], SampleOptions(height=16, width=24, steps=steps, scheduler=name))
    assert images.shape == (1, 16, 24, 3)
    assert np.isfinite(coarse).all()
    assert "Changing scheduler" not in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (SampleOptions(height=33, width=32), r"33 x 32 \(height x width\).*multiples of 2"),
        (SampleOptions(scheduler="magic"), r"'magic'.*ddim, ddpm.*DDIMScheduler"),
        (SampleOptions(scheduler="FlowMatchEulerDiscreteScheduler"), "no scheduler for this model"),
        (SampleOptions(steps=5000), "cannot sample in 5000 steps"),
        (SampleOptions(scheduler="LCMScheduler"), "no scheduler for this model"),
        (SampleOptions(scheduler="EDMEulerScheduler"), "models that predict something else than this one"),
        (SampleOptions(attention_levels=(7,)), "levels 7"),
    ],
)
def test_impossible_options_are_named(model, options, message) -> None:
    with pytest.raises(UsageError, match=message):
        sample(model, PROMPTS[:1], [1], options)
    # and at once, before anything is made
    with pytest.raises(UsageError, match=message) as caught:
        check_sampling(model, options)
    assert "EDM" not in str(caught.value.remedy)
    before = dict(model.unet.attn_processors)
    check_sampling(model, SampleOptions())
    assert model.unet.attn_processors == before


def test_samplers_must_know_what_the_model_predicts() -> None:
    """A sampler without a setting for it would take v for the noise."""
    from diffusers import DDIMScheduler

    class Deaf(DDIMScheduler):
        def __init__(self) -> None: ...

    class Own(DDIMScheduler):
        compatibles = (Deaf, DDIMScheduler)

    with pytest.raises(UsageError, match="predict something else"):
        build_scheduler("Deaf", Own(prediction_type="v_prediction"))
    build_scheduler("ddim", Own(prediction_type="v_prediction"))


def test_attention_options_reach_the_maps(model) -> None:
    maps = [
        sample(model, PROMPTS, [5, 6], SampleOptions(**SIZE, **kind))[1]
        for kind in ({}, {"attention_tokens": "onward"}, {"attention_scaling": "range"}, {"attention_levels": (1,)})
    ]
    assert all(np.abs(maps[0] - other).max() > 0.01 for other in maps[1:])
    assert maps[2].min() < maps[0].min()  # random attention is nearly even: only the range tells it apart


@pytest.mark.parametrize(
    "values",
    [
        {"attention_tokens": "all"},
        {"attention_scaling": "sum"},
        {"steps": 0},
        {"guidance": -1.0},
        {"guidance": float("nan")},
    ],
)
def test_impossible_numbers_are_refused(values) -> None:
    with pytest.raises(UsageError, match=next(iter(values))):
        SampleOptions(**values)


def test_one_seed_per_prompt(model) -> None:
    with pytest.raises(UsageError, match="2 prompts but 1 seeds"):
        sample(model, PROMPTS, [1], SampleOptions(steps=1))
