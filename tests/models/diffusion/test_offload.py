"""Memory and speed: offloading, tiles, compilation, precision by device."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.diffusion import Instance, InversionOptions, SampleOptions, invert, load_diffusion, sample
from aligndiff_cli.models.diffusion import load as loading
from aligndiff_cli.models.diffusion.attention_unet import AttentionSums, capture_unet
from aligndiff_cli.models.diffusion.compiling import compile_denoiser
from aligndiff_cli.models.diffusion.offload import DevicePlacement

pytestmark = pytest.mark.slow

PROMPTS = [Prompt("a photo of a {class}", "dog"), Prompt("a photo of a {class}", "chess queen")]
OPTIONS = SampleOptions(height=40, width=24, steps=2)


class Network(nn.Module):
    """Says where it is told to go."""

    def __init__(self) -> None:
        super().__init__()
        self.moves: list[str] = []

    def to(self, device: str | torch.device) -> Network:
        self.moves.append(str(device))
        return self


def test_offloading_keeps_one_group_on_the_device() -> None:
    text, denoiser = Network(), Network()
    placement = DevicePlacement([text, denoiser], torch.device("meta"), offload=True)
    assert text.moves == denoiser.moves == []
    for wanted in (text, denoiser, denoiser, text):
        placement.bring(wanted)
    assert text.moves == ["meta", "cpu", "meta"]
    assert denoiser.moves == ["meta", "cpu"]


def test_without_offloading_everything_stays() -> None:
    text, denoiser = Network(), Network()
    placement = DevicePlacement([text, denoiser], torch.device("meta"), offload=False)
    placement.bring(text)
    assert text.moves == denoiser.moves == ["meta"]


@pytest.mark.parametrize("name", ["sdxl", "sd3", "flux-dev"])
def test_offloading_changes_no_result_and_no_network_works_away_from_the_device(
    family_folder, family_model, name
) -> None:
    model = load_diffusion(family_folder(name), device="cpu", offload=True)
    encoders = [encoder.network for encoder in model.encoders]
    worked: list[str] = []

    def watch(module: nn.Module, owner: nn.Module, what: str) -> None:
        def check(*_: object) -> None:
            assert any(owner is there for there in model.placement._there)
            worked.append(what)

        (module.register_full_backward_pre_hook if what == "backward" else module.register_forward_pre_hook)(check)

    for module, owner in ((model.vae.encoder, model.vae), (model.vae.decoder, model.vae), (model.denoiser,) * 2):
        watch(module, owner, "forward")
    for network in (model.denoiser, *encoders):
        layers = [own for key, own in network.named_modules() if key.endswith((".k_proj", ".k", "to_k"))]
        watch(layers[-1], network, "backward")
    for network in encoders:
        watch(network, network, "forward")
    images, _ = sample(model, PROMPTS, [5, 6], OPTIONS)
    plain, _ = sample(family_model(name), PROMPTS, [5, 6], OPTIONS)
    assert np.abs(images.astype(int) - plain).max() <= 1
    rng = np.random.default_rng(0)
    pair = Instance("dog", (rng.integers(0, 256, (16, 24, 3), dtype=np.uint8),), (rng.random((16, 24)) > 0.5,))
    how = InversionOptions(steps=2, learning_rate=0.05, batch=1, size=(16, 24))
    ours, theirs = (invert(own, [pair], how, [1])[0].embedding for own in (model, family_model(name)))
    torch.testing.assert_close(ours, theirs)
    assert {"forward", "backward"} == set(worked)
    assert len(worked) > 20


@pytest.mark.parametrize(
    ("asked", "size", "expected"),
    [(None, (1536, 1536), False), (None, (1536, 1544), True), (True, (8, 8), True), (False, (4096, 4096), False)],
)
def test_tiles_above_a_size_or_as_told(tiny_sd, asked, size, expected) -> None:
    model = load_diffusion(tiny_sd, device="cpu", vae_tiling=asked)
    assert model.tiles(*size) is expected


def test_tiles_reach_the_vae_both_ways(tiny_sd, monkeypatch) -> None:
    """The VAE's tiles are 32 px: an image of 40 x 24 has two."""
    tiled, whole = (load_diffusion(tiny_sd, device="cpu", vae_tiling=tiling) for tiling in (True, None))
    image = np.random.default_rng(0).integers(0, 256, (40, 24, 3), dtype=np.uint8)
    calls = []
    for part in (tiled.vae.encoder, tiled.vae.decoder):
        part.register_forward_pre_hook(lambda module, args: calls.append(tuple(args[0].shape[-2:])))
    decoded = [own.decode(own.encode_images([image]).mean) for own in (tiled, whole)]
    assert len(calls) == 4
    assert decoded[0].shape == decoded[1].shape == (1, 40, 24, 3)
    assert 0 < np.abs(decoded[0].astype(int) - decoded[1]).mean() < 10


