"""The pocket model's networks that are trained together: text encoder, encoder of looks, U-Net."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from diffusers import DDIMScheduler, UNet2DConditionModel
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from aligndiff_cli.pocket.recipe.looks import LooksEncoder, noisy
from aligndiff_cli.pocket.recipe.text import WIDTH, build_text_encoder

UNET_CHANNELS = (128, 192)
HEAD_WIDTH = 32


def build_unet(channels: int, side: int) -> UNet2DConditionModel:
    """An untrained U-Net for latents (channels, side, side): text cross-attention at every resolution.

    11 M parameters; with 8 x 8 latents of 16 channels a sample costs 1.7 GFLOP, forward and backward.
    """
    return UNet2DConditionModel(
        sample_size=side,
        in_channels=channels,
        out_channels=channels,
        down_block_types=("CrossAttnDownBlock2D",) * len(UNET_CHANNELS),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("CrossAttnUpBlock2D",) * len(UNET_CHANNELS),
        block_out_channels=UNET_CHANNELS,
        layers_per_block=1,
        attention_head_dim=tuple(width // HEAD_WIDTH for width in UNET_CHANNELS),  # diffusers takes the number here
        cross_attention_dim=WIDTH,
        norm_num_groups=16,
    )


def build_scheduler() -> DDIMScheduler:
    """Stable Diffusion's schedule brought to zero terminal SNR, predicting v, as Lin et al. (2023) mend it.

    At the noisiest step nothing of the picture is left, so that what is predicted there can only come from the words.
    """
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="scaled_linear",
        beta_start=0.00085,
        beta_end=0.012,
        clip_sample=False,
        set_alpha_to_one=True,
        rescale_betas_zero_snr=True,
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        steps_offset=1,  # not used with this spacing; diffusers warns of any other value
    )


@dataclass(frozen=True)
class Batch:
    """Samples of one step.

    Attributes:
        x0, noise: clean latents and standard normal noise (B, C, h, w).
        t: steps (B,).
        tokens: ids (B, L).
        looks_at: position (B,) of the vector of looks in a caption, -1 without one.
        other: latents (B, C, h, w) of another picture of the same drawing.
        looks_noise: standard normal (B, `WIDTH`).
        bare: (B,), whether the states after the last word are those of the empty caption.
    """

    x0: Tensor
    noise: Tensor
    t: Tensor
    tokens: Tensor
    looks_at: Tensor
    other: Tensor
    looks_noise: Tensor
    bare: Tensor

    def parts(self, count: int) -> list[Batch]:
        """The batch cut into `count` equal parts."""
        return [Batch(*part) for part in zip(*(tensor.chunk(count) for tensor in vars(self).values()), strict=True)]


class Denoiser(nn.Module):
    """All three as one module, so that they share an optimiser, an average and a state file.

    Args:
        tokenizer: gives the vocabulary.
        channels, side: of the latents.
    """

    empty: Tensor

    def __init__(self, tokenizer: CLIPTokenizer, channels: int, side: int) -> None:
        super().__init__()
        self.text_encoder: CLIPTextModel = build_text_encoder(tokenizer)
        self.looks = LooksEncoder(channels, side, WIDTH)
        self.unet: UNet2DConditionModel = build_unet(channels, side)
        empty = tokenizer("", padding="max_length", return_tensors="pt").input_ids
        self.register_buffer("empty", empty, persistent=False)
        self.end = int(tokenizer.eos_token_id)

    def encode(self, batch: Batch) -> Tensor:
        """The captions' states (B, L, `WIDTH`)."""
        dtype = self.unet.dtype
        vectors = noisy(self.looks(batch.other.to(dtype)), batch.looks_noise.to(dtype))
        at = torch.arange(batch.tokens.shape[1], device=vectors.device) == batch.looks_at[:, None]

        def say_looks(module: nn.Module, args: object, embedded: Tensor) -> Tensor:
            said = torch.where(at[..., None], vectors[:, None], embedded[: len(at)])
            return torch.cat([said, embedded[len(at) :]])  # the empty caption's row has none

        with _hooked(self.text_encoder.get_input_embeddings(), say_looks):
            return self.states(batch.tokens, batch.bare)

    def states(self, tokens: Tensor, bare: Tensor) -> Tensor:
        """States (B, L, `WIDTH`) of token ids (B, L); where `bare` (B,), those after the last word say nothing."""
        # the empty caption rides along as the last row
        states = self.text_encoder(torch.cat([tokens, self.empty])).last_hidden_state
        after = (tokens == self.end).cumsum(1) > 0
        return torch.where((after & bare[:, None])[..., None], states[-1:], states[:-1])

    def forward(self, batch: Batch, x_t: Tensor) -> Tensor:
        """The v predicted (B, C, h, w) in x_t at the batch's steps for its captions."""
        return self.unet(x_t.to(self.unet.dtype), batch.t, self.encode(batch)).sample.float()


@contextmanager
def _hooked(module: nn.Module, hook: Callable[[nn.Module, object, Tensor], Tensor]) -> Iterator[None]:
    handle = module.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()


def v_loss(model: Denoiser, alphas_bar: Tensor, batch: Batch) -> Tensor:
    """Mean squared error of v = sqrt(a) eps - sqrt(1 - a) x0 (Salimans and Ho 2022, App. D)."""
    a = alphas_bar[batch.t].view(-1, 1, 1, 1)
    x_t = a.sqrt() * batch.x0 + (1 - a).sqrt() * batch.noise
    v = a.sqrt() * batch.noise - (1 - a).sqrt() * batch.x0
    return (model(batch, x_t) - v).square().mean()
