"""Flow matching: noise levels as the schedulers count them, guidance that is told, attention of the joint layers."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from aligndiff_cli.errors import ModelError, UsageError
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.diffusion import SampleOptions, load_diffusion, sample
from aligndiff_cli.models.diffusion.attention_dit import joint_layers
from aligndiff_cli.models.diffusion.encoders import lay_out_pieces
from aligndiff_cli.models.diffusion.flux import pack, patch_places, unpack
from tests.models.diffusion.families import tiny_pieces

PROMPTS = [Prompt("a photo of a {class}", "dog"), Prompt("a photo of a {class}", "chess queen")]
SIZE = {"height": 40, "width": 24, "steps": 2}
ADJECTIVE = "a photo of a {v*} {class}"


def test_training_times_are_shifted_as_the_scheduler_says(family_model) -> None:
    """SD 3: 3 s / (1 + 2 s). Flux dev: mu on the line through (256, 0.5) and (4096, 1.15). Flux schnell: even."""
    index = torch.tensor([0, 499, 999])
    size = (64, 48)  # 32 x 24 patches
    assert family_model("sd3").training_times(index, size).tolist() == pytest.approx([2.994012, 750.0, 1000.0])
    assert family_model("flux-schnell").training_times(index, size).tolist() == pytest.approx([1.0, 500.0, 1000.0])
    mu = 0.5 + 0.65 * (32 * 24 - 256) / (4096 - 256)
    expected = [1000 * math.exp(mu) / (math.exp(mu) + 1 / s - 1) for s in (0.001, 0.5, 1.0)]
    assert family_model("flux-dev").training_times(index, size).tolist() == pytest.approx(expected)


def test_an_image_with_more_patches_than_positions_is_refused(family_model) -> None:
    model = family_model("sd3")  # 24 positions of 4 pixels along each side
    assert model.latent_size(96, 32) == (48, 16)
    with pytest.raises(UsageError, match=r"32 x 100.*longer than 96"):
        model.latent_size(32, 100)


def test_families_suggest_their_own_settings(family_model) -> None:
    told = {name: family_model(name).defaults for name in ("sd1", "sd3", "flux-dev", "flux-schnell")}
    assert {name: (own.steps, own.guidance) for name, own in told.items()} == {
        "sd1": (50, 7.5),
        "sd3": (28, 7.0),
        "flux-dev": (28, 3.5),
        "flux-schnell": (4, 0.0),
    }
    assert {own.attention_levels for name, own in told.items() if name != "sd1"} == {(1,)}


def test_a_distilled_model_makes_one_pass_and_is_told_its_guidance(family_model, monkeypatch) -> None:
    model = family_model("flux-dev")
    calls = []
    forward = model.transformer.forward
    monkeypatch.setattr(model.transformer, "forward", lambda **told: calls.append(told) or forward(**told))
    sample(model, PROMPTS, [5, 6], SampleOptions(**SIZE, guidance=2.5, capture=False))
    assert [told["guidance"].tolist() for told in calls] == [[2.5, 2.5]] * 2
    model.predict(torch.zeros(1, 16, 4, 6), torch.tensor(500.0), model.encode_prompts(PROMPTS[:1]))
    assert calls[-1]["guidance"].tolist() == [1.0]


def test_a_model_without_guidance_refuses_it(family_model) -> None:
    with pytest.raises(UsageError, match="distilled without guidance, got 4"):
        sample(family_model("flux-schnell"), PROMPTS[:1], [1], SampleOptions(**SIZE, guidance=4.0))


@pytest.mark.parametrize("levels", [(0,), (0, 2)])
def test_joint_attention_is_at_one_level(family_model, levels) -> None:
    with pytest.raises(UsageError, match="This model has: 1"):
        sample(family_model("sd3"), PROMPTS[:1], [1], SampleOptions(**SIZE, attention_levels=levels))


def test_other_schedulers_are_refused(family_model) -> None:
    with pytest.raises(UsageError, match="Known: FlowMatchEulerDiscreteScheduler"):
        sample(family_model("sd3"), PROMPTS[:1], [1], SampleOptions(**SIZE, scheduler="ddim"))


@pytest.mark.parametrize(("name", "layers"), [("sd3", 2), ("flux-dev", 2)])
def test_maps_are_the_texts_share_of_the_whole_softmax(family_model, name, layers, monkeypatch) -> None:
    """Against the attention the layer's own processor computes over patches and text, seen where it is computed."""
    model = family_model(name)
    assert len(joint_layers(model.transformer)) == layers
    h, w = 8, 12
    conditioning = model.encode_prompts(PROMPTS)
    length, patches = conditioning.hidden.shape[1], 4 * 6
    shares = []
    fused = torch.nn.functional.scaled_dot_product_attention

    def seen(query, key, value, **more):
        q, k = query, key
        if k.shape[2] == length + patches and len(q) == 4:
            p = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1)
            p = p[..., :patches, patches:] if name == "sd3" else p[..., length:, :length]
            shares.append((p / p.sum(-1, keepdim=True)).mean(1))
        return fused(query, key, value, **more)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", seen)
    x_t = torch.randn(4, 16, h, w, generator=torch.Generator().manual_seed(0))
    both = conditioning.after(model.unconditional(2))
    with torch.no_grad(), model.capture((h, w), [range(length)] * 2) as sums:
        model.predict(x_t, torch.tensor(500.0), both)
    (mean,) = sums.means()
    assert len(shares) == layers
    expected = torch.stack(shares).mean(0)[2:].transpose(1, 2).unflatten(2, (4, 6))
    torch.testing.assert_close(mean, expected, atol=1e-6, rtol=1e-4)


