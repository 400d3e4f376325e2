"""What every family of diffusion models does alike, on a small random model of each."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path

import diffusers
import numpy as np
import pytest
import torch

from aligndiff_cli.disk.bank import Embedding, prompt_tokens, write_embedding
from aligndiff_cli.errors import InputError, ModelError, UsageError
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.diffusion import Instance, InversionOptions, SampleOptions, invert, load_diffusion, sample
from aligndiff_cli.models.diffusion.load import describe_diffusion
from tests.models.diffusion.families import FAMILIES

pytestmark = pytest.mark.slow

PROMPTS = [Prompt("a photo of a {class}", "dog"), Prompt("a photo of a {class}", "chess queen")]
ADJECTIVE = "a photo of a {v*} {class}"
H, W = 40, 24
# told T5 lengths and guidance, where the plain pipeline's defaults are not the family's
PLAIN = {"flux-schnell": {"max_sequence_length": 256}}
GUIDANCE = {"flux-dev": [3.5, 1.0], "flux-schnell": [0.0]}
CASES = [(name, guidance) for name in FAMILIES for guidance in GUIDANCE.get(name, [4.0, 1.0])]
LOADERS = [name for name in FAMILIES if not name.startswith("sd3")]


@pytest.fixture(params=FAMILIES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def model(name, family_model):
    return family_model(name)


def plain_pipeline(folder: Path):
    index = json.loads((folder / "model_index.json").read_text())
    absent = {part: None for part in ("text_encoder_3", "tokenizer_3") if index.get(part) == [None, None]}
    pipe = diffusers.DiffusionPipeline.from_pretrained(folder, low_cpu_mem_usage=False, **absent)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@contextmanager
def seen_ids(model):
    """Token ids that the text encoders get, by the encoder's name."""
    seen: dict[str, torch.Tensor] = {}
    hooks = [
        encoder.network.register_forward_pre_hook(lambda m, args, name=encoder.name: seen.update({name: args[0]}))
        for encoder in model.encoders
    ]
    yield seen
    for hook in hooks:
        hook.remove()


@pytest.mark.parametrize(("name", "guidance"), CASES)
def test_pixels_equal_the_plain_pipeline(model, name, guidance, family_folder) -> None:
    generators = [torch.Generator().manual_seed(seed) for seed in (5, 6)]
    expected = plain_pipeline(family_folder(name))(
        [prompt.text for prompt in PROMPTS],
        height=H,
        width=W,
        num_inference_steps=3,
        guidance_scale=guidance,
        generator=generators,
        output_type="np",
        **PLAIN.get(name, {}),
    ).images
    expected = (expected * 255).round().astype(int)
    for capture in (False, True):
        options = SampleOptions(height=H, width=W, steps=3, guidance=guidance, capture=capture)
        ours, coarse = sample(model, PROMPTS, [5, 6], options)
        difference = np.abs(ours.astype(int) - expected)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 0.01
        assert (coarse is None) is not capture
    assert coarse.shape == (2, H, W)
    assert 0 <= coarse.min() <= coarse.max() <= 1


def test_a_description_tells_what_the_loaded_model_does(name, model, family_folder) -> None:
    about = describe_diffusion(family_folder(name), device="cpu")
    for what in ("fingerprint", "defaults", "image_size", "embedding_dim"):
        assert getattr(about, what) == getattr(model, what), what
    assert getattr(torch, about.precision) == model.dtype
    prompt = Prompt(ADJECTIVE, "chess queen", torch.zeros(2, model.embedding_dim))
    for unloaded, loaded in zip(about.encoders, model.encoders, strict=True):
        assert (unloaded.name, unloaded.length, unloaded.width) == (loaded.name, loaded.length, loaded.width)
        assert unloaded.lay_out(prompt) == loaded.lay_out(prompt)
    assert (about.tiles(1024, 1024), about.tiles(2048, 1536)) == (False, True)
    with pytest.raises(InputError, match="tokens long"):
        about.check_prompt(Prompt("a photo of a {class}", "dog " * 300))


