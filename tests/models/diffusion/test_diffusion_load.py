"""Loading: what a model tells about itself, and what is said when it cannot be had."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from aligndiff_cli.errors import InputError, ModelError, UsageError
from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.diffusion import ModelDefaults, load_diffusion
from aligndiff_cli.models.diffusion.defaults import read_defaults
from aligndiff_cli.models.diffusion.load import describe_diffusion
from aligndiff_cli.models.diffusion.load import fingerprint as digest_of
from aligndiff_cli.models.diffusion.sd import StableDiffusion

pytestmark = pytest.mark.slow


def fingerprint(folder: Path) -> str:
    return digest_of(folder, StableDiffusion.parts)


@pytest.fixture
def copy(tiny_sd: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_sd, tmp_path / "copy"))


def test_facts(tiny_sd) -> None:
    model = load_diffusion(tiny_sd, device="cpu")
    assert model.image_size == (32, 32)
    assert model.latent_factor == 2
    assert model.embedding_dim == 32
    assert model.dtype is torch.float32
    assert model.defaults == ModelDefaults()
    for network in (model.unet, model.vae, model.encoders[0][1]):
        assert not network.training
        assert not any(p.requires_grad for p in network.parameters())


def test_encode_and_decode(tiny_sd) -> None:
    model = load_diffusion(tiny_sd, device="cpu")
    images = np.random.default_rng(0).integers(0, 256, (2, 20, 12, 3), dtype=np.uint8)
    moments = model.encode_images(list(images))
    assert moments.mean.shape == moments.std.shape == (2, 4, 10, 6)
    x = torch.from_numpy(images[1:]).permute(0, 3, 1, 2) / 127.5 - 1
    expected = model.vae.encode(x).latent_dist
    torch.testing.assert_close(moments.mean[1:], expected.mean * model.vae.config.scaling_factor)
    decoded = model.decode(moments.mean)
    assert decoded.shape == (2, 20, 12, 3)
    assert decoded.dtype == np.uint8
    with pytest.raises(UsageError, match="21 x 12"):
        model.encode_images([np.zeros((21, 12, 3), np.uint8)])


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
def test_noise_and_target(copy, prediction) -> None:
    path = copy / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"prediction_type": prediction}))
    model = load_diffusion(copy, device="cpu")
    x0, noise = torch.randn(2, 2, 4, 3, 5, generator=torch.Generator().manual_seed(0))
    t = torch.tensor([10, 900])
    x_t, target = model.noise_and_target(x0, noise, t)
    torch.testing.assert_close(x_t, model.scheduler.add_noise(x0, noise, t))
    a = model.scheduler.alphas_cumprod[t][:, None, None, None]
    # Either target recovers x0: the equations by which samplers use the prediction.
    back = (
        (x_t - (1 - a).sqrt() * target) / a.sqrt()
        if prediction == "epsilon"
        else a.sqrt() * x_t - (1 - a).sqrt() * target
    )
    torch.testing.assert_close(back, x0, atol=1e-4, rtol=1e-4)


def test_the_fingerprint_follows_the_content(tiny_sd, copy) -> None:
    first = fingerprint(tiny_sd)
    assert fingerprint(copy) == first
    (copy / "aligndiff.json").write_text('{"steps": 3}')
    (copy / "README.md").write_text("a card")
    assert fingerprint(copy) == first
    path = copy / "unet" / "diffusion_pytorch_model.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    assert fingerprint(copy) != first


def test_another_variant_beside_it_does_not_change_the_fingerprint(tiny_sd, copy) -> None:
    """A download for another precision, or a copy of the whole repository, adds files that are not loaded."""
    first = load_diffusion(tiny_sd, device="cpu").fingerprint
    for name in ("diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.non_ema.safetensors"):
        (copy / "unet" / name).write_bytes((copy / "unet" / "diffusion_pytorch_model.safetensors").read_bytes())
    assert load_diffusion(copy, device="cpu").fingerprint == first


def test_large_weights_are_sampled_to_their_end(copy) -> None:
    path = copy / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_bytes(bytes(3_000_000))
    first = fingerprint(copy)
    path.write_bytes(bytes(2_999_999) + b"\1")
    assert fingerprint(copy) != first


def test_clip_skip(copy, tiny_sd) -> None:
    from aligndiff_cli.method.prompts import Prompt

    (copy / "aligndiff.json").write_text('{"clip_skip": 1}')
    skipping, whole = load_diffusion(copy, device="cpu"), load_diffusion(tiny_sd, device="cpu")
    prompt = [Prompt("a {class}", "dog")]
    seen = {}
    first_layer = whole.encoders[0][1].get_submodule(
        "encoder.layers.0" if hasattr(whole.encoders[0][1], "encoder") else "text_model.encoder.layers.0"
    )
    hook = first_layer.register_forward_hook(lambda m, a, out: seen.update(x=out[0] if isinstance(out, tuple) else out))
    whole.encode_prompts(prompt)
    hook.remove()
    norm = getattr(whole.encoders[0][1], "text_model", whole.encoders[0][1]).final_layer_norm
    torch.testing.assert_close(skipping.encode_prompts(prompt).hidden, norm(seen["x"]))


@pytest.mark.parametrize("parts", [("unet",), ("unet", "text_encoder", "vae")])
def test_a_folder_with_half_precision_weights_only(copy, tiny_sd, parts) -> None:
    """As a download for a GPU leaves it: some parts under the variant's name, some not."""
    for part in parts:
        (path,) = (copy / part).glob("*.safetensors")
        path.rename(path.with_suffix(".fp16.safetensors"))
    model, whole = load_diffusion(copy, device="cpu"), load_diffusion(tiny_sd, device="cpu")
    for own, other in ((model.unet, whole.unet), (model.encoders[0].network, whole.encoders[0].network)):
        assert all(torch.equal(value, other.state_dict()[key]) for key, value in own.state_dict().items())


