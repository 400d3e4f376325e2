"""Full-size models with random weights: counts, shapes and operations; on a GPU memory and speed of batches of 8.

    python tests/benchmarks/full_size.py --meta           counts, shapes, operations, without weights
    python tests/benchmarks/full_size.py [sd15] [sdxl]    on a GPU: sampling with capture, and inversion

Speed and memory do not depend on what the weights are.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

sys.path.insert(0, str(Path(__file__).parents[2]))

from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.diffusion import Instance, InversionOptions, SampleOptions, invert, sample
from aligndiff_cli.models.diffusion.defaults import ModelDefaults
from aligndiff_cli.models.diffusion.flux import Flux
from aligndiff_cli.models.diffusion.model import DiffusionModel
from aligndiff_cli.models.diffusion.sd import StableDiffusion, StableDiffusionXL
from tests.conftest import tiny_tokenizer
from tests.models.diffusion.families import tiny_pieces

BATCH, STEPS = 8, 10
FAMILIES = {"sd15": StableDiffusion, "sdxl": StableDiffusionXL, "flux": Flux}
SIZES = {"sd15": (512, 512), "sdxl": (1024, 1024)}
PARAMETERS = {"sd15": 859_520_964, "sdxl": 2_567_463_684, "flux": 11_901_408_320}
"""Of the denoisers, as their checkpoints have them."""


def build(name: str, device: torch.device, dtype: torch.dtype) -> DiffusionModel:
    """A model of full size, its weights random or, on the meta device, none."""
    with tempfile.TemporaryDirectory() as folder:
        tokenizer = tiny_tokenizer(Path(folder) / "words")
    tokenizer.model_max_length = 77
    with device:
        pipeline = {"sd15": _sd15, "sdxl": _sdxl, "flux": _flux}[name](tokenizer)
    for part in vars(pipeline).values():
        if isinstance(part, torch.nn.Module):
            part.to(dtype)
    return FAMILIES[name](pipeline, source=name, fingerprint="", defaults=ModelDefaults(), device=device)


def _sd15(tokenizer: Any) -> SimpleNamespace:
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    clip = _clip(tokenizer, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12)
    return SimpleNamespace(
        unet=unet, text_encoder=clip, tokenizer=tokenizer, vae=_vae(512, 4), scheduler=_diffusion_scheduler()
    )


def _sdxl(tokenizer: Any) -> SimpleNamespace:
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=128,
        block_out_channels=(320, 640, 1280),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 10),
        attention_head_dim=(5, 10, 20),
        cross_attention_dim=2048,
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=2816,
    )
    small = {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12}
    large = {"hidden_size": 1280, "intermediate_size": 5120, "num_hidden_layers": 32, "num_attention_heads": 20}
    return SimpleNamespace(
        unet=unet,
        text_encoder=_clip(tokenizer, **small),
        text_encoder_2=_clip(tokenizer, projected=True, projection_dim=1280, hidden_act="gelu", **large),
        tokenizer=tokenizer,
        tokenizer_2=tokenizer,
        vae=_vae(1024, 4),
        scheduler=_diffusion_scheduler(),
        config=SimpleNamespace(force_zeros_for_empty_prompt=True),
    )


def _flux(tokenizer: Any) -> SimpleNamespace:
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
    from transformers import T5Config, T5EncoderModel

    t5 = T5Config(d_model=4096, d_ff=10240, num_layers=24, num_heads=64, feed_forward_proj="gated-gelu")
    return SimpleNamespace(
        transformer=FluxTransformer2DModel(guidance_embeds=True),
        text_encoder=_clip(
            tokenizer, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12
        ),
        text_encoder_2=T5EncoderModel(t5),
        tokenizer=tokenizer,
        tokenizer_2=tiny_pieces(),
        vae=_vae(1024, 16),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
        default_sample_size=128,
    )


def _clip(tokenizer: Any, *, projected: bool = False, **sizes: Any) -> Any:
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    ends = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = CLIPTextConfig(**sizes, **ends)
    return CLIPTextModelWithProjection(config) if projected else CLIPTextModel(config)


def _vae(sample_size: int, channels: int) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        block_out_channels=(128, 256, 512, 512),
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        layers_per_block=2,
        latent_channels=channels,
        sample_size=sample_size,
    )


def _diffusion_scheduler() -> Any:
    from diffusers import DDIMScheduler

    with torch.device("cpu"):
        return DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012, clip_sample=False)


def parameters(network: torch.nn.Module) -> int:
    """Numbers a network has learnt."""
    return sum(parameter.numel() for parameter in network.parameters())


def shapes(model: DiffusionModel) -> dict[str, tuple[int, ...]]:
    """Shapes of one captured pass of ``BATCH`` items at the model's size."""
    size = model.latent_size(*model.image_size)
    v = torch.zeros(1, model.embedding_dim, device=model.device)
    conditioning = model.encode_prompts([Prompt("a photo of a {v*} {class}", "dog", v)]).select([0] * BATCH)
    x_t = torch.zeros(BATCH, model.latent_channels, *size, device=model.device)
    with torch.no_grad(), model.capture(size, conditioning.class_tokens) as sums:
        output = model.predict(x_t, torch.tensor(500.0, device=model.device), conditioning)
    maps = {f"attention {n}": tuple(own.shape) for n, own in enumerate(sums.means())}
    return {"text": tuple(conditioning.hidden.shape), "output": tuple(output.shape)} | maps