def test_many_images_are_decoded_in_several_passes(tiny_sd, monkeypatch) -> None:
    from aligndiff_cli.models.diffusion import model as module

    model = load_diffusion(tiny_sd, device="cpu")
    latents = torch.randn(5, 4, 10, 6, generator=torch.Generator().manual_seed(0))
    at_once = model.decode(latents)
    monkeypatch.setattr(module, "_DECODED_AT_ONCE", 2 * 20 * 12)
    sizes = []
    model.vae.decoder.register_forward_pre_hook(lambda own, args: sizes.append(len(args[0])))
    assert np.abs(model.decode(latents).astype(int) - at_once).max() <= 1
    assert sizes == [2, 2, 1]


def counted(graphs: list[object]):
    """A backend that generates no code, which would need a compiler, and counts what is traced."""

    def backend(graph, example):
        graphs.append(graph)
        return graph.forward

    return backend


def test_a_compiled_denoiser_draws_and_is_captured_alike(family_folder, family_model) -> None:
    name = "flux-dev"  # has joint layers of both kinds
    torch._dynamo.reset()
    graphs: list[object] = []
    model = load_diffusion(family_folder(name), device="cpu")
    compile_denoiser(model.denoiser, backend=counted(graphs))
    expected, wanted = sample(family_model(name), PROMPTS, [5, 6], OPTIONS)
    images, coarse = sample(model, PROMPTS, [5, 6], OPTIONS)
    traced = len(graphs)
    assert traced > 0
    assert np.abs(images.astype(int) - expected).max() <= 1
    np.testing.assert_allclose(coarse, wanted, atol=1e-3)
    again, _ = sample(model, PROMPTS, [5, 6], replace(OPTIONS, capture=False))
    sample(model, PROMPTS, [5, 6], OPTIONS)
    assert np.abs(again.astype(int) - expected).max() <= 1
    assert len(graphs) == traced


def test_a_compiled_unet_is_captured_without_a_new_trace() -> None:
    from diffusers import UNet2DConditionModel

    torch._dynamo.reset()
    blocks = {"down_block_types": ("CrossAttnDownBlock2D",), "up_block_types": ("CrossAttnUpBlock2D",)}
    unet = UNet2DConditionModel(
        block_out_channels=(8,),
        layers_per_block=1,
        **blocks,
        cross_attention_dim=4,
        attention_head_dim=2,
        mid_block_type=None,
        norm_num_groups=4,
    ).eval()
    x, t, text = torch.randn(1, 4, 6, 8), torch.tensor(5), torch.randn(1, 3, 4)

    def captured() -> torch.Tensor:
        sums = AttentionSums([(1,)], "class", x.device)
        with capture_unet(unet, (6, 8), (0,), sums):
            unet(x, t, encoder_hidden_states=text)
        return sums.means()[0]

    with torch.no_grad():
        plain, maps = unet(x, t, encoder_hidden_states=text).sample, captured()
        graphs: list[object] = []
        compile_denoiser(unet, backend=counted(graphs))
        torch.testing.assert_close(unet(x, t, encoder_hidden_states=text).sample, plain)
        traced = len(graphs)
        assert traced > 0
        for _ in range(2):
            torch.testing.assert_close(captured(), maps)
        assert len(graphs) == traced


@pytest.mark.parametrize(
    ("name", "device", "dtype", "expected"),
    [
        ("sd1", "cpu", None, torch.float32),
        ("sd1", "cuda", None, torch.float16),
        ("sd3", "cuda", None, torch.bfloat16),
        ("flux-dev", "cuda", None, torch.bfloat16),
        ("flux-dev", "mps", None, torch.float32),
        ("sd1", "cuda", torch.bfloat16, torch.bfloat16),
    ],
)
def test_precision_follows_device_and_family(family_folder, monkeypatch, name, device, dtype, expected) -> None:
    asked = []

    def stop(folder: Path, precision: torch.dtype, family: object) -> None:
        asked.append(precision)
        raise KeyboardInterrupt

    monkeypatch.setattr(loading, "pick_device", torch.device)
    monkeypatch.setattr(loading, "_pipeline", stop)
    with pytest.raises(KeyboardInterrupt):
        load_diffusion(family_folder(name), device=device, dtype=dtype)
    assert asked == [expected]