@pytest.mark.parametrize("word", ["dog ", "chess queen ", "!?& ", "ǅ "])
def test_a_description_refuses_the_prompts_that_a_tokenizer_refuses(name, model, family_folder, word) -> None:
    about = describe_diffusion(family_folder(name), device="cpu")
    v, verdicts = torch.zeros(2, model.embedding_dim), set()
    for count in (*range(1, 30), *range(30, 300, 15)):
        prompt = Prompt(ADJECTIVE, word * count, v)
        said = []
        for check in (about.check_prompt, lambda prompt: [encoder.lay_out(prompt) for encoder in model.encoders]):
            try:
                check(prompt)
                said.append(True)
            except InputError:
                said.append(False)
        assert said[0] == said[1], (word, count)
        verdicts.add(said[0])
    assert verdicts == {True, False}


@pytest.mark.parametrize("insertion", ["input", "encoded"])
def test_inversion_lowers_its_loss_and_trains_v_alone(model, insertion) -> None:
    rng = np.random.default_rng(0)
    pair = Instance("dog", (rng.integers(0, 256, (16, 24, 3), dtype=np.uint8),), (rng.random((16, 24)) > 0.5,))
    options = InversionOptions(
        steps=12, learning_rate=0.08, batch=2, accumulation=1, size=(16, 24), insertion=insertion
    )
    networks = [model.denoiser, model.vae, *(encoder.network for encoder in model.encoders)]
    before = [{k: v.clone() for k, v in network.state_dict().items()} for network in networks]
    (found,) = invert(model, [pair], options, [1])
    assert found.final.total < found.initial.total
    assert found.embedding.shape == (1, model.embedding_dim)
    for network, old in zip(networks, before, strict=True):
        assert all(parameter.grad is None for parameter in network.parameters())
        assert all(torch.equal(value, old[key]) for key, value in network.state_dict().items())


def test_gradients_reach_every_part_of_v(model) -> None:
    v = torch.randn(2, model.embedding_dim, generator=torch.Generator().manual_seed(0), requires_grad=True)
    conditioning = model.encode_prompts([Prompt(ADJECTIVE, "dog", v)])
    x_t = torch.randn(1, model.latent_channels, 8, 12, generator=torch.Generator().manual_seed(1))
    model.predict(x_t, torch.tensor([500]), conditioning).square().sum().backward()
    for part in v.grad.split(list(model.embedding_parts.values()), dim=1):
        assert bool((part.abs().sum(1) > 0).all())


def test_the_embedding_of_a_word_spliced_in_is_that_word(model) -> None:
    spliced = model.encode_prompts([Prompt(ADJECTIVE, "dog", model.word_embedding("good"))])
    written = model.encode_prompts([Prompt("a photo of a good {class}", "dog")])
    assert torch.equal(spliced.hidden, written.hidden)
    assert spliced.class_tokens == written.class_tokens
    if model.encoders[0].name == "clip_l" and spliced.pooled is not None:
        assert torch.equal(spliced.pooled, written.pooled)


@pytest.mark.parametrize("insertion", ["input", "encoded"])
def test_prompts_of_different_kinds_in_one_batch(model, insertion) -> None:
    v = torch.randn(2, model.embedding_dim, generator=torch.Generator().manual_seed(0))
    prompts = [Prompt(ADJECTIVE, "chess queen", v, insertion), Prompt(ADJECTIVE, "dog")]
    together = model.encode_prompts(prompts)
    for i, prompt in enumerate(prompts):
        alone = model.encode_prompts([prompt])
        torch.testing.assert_close(together.hidden[i], alone.hidden[0])
        assert together.class_tokens[i] == alone.class_tokens[0]
        assert together.v_tokens[i] == alone.v_tokens[0]


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize(("item_id", "vectors"), [("dog/01", 1), ("dog/01", 2), ("Mug/IMG_1", 3)])
def test_a_bank_file_means_the_same_to_diffusers(model, name, item_id, vectors, family_folder, tmp_path) -> None:
    from safetensors.torch import load_file

    v = torch.randn(vectors, model.embedding_dim, generator=torch.Generator().manual_seed(0))
    path = tmp_path / "01.safetensors"
    token = prompt_tokens([item_id])[item_id]
    write_embedding(path, Embedding(token, v, {"template": ADJECTIVE}, model.embedding_parts))
    pipe = plain_pipeline(family_folder(name))
    if len(model.encoders) == 1:
        pipe.load_textual_inversion(path)
    else:
        second = {"text_encoder": pipe.text_encoder_2, "tokenizer": pipe.tokenizer_2}
        first = {"text_encoder": pipe.text_encoder, "tokenizer": pipe.tokenizer}
        for (_, part), own in zip(sorted(load_file(path).items(), key=by_encoder), (first, second), strict=True):
            pipe.load_textual_inversion(part, token=token, **own)
    text = f"a photo of a {token} chess queen"
    unguided = {} if name.startswith("flux") else {"do_classifier_free_guidance": False}
    outputs = pipe.encode_prompt(
        prompt=text, device=torch.device("cpu"), num_images_per_prompt=1, **unguided, **PLAIN.get(name, {})
    )
    ours = model.encode_prompts([Prompt(ADJECTIVE, "chess queen", v)])
    torch.testing.assert_close(ours.hidden, outputs[0], atol=1e-4, rtol=1e-4)
    if ours.pooled is not None:
        torch.testing.assert_close(ours.pooled, outputs[1] if name.startswith("flux") else outputs[2])