def test_missing_folder() -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        load_diffusion("./no/such/folder")


def test_hub_id_without_network(monkeypatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ModelError, match=r"aligndiff-none/such: neither a folder nor.*HF_HUB_OFFLINE"):
        load_diffusion("aligndiff-none/such")


def test_not_a_pipeline(tmp_path) -> None:
    with pytest.raises(ModelError, match=r"model_index\.json"):
        load_diffusion(tmp_path)
    for text in ("[]", '{"_class_name": ["x"]}'):
        (tmp_path / "model_index.json").write_text(text)
        with pytest.raises(ModelError, match=r"no readable model_index\.json"):
            load_diffusion(tmp_path)
    (tmp_path / "model_index.json").write_text('{"_class_name": "DDPMPipeline"}')
    with pytest.raises(ModelError, match="DDPMPipeline is not supported"):
        load_diffusion(tmp_path)


@pytest.mark.parametrize("broken", ["unet/diffusion_pytorch_model.safetensors", "vae/config.json", "tokenizer"])
def test_an_incomplete_model_is_named(copy, broken) -> None:
    path = copy / broken
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ModelError, match=r"cannot be loaded|no tokenizer folder|unet has no weights"):
        load_diffusion(copy, device="cpu")


def test_a_part_in_another_form_is_named_with_its_conversion(copy, capfd) -> None:
    (path,) = (copy / "text_encoder").glob("*.safetensors")
    path.rename(path.with_name("pytorch_model.bin"))
    with pytest.raises(ModelError, match=r"text_encoder has its weights in pytorch_model\.bin only") as caught:
        load_diffusion(copy, device="cpu")
    assert f'from_pretrained("{copy}").save_pretrained("{copy}-safetensors")' in caught.value.remedy
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("part", ["unet", "text_encoder", "vae"])
@pytest.mark.parametrize("fault", ["missing", "renamed"])
def test_weights_that_are_lacking_are_not_made_up(copy, part, fault) -> None:
    (path,) = (copy / part).glob("*.safetensors")
    weights = load_file(path)
    if fault == "missing":
        weights.pop(sorted(weights)[len(weights) // 2])
    else:
        weights = {f"x.{key}": value for key, value in weights.items()}
    save_file(weights, path, {"format": "pt"})
    with pytest.raises(ModelError, match=rf"{part}: lacks \d+ of its weights"):
        load_diffusion(copy, device="cpu")


def test_parts_that_do_not_belong_together_are_named(copy, tiny_sdxl) -> None:
    config = json.loads((copy / "unet" / "config.json").read_text())
    (path,) = (copy / "unet").glob("*.safetensors")
    weights = load_file(path)
    # as models for inpainting are: noise, mask and masked picture
    (copy / "unet" / "config.json").write_text(json.dumps(config | {"in_channels": 9}))
    save_file(weights | {"conv_in.weight": torch.zeros(16, 9, 3, 3)}, path, {"format": "pt"})
    with pytest.raises(ModelError, match="the VAE makes 4 channels, and the U-Net takes 9"):
        load_diffusion(copy, device="cpu")
    (copy / "unet" / "config.json").write_text(json.dumps(config))
    save_file(weights, path, {"format": "pt"})
    shutil.rmtree(copy / "text_encoder")
    shutil.copytree(tiny_sdxl / "text_encoder_2", copy / "text_encoder")
    with pytest.raises(ModelError, match="make 16 numbers a token, and the U-Net takes 32"):
        load_diffusion(copy, device="cpu")


def test_what_git_leaves_without_lfs_is_named(copy) -> None:
    path = copy / "unet" / "diffusion_pytorch_model.safetensors"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n")
    with pytest.raises(ModelError, match=r"unet/diffusion_pytorch_model\.safetensors: is a pointer of Git LFS"):
        load_diffusion(copy, device="cpu")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        (["cond_stage_model.transformer.x", "model.diffusion_model.x"], "StableDiffusionPipeline.from_single_file"),
        (["conditioner.embedders.1.model.x"], "StableDiffusionXLPipeline.from_single_file"),
        (["model.diffusion_model.joint_blocks.0.x"], "StableDiffusion3Pipeline.from_single_file"),
        (["double_blocks.0.x"], "FluxPipeline.from_single_file"),
        (["lora_unet_down_blocks_0.lora_down.weight"], "adapters such as LoRA"),
        (["encoder.x"], "none of a whole text-to-image model"),
    ],
)
def test_a_model_in_one_file_is_named_with_its_conversion(tmp_path, keys, said) -> None:
    path = tmp_path / "some model.v1.safetensors"
    save_file({key: torch.zeros(1) for key in keys}, path)
    with pytest.raises(ModelError, match=re.escape(said)):
        load_diffusion(path)
    with pytest.raises(ModelError) as caught:
        load_diffusion(str(path))
    assert caught.value.where == path


