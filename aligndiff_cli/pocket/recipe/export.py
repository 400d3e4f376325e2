"""From training states to a folder that ``StableDiffusionPipeline.from_pretrained`` loads as it is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline
from transformers import CLIPTokenizer

from aligndiff_cli.pocket.recipe.denoiser import Denoiser, build_scheduler
from aligndiff_cli.pocket.recipe.pool import Pool
from aligndiff_cli.pocket.recipe.training import ema_weights
from aligndiff_cli.pocket.recipe.vae import FACTOR, trained_vae

DEFAULTS: dict[str, object] = {
    "inversion_steps": 150,
    "inversion_learning_rate": 0.02,
    "inversion_batch": 8,
    "inversion_accumulation": 1,
    "steps": 20,
    "guidance": 5.0,
    "attention_levels": [0],
    "attention_tokens": "class",
    "attention_scaling": "range",
    "mask_threshold": 0.5,
}
"""Settings of the folder (``aligndiff.json``): to be chosen on validation classes when the training is done."""


def export_model(work: Path, out: Path) -> None:
    """Write the averaged weights of `work` as a diffusers pipeline folder; `out` is replaced.

    The U-Net is stored in half precision (its error is far below the training noise), the rest in single
    precision: transformers computes in the stored one.
    """
    tokenizer = CLIPTokenizer.from_pretrained(work / "tokenizer")
    pool = Pool.load(work)
    model = averaged(work, tokenizer, pool)
    vae = trained_vae(work, pool.latents.shape[-1] * FACTOR)
    vae.register_to_config(scaling_factor=pool.scale)
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=model.text_encoder.eval(),
        tokenizer=tokenizer,
        unet=model.unet.eval().to(torch.float16),
        scheduler=build_scheduler(),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    shutil.rmtree(out, ignore_errors=True)
    pipeline.save_pretrained(out, safe_serialization=True)
    for name in ("vocab.json", "merges.txt"):  # transformers before 5 reads these rather than tokenizer.json
        shutil.copy(work / "tokenizer" / name, out / "tokenizer" / name)
    (out / "aligndiff.json").write_text(json.dumps(DEFAULTS, indent=2) + "\n")


def averaged(work: Path, tokenizer: CLIPTokenizer, pool: Pool) -> Denoiser:
    """The networks with the averaged weights of ``work/diffusion.safetensors``."""
    model = Denoiser(tokenizer, *pool.latents.shape[1:3])
    model.load_state_dict(ema_weights(work / "diffusion.safetensors"), strict=False)
    return model.eval()