def by_encoder(item: tuple[str, torch.Tensor]) -> int:
    return ["clip_l", "clip_g", "t5"].index(item[0])


def test_class_and_v_tokens_are_where_they_should_be(model, name) -> None:
    v = torch.randn(1, model.embedding_dim, generator=torch.Generator().manual_seed(0))
    with seen_ids(model) as seen:
        conditioning = model.encode_prompts([Prompt("a red {v*} {class}, good", "chess queen", v)])
    # the encoders whose tokens make up the sequence the denoiser attends to
    names = {"sd3": ["clip_l", "t5"]}.get(name, ["t5"] if name.startswith("flux") else ["clip_l"])
    tokenizers = {encoder.name: encoder.tokenizer for encoder in model.encoders}
    words = [token for own in names for token in tokenizers[own].convert_ids_to_tokens(seen[own][0].tolist())]
    assert len(words) <= conditioning.hidden.shape[1]
    named = {"clip_l": ["chess</w>", "queen</w>"], "t5": ["▁chess", "▁que", "en"]}
    assert [words[i] for i in conditioning.class_tokens[0]] == [word for own in names for word in named[own]]
    after = [words[i + 1] for i in conditioning.v_tokens[0]]
    assert after == [named[own][0] for own in names]


def test_attention_sums_to_one_over_tokens_and_each_map_is_its_tokens(model) -> None:
    h, w = 8, 12
    conditioning = model.encode_prompts(PROMPTS)
    length = conditioning.hidden.shape[1]
    x_t = torch.randn(4, model.latent_channels, h, w, generator=torch.Generator().manual_seed(0))
    both = conditioning.after(model.unconditional(2))

    def maps(tokens):
        with torch.no_grad(), model.capture((h, w), tokens) as sums:
            model.predict(x_t, torch.tensor(500), both)
        return sums.means()

    everything, named = maps([range(length)] * 2), maps(conditioning.class_tokens)
    assert len(everything) == len(named) > 0
    for every, own in zip(everything, named, strict=True):
        assert every.shape[0] == 2
        assert every.shape[-2] * 3 == every.shape[-1] * 2
        torch.testing.assert_close(every.sum(1), torch.ones_like(every[:, 0]))
        for item, tokens in enumerate(conditioning.class_tokens):
            torch.testing.assert_close(own[item, : len(tokens)], every[item, list(tokens)])


def test_capture_leaves_no_trace(model) -> None:
    before = dict(model.denoiser.attn_processors)

    def interrupted() -> None:
        with model.capture((8, 12), [(3,)]):
            assert model.denoiser.attn_processors != before
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert model.denoiser.attn_processors == before