def check_meta(names: list[str]) -> None:
    """Print counts and shapes; leave with an error if a count is not the checkpoint's."""
    for name in names:
        model = build(name, torch.device("meta"), torch.float16)
        count = parameters(model.denoiser)
        print(f"{name}: {count:,} parameters in the denoiser, v* of {model.embedding_parts}")
        with FlopCounterMode(display=False) as counter:
            found = shapes(model)
        for what, shape in found.items():
            print(f"  {what}: {shape}")
        print(f"  {counter.get_total_flops() / BATCH / 1e12:.2f} TFLOP for each image and pass, its prompt included")
        if count != PARAMETERS[name]:
            raise SystemExit(f"{name}: expected {PARAMETERS[name]:,} parameters")


def measure(name: str) -> None:
    """Print memory and speed of sampling with capture, and of inversion, in half precision on the GPU."""
    model = build(name, torch.device("cuda"), torch.float16)
    height, width = SIZES[name]
    prompts = [Prompt("a photo of a {class}", "dog")] * BATCH
    options = SampleOptions(height=height, width=width, steps=STEPS, guidance=7.5)
    _report(f"{name}: {BATCH} images of {height} x {width}, {STEPS} steps", lambda: _sample(model, prompts, options))
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    pair = Instance("dog", (image,), (image[..., 0] > 127,))
    how = InversionOptions(steps=STEPS, batch=BATCH, accumulation=1)
    _report(f"{name}: inversion, batch {BATCH}, {STEPS} steps", lambda: invert(model, [pair], how, [0]))


def _sample(model: DiffusionModel, prompts: list[Prompt], options: SampleOptions) -> None:
    try:
        sample(model, prompts, list(range(BATCH)), options)
    except Exception as error:
        if "not numbers" not in str(error):  # what random weights may come to; the work is the same
            raise


def _report(what: str, work: Any) -> None:
    work()  # the first time includes the choice of kernels
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.synchronize()
    begun = time.perf_counter()
    work()
    torch.cuda.synchronize()
    seconds = time.perf_counter() - begun
    print(f"{what}: {seconds:.1f} s, peak {torch.cuda.max_memory_allocated() / 2**30:.1f} GiB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", choices=[[], *FAMILIES], help="default: sd15 sdxl (with --meta: all)")
    parser.add_argument("--meta", action="store_true", help="check counts and shapes; needs no GPU")
    arguments = parser.parse_args()
    if arguments.meta:
        check_meta(arguments.models or list(FAMILIES))
    elif not torch.cuda.is_available():
        print("no GPU: nothing measured")
    else:
        print(torch.cuda.get_device_name())
        for name in arguments.models or list(SIZES):
            measure(name)


if __name__ == "__main__":
    main()