def test_packing() -> None:
    x = torch.arange(2 * 3 * 4 * 6.0).reshape(2, 3, 4, 6)
    packed = pack(x)
    assert packed.shape == (2, 6, 12)
    # the patch in row 1, column 2: both rows and columns of each channel in turn
    assert packed[1, 5].tolist() == x[1, :, 2:4, 4:6].flatten().tolist()
    assert torch.equal(unpack(packed, 4, 6), x)
    assert patch_places(2, 3).tolist() == [[0, 0, 0], [0, 0, 1], [0, 0, 2], [0, 1, 0], [0, 1, 1], [0, 1, 2]]


@pytest.mark.parametrize(
    ("template", "pieces", "class_tokens", "v_tokens"),
    [
        (ADJECTIVE, "▁a ▁photo ▁of ▁a <pad> <pad> ▁chess ▁que en </s>", (6, 7, 8), (4, 5)),
        ("{v*} {class}, good", "<pad> <pad> ▁chess ▁que en , ▁good </s>", (2, 3, 4), (0, 1)),
        ("a {class}, {v*}", "▁a ▁chess ▁que en , <pad> <pad> </s>", (1, 2, 3), (5, 6)),
        ("a photo of a {v*}", "▁a ▁photo ▁of ▁a <pad> <pad> </s>", (4, 5), (4, 5)),
    ],
)
def test_places_among_pieces(template, pieces, class_tokens, v_tokens) -> None:
    tokenizer = tiny_pieces()
    layout = lay_out_pieces(tokenizer, Prompt(template, "chess queen", torch.zeros(2, 4)), 20)
    assert tokenizer.convert_ids_to_tokens(list(layout.ids)) == pieces.split() + ["<pad>"] * (20 - len(pieces.split()))
    assert (layout.class_tokens, layout.v_tokens) == (class_tokens, v_tokens)


def test_encoded_insertion_shifts_each_encoders_half(family_model) -> None:
    """CLIP's 24 tokens hold the first 48 numbers of v*, T5's 256 the other 64."""
    model = family_model("sd3")
    v = torch.randn(1, 112, generator=torch.Generator().manual_seed(0))
    plain = model.encode_prompts([Prompt(ADJECTIVE, "dog")]).hidden[0]
    put = model.encode_prompts([Prompt(ADJECTIVE, "dog", v, "encoded")])
    assert put.v_tokens == ((5, 28),)
    assert put.class_tokens == ((6, 29),)
    hidden = put.hidden[0]
    torch.testing.assert_close(hidden[5, :48], v[0, :48])
    assert not hidden[5, 48:].any()
    torch.testing.assert_close(hidden[28], v[0, 48:])
    torch.testing.assert_close(hidden[:5], plain[:5])
    torch.testing.assert_close(hidden[6:24], plain[5:23])
    torch.testing.assert_close(hidden[29:], plain[28:-1])


def test_t5_may_be_missing_but_only_from_sd3(family_folder, tmp_path) -> None:
    """Taken out of a folder that had it: the model works, with narrower embeddings."""
    sd3 = Path(shutil.copytree(family_folder("sd3"), tmp_path / "sd3"))
    for part in ("text_encoder_3", "tokenizer_3"):
        shutil.rmtree(sd3 / part)
    model = load_diffusion(sd3, device="cpu")
    assert model.embedding_parts == {"clip_l": 32, "clip_g": 16}
    hidden = model.encode_prompts(PROMPTS[:1]).hidden
    assert hidden.shape == (1, 24 + 256, 64)
    assert not hidden[:, 24:].any()
    flux = Path(shutil.copytree(family_folder("flux-dev"), tmp_path / "flux"))
    shutil.rmtree(flux / "text_encoder_2")
    with pytest.raises(ModelError, match="no text_encoder_2 folder"):
        load_diffusion(flux, device="cpu")


def test_dynamic_shift_of_sd3(family_folder, tmp_path) -> None:
    """SD 3.5 medium's kind of scheduler: the shift at a size is told to it, and only then."""
    folder = Path(shutil.copytree(family_folder("sd3-no-t5"), tmp_path / "sd3"))
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"use_dynamic_shifting": True, "max_shift": 1.16}))
    model = load_diffusion(folder, device="cpu")
    told = model.schedule(5, (128, 128))
    assert told == {"mu": pytest.approx(1.16)}
    images, _ = sample(model, PROMPTS[:1], [1], SampleOptions(**SIZE))
    assert images.shape == (1, 40, 24, 3)


def test_conditioning_keeps_its_guidance(family_model) -> None:
    conditioning = replace(family_model("flux-dev").encode_prompts(PROMPTS), guidance=2.0)
    assert conditioning.select([1, 0]).guidance == 2.0
    assert conditioning.after(conditioning).guidance == 2.0