def test_features_come_from_one_pass_and_leave_no_hook(model) -> None:
    conditioning = model.encode_prompts(PROMPTS)
    x_t = torch.randn(2, model.latent_channels, 20, 12, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        features = model.features(x_t, torch.tensor([200, 200]), conditioning)
    assert len(features) > 1
    for own in features:
        assert len(own) == 2
        assert own.shape[-2] * 3 == own.shape[-1] * 5
    assert not any(module._forward_hooks for module in model.denoiser.modules())


def test_a_target_and_its_noisy_latent_give_the_latent_back(model, name) -> None:
    x0, noise = torch.randn(2, 2, model.latent_channels, 3, 5, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([100, 900])
    x_t, target = model.noise_and_target(x0, noise, t)
    if name.startswith("sd3") or name.startswith("flux"):
        back = x_t - (t / 1000)[:, None, None, None] * target
    else:
        a = model.scheduler.alphas_cumprod[t][:, None, None, None]
        if name == "sd2-v":
            back = a.sqrt() * x_t - (1 - a).sqrt() * target
        else:
            back = (x_t - (1 - a).sqrt() * target) / a.sqrt()
    torch.testing.assert_close(back, x0, atol=1e-4, rtol=1e-4)


def test_images_come_back_from_their_latents_in_size(model) -> None:
    image = np.random.default_rng(0).integers(0, 256, (H, W, 3), dtype=np.uint8)
    moments = model.encode_images([image])
    assert moments.mean.shape == (1, model.latent_channels, H // 2, W // 2)
    assert model.decode(moments.mean).shape == (1, H, W, 3)
    scaling, shift = model.vae.config.scaling_factor, getattr(model.vae.config, "shift_factor", None) or 0
    x = torch.from_numpy(image)[None].permute(0, 3, 1, 2) / 127.5 - 1
    mean = model.vae.encode(x).latent_dist.mean
    torch.testing.assert_close(moments.mean, (mean - shift) * scaling)


def test_too_long_a_prompt_and_a_foreign_embedding_are_named(model) -> None:
    with pytest.raises(InputError, match="tokens long"):
        model.encode_prompts([Prompt("a {class}", "xylophone glockenspiel " * 30)])
    with pytest.raises(ModelError, match="does not fit"):
        model.encode_prompts([Prompt(ADJECTIVE, "dog", torch.zeros(1, model.embedding_dim + 1))])


PARTS = {
    "sd1": {"clip_l": 32},
    "sd2-v": {"clip_l": 32},
    "sdxl": {"clip_l": 32, "clip_g": 16},
    "sd3": {"clip_l": 32, "clip_g": 16, "t5": 64},
    "sd3-no-t5": {"clip_l": 32, "clip_g": 16},
    "flux-dev": {"clip_l": 32, "t5": 64},
    "flux-schnell": {"clip_l": 32, "t5": 64},
}


def test_each_encoder_has_its_part_of_v(model, name) -> None:
    assert model.embedding_parts == PARTS[name]
    assert model.word_embedding("good").shape == (1, sum(PARTS[name].values()))
    rows = [encoder.network.get_input_embeddings().weight for encoder in model.encoders]
    ids = [encoder.tokenizer("good", add_special_tokens=False).input_ids for encoder in model.encoders]
    assert torch.equal(model.word_embedding("good")[0], torch.cat([w[i[0]] for w, i in zip(rows, ids, strict=True)]))


def test_bfloat16_draws_and_learns_nearly_the_same(model, name, family_folder) -> None:
    half = load_diffusion(family_folder(name), device="cpu", dtype=torch.bfloat16)
    assert half.dtype is torch.bfloat16
    options = SampleOptions(height=H, width=W, steps=1, guidance=0.0)
    (exact, _), (images, coarse) = (sample(own, PROMPTS, [5, 6], options) for own in (model, half))
    assert np.abs(images.astype(int) - exact).mean() < 12
    assert np.isfinite(coarse).all()
    rng = np.random.default_rng(0)
    pair = Instance("dog", (rng.integers(0, 256, (16, 24, 3), dtype=np.uint8),), (rng.random((16, 24)) > 0.5,))
    (found,) = invert(half, [pair], InversionOptions(steps=1, batch=1, accumulation=1, size=(16, 24)), [1])
    assert found.embedding.dtype == torch.float32


def test_a_size_that_cannot_be_is_named(model) -> None:
    with pytest.raises(UsageError, match=f"multiples of {model.size_multiple}"):
        model.latent_size(H, W + model.size_multiple // 2)