def test_files_that_are_not_there_are_no_hub_ids(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("models/v1.safetensors", "v1.ckpt"):
        with pytest.raises(ModelError, match="there is no such file"):
            load_diffusion(name)
    (tmp_path / "v1.ckpt").write_bytes(b"x")
    with pytest.raises(ModelError, match=r'from_single_file\("v1\.ckpt"\)\.save_pretrained\("v1"\)'):
        load_diffusion("v1.ckpt")


@pytest.mark.parametrize(
    ("scheduler", "message"),
    [
        ("EDMDPMSolverMultistepScheduler", "its scheduler is a EDMDPMSolverMultistepScheduler"),
        ("FlowMatchEulerDiscreteScheduler", "predicts 'None'"),
    ],
)
def test_models_of_another_parametrisation_are_refused(copy, scheduler, message) -> None:
    """Some have Stable Diffusion's layout: Playground 2.5's is that of XL, with EDM's scheduler."""
    import diffusers

    getattr(diffusers, scheduler)().save_pretrained(copy / "scheduler")
    index = json.loads((copy / "model_index.json").read_text())
    (copy / "model_index.json").write_text(json.dumps(index | {"scheduler": ["diffusers", scheduler]}))
    with pytest.raises(ModelError, match=message):
        load_diffusion(copy, device="cpu")


def test_a_tokenizer_without_its_vocabulary(copy) -> None:
    (copy / "tokenizer" / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"tokenizer of clip_l knows \d tokens"):
        load_diffusion(copy, device="cpu")


@pytest.mark.parametrize("name", ["unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"])
def test_truncated_weights(copy, name) -> None:
    path = copy / name
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_diffusion(copy, device="cpu")


def test_unknown_device(tiny_sd) -> None:
    with pytest.raises(UsageError, match="'quantum'"):
        load_diffusion(tiny_sd, device="quantum")


def test_defaults_are_read(tmp_path) -> None:
    assert read_defaults(tmp_path) == ModelDefaults()
    (tmp_path / "aligndiff.json").write_text('{"guidance": 3, "attention_levels": [0, 1], "scheduler": "ddim"}')
    defaults = read_defaults(tmp_path)
    assert (defaults.guidance, defaults.attention_levels, defaults.scheduler) == (3, (0, 1), "ddim")
    assert defaults.inversion_steps == 500


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"guidence": 3}',
        '{"steps": 0}',
        '{"steps": 2.5}',
        '{"steps": true}',
        '{"guidance": "high"}',
        '{"mask_threshold": 1.5}',
        '{"attention_levels": []}',
        '{"attention_levels": [-1]}',
        '{"scheduler": 3}',
        '{"attention_tokens": "nouns"}',
        '{"inversion_learning_rate": NaN}',
    ],
)
def test_impossible_defaults_are_refused(tmp_path, text) -> None:
    (tmp_path / "aligndiff.json").write_text(text)
    with pytest.raises(ModelError, match=r"aligndiff\.json"):
        read_defaults(tmp_path)


def test_a_tokenizer_saved_with_padding_and_truncation_still_counts(copy) -> None:
    """Else every prompt would look full, and transformers, which takes seconds to load, be asked."""
    path = str(copy / "tokenizer" / "tokenizer.json")
    tokenizer = Tokenizer.from_file(path)
    tokenizer.enable_padding(length=24)
    tokenizer.enable_truncation(max_length=24)
    tokenizer.save(path)
    about = describe_diffusion(copy, device="cpu")
    about.check_prompt(Prompt("a photo of a {class}", "chess queen"))
    assert "encoders" not in vars(about)
    with pytest.raises(InputError, match="tokens long"):
        about.check_prompt(Prompt("a photo of a {class}", "dog " * 30))
