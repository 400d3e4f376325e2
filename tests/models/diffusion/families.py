"""A small random model of every family, built with diffusers' and transformers' own classes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tests.conftest import (
    TINY_WORDS,
    build_tiny_sd,
    build_tiny_sdxl,
    tiny_text_config,
    tiny_tokenizer,
)


def build_sd2(folder: Path) -> Path:
    """Stable Diffusion 2 at 768: v-prediction, a scheduler that says so."""
    build_tiny_sd(folder)
    path = folder / "scheduler" / "scheduler_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"prediction_type": "v_prediction"}))
    return folder


def build_sd3(folder: Path, *, t5: bool = True) -> Path:
    """SD 3.5: normed queries and keys, one layer with a second attention among patches, shift 3."""
    from diffusers import FlowMatchEulerDiscreteScheduler, SD3Transformer2DModel, StableDiffusion3Pipeline
    from transformers import CLIPTextModelWithProjection

    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = tiny_tokenizer(folder / "words")
        pipeline = StableDiffusion3Pipeline(
            transformer=SD3Transformer2DModel(
                sample_size=16,
                num_layers=2,
                attention_head_dim=8,
                num_attention_heads=4,
                joint_attention_dim=64,
                caption_projection_dim=32,
                pooled_projection_dim=48,
                pos_embed_max_size=24,
                dual_attention_layers=(0,),
                qk_norm="rms_norm",
            ),
            text_encoder=CLIPTextModelWithProjection(tiny_text_config(tokenizer, 32)),
            text_encoder_2=CLIPTextModelWithProjection(tiny_text_config(tokenizer, 16)),
            text_encoder_3=tiny_t5(64) if t5 else None,
            tokenizer=tokenizer,
            tokenizer_2=tokenizer,
            tokenizer_3=tiny_pieces() if t5 else None,
            vae=tiny_flow_vae(),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def build_flux(folder: Path, *, dev: bool) -> Path:
    """Flux dev (told its guidance, noise levels shifted by size) or schnell (neither)."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxPipeline, FluxTransformer2DModel
    from transformers import CLIPTextModel

    with torch.random.fork_rng():
        torch.manual_seed(0)
        tokenizer = tiny_tokenizer(folder / "words")
        pipeline = FluxPipeline(
            transformer=FluxTransformer2DModel(
                in_channels=64,
                num_layers=1,
                num_single_layers=1,
                attention_head_dim=16,
                num_attention_heads=2,
                joint_attention_dim=64,
                pooled_projection_dim=32,
                guidance_embeds=dev,
                axes_dims_rope=(4, 6, 6),
            ),
            text_encoder=CLIPTextModel(tiny_text_config(tokenizer, 32)),
            text_encoder_2=tiny_t5(64),
            tokenizer=tokenizer,
            tokenizer_2=tiny_pieces(),
            vae=tiny_flow_vae(),
            scheduler=FlowMatchEulerDiscreteScheduler(
                shift=3.0 if dev else 1.0, use_dynamic_shifting=dev, base_shift=0.5, max_shift=1.15
            ),
        )
    pipeline.save_pretrained(folder, safe_serialization=True)
    return folder


def tiny_flow_vae() -> Any:
    """A VAE of 16 channels whose latents are shifted, at 2 pixels per position."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=16,
        norm_num_groups=4,
        sample_size=32,
        scaling_factor=1.5305,
        shift_factor=0.0609,
        use_quant_conv=False,
        use_post_quant_conv=False,
    )


def tiny_t5(width: int) -> Any:
    from transformers import T5Config, T5EncoderModel

    return T5EncoderModel(
        T5Config(
            vocab_size=len(_pieces()),
            d_model=width,
            d_kv=8,
            d_ff=32,
            num_layers=2,
            num_heads=2,
            feed_forward_proj="gated-gelu",
        )
    )


def tiny_pieces() -> Any:
    """A T5 tokenizer: one piece for the words of TINY_WORDS except queen, which is two; letters for the rest."""
    from transformers import T5Tokenizer

    return T5Tokenizer(vocab=_pieces(), extra_ids=0, model_max_length=512)


def _pieces() -> list[tuple[str, float]]:
    words = [f"▁{word}" for word in TINY_WORDS if word != "queen"] + ["▁que", "en", "▁"]
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789'.,!-")
    return [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", -20.0)] + [(w, -2.0) for w in words] + [(c, -5.0) for c in letters]


FAMILIES: dict[str, Callable[[Path], Path]] = {
    "sd1": build_tiny_sd,
    "sd2-v": build_sd2,
    "sdxl": build_tiny_sdxl,
    "sd3": build_sd3,
    "sd3-no-t5": lambda folder: build_sd3(folder, t5=False),
    "flux-dev": lambda folder: build_flux(folder, dev=True),
    "flux-schnell": lambda folder: build_flux(folder, dev=False),
}
