"""Fixtures for all tests. Heavy imports are made only by the tests that ask for them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

TINY_WORDS = ("a", "an", "photo", "of", "good", "bad", "red", "big", "dog", "cat", "bus", "chess", "queen", "small")


@pytest.fixture(scope="session")
def tiny_sd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a random StableDiffusionPipeline: 32 px, latents 16 x 16 x 4, 24 tokens of width 32.

    Words of TINY_WORDS are one token each; any other word is spelled letter by letter.
    """
    return build_tiny_sd(tmp_path_factory.mktemp("models") / "tiny_sd")


@pytest.fixture(scope="session")
def tiny_sdxl(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The like of a StableDiffusionXLPipeline, with text encoders of widths 32 and 16."""
    return build_tiny_sdxl(tmp_path_factory.mktemp("models") / "tiny_sdxl")


def build_tiny_sd(folder: Path) -> Path:
    """Write a small random Stable Diffusion pipeline and return its folder."""
    import torch
    from diffusers import StableDiffusionPipeline
    from transformers import CLIPTextModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = tiny_tokenizer(folder / "words")
        pipeline = StableDiffusionPipeline(
            text_encoder=CLIPTextModel(tiny_text_config(tokenizer, 32)),
            tokenizer=tokenizer,
            unet=tiny_unet(cross_attention_dim=32),
            vae=tiny_vae(),
            scheduler=tiny_scheduler(),
            safety_checker=None,
            feature_extractor=None,
            requires_safety_checker=False,
        )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def build_tiny_sdxl(folder: Path) -> Path:
    """Write a small random Stable Diffusion XL pipeline and return its folder."""
    import torch
    from diffusers import StableDiffusionXLPipeline
    from transformers import CLIPTextModel, CLIPTextModelWithProjection

    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = tiny_tokenizer(folder / "words")
        unet = tiny_unet(
            cross_attention_dim=48,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=16 + 6 * 8,
        )
        pipeline = StableDiffusionXLPipeline(
            text_encoder=CLIPTextModel(tiny_text_config(tokenizer, 32)),
            text_encoder_2=CLIPTextModelWithProjection(tiny_text_config(tokenizer, 16)),
            tokenizer=tokenizer,
            tokenizer_2=tokenizer,
            unet=unet,
            vae=tiny_vae(),
            scheduler=tiny_scheduler(),
        )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def tiny_text_config(tokenizer, width: int):  # type: ignore[no-untyped-def]
    from transformers import CLIPTextConfig

    return CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=64,
        projection_dim=width,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=24,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )


def tiny_unet(**own: object):  # type: ignore[no-untyped-def]
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(16, 16, 32),
        layers_per_block=1,
        down_block_types=("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        attention_head_dim=2,
        norm_num_groups=8,
        **own,
    )


def tiny_vae():  # type: ignore[no-untyped-def]
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=32,
    )


def tiny_scheduler():  # type: ignore[no-untyped-def]
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        steps_offset=1,
        set_alpha_to_one=False,
    )


def tiny_tokenizer(folder: Path):  # type: ignore[no-untyped-def]
    """A CLIP tokenizer with one token per word of TINY_WORDS, letters for the rest, 24 tokens at most."""
    from transformers import CLIPTokenizer

    letters = "abcdefghijklmnopqrstuvwxyz0123456789'.,!-"
    tokens = [*letters, *(letter + "</w>" for letter in letters)]
    merges: list[tuple[str, str]] = []
    for word in TINY_WORDS:
        pieces = [*word[:-1], word[-1] + "</w>"]
        # Joined from the end, so that a merge is only met inside words that end alike.
        while len(pieces) > 1:
            pair = (pieces[-2], pieces[-1])
            pieces[-2:] = ["".join(pair)]
            if pair not in merges:
                merges.append(pair)
                tokens.append(pieces[-1])
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True)
    vocabulary = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in merges) + "\n")
    return CLIPTokenizer.from_pretrained(folder, model_max_length=24)
