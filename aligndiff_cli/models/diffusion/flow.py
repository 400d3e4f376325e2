"""What models of rectified flow share: straight paths from noise to image, a transformer over patches.

Between an image x_0 and noise, x_t = (1 - sigma) x_0 + sigma noise; the model predicts noise - x_0 (Liu et al. 2022;
Esser et al. 2024, Sec. 2). Time is sigma times the number of training steps, as their schedulers count.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from aligndiff_cli.models.diffusion.attention_dit import capture_joint
from aligndiff_cli.models.diffusion.attention_unet import AttentionSums
from aligndiff_cli.models.diffusion.model import DiffusionModel
from aligndiff_cli.models.diffusion.text import Conditioning

_FEATURES = 4


class FlowModel(DiffusionModel):
    """A transformer in which image patches and text tokens attend to one another, trained by flow matching."""

    default_max_shift: float
    """The largest shift of noise levels where the scheduler's configuration names none."""

    def __init__(self, pipeline: Any, **facts: Any) -> None:
        super().__init__(pipeline, **facts)
        self.transformer = self.denoiser
        self._sample_size = int(pipeline.default_sample_size)

    def _denoiser(self, pipeline: Any) -> Any:
        return pipeline.transformer

    @property
    @abstractmethod
    def patch_size(self) -> int:
        """Latent positions along the side of a patch."""

    @property
    def _level(self) -> int:
        """How often the latent's resolution is halved to that of the patches."""
        return self.patch_size.bit_length() - 1

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels the model was trained at."""
        side = self._sample_size * self.latent_factor
        return side, side

    @property
    def size_multiple(self) -> int:
        """Pixels that the sides of an image must be multiples of: whole patches."""
        return self.latent_factor * self.patch_size

    @property
    def train_steps(self) -> int:
        """Time at which there is nothing but noise."""
        return int(self.scheduler.config.num_train_timesteps)

    def noise_and_target(self, x0: Tensor, noise: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """x_t = (1 - sigma) x0 + sigma noise, and the velocity noise - x0."""
        sigma = (t.float() / self.train_steps)[:, None, None, None]
        return (1 - sigma) * x0 + sigma * noise, noise - x0

    def training_times(self, index: Tensor, latent_size: tuple[int, int]) -> Tensor:
        """Even noise levels, shifted towards noise as the scheduler's configuration says."""
        sigma = (index.float() + 1) / self.train_steps
        if self.scheduler.config.use_dynamic_shifting:
            sigma = self.scheduler.time_shift(self._shift_of(latent_size), 1.0, sigma)
        else:
            shift = float(self.scheduler.config.shift)
            sigma = shift * sigma / (1 + (shift - 1) * sigma)
        return sigma * self.train_steps

    def _shift_of(self, latent_size: tuple[int, int]) -> float:
        """mu, by which noise levels are shifted: a straight line in the number of patches."""
        config = self.scheduler.config
        patches = (latent_size[0] // self.patch_size) * (latent_size[1] // self.patch_size)
        few, many = config.get("base_image_seq_len", 256), config.get("max_image_seq_len", 4096)
        low, high = config.get("base_shift", 0.5), config.get("max_shift", self.default_max_shift)
        slope = (high - low) / (many - few)
        return float(patches * slope + (low - slope * few))

    def features(self, x_t: Tensor, t: Tensor, conditioning: Conditioning) -> list[Tensor]:
        """The patches after four blocks evenly spread over the transformer, the last one's last."""
        h, w = (side // self.patch_size for side in x_t.shape[-2:])
        blocks = self._blocks()
        count = min(_FEATURES, len(blocks))
        chosen = [blocks[(i + 1) * len(blocks) // count - 1] for i in range(count)]
        found: list[Tensor] = []
        handles = [block.register_forward_hook(lambda *seen: found.append(seen[-1][1])) for block in chosen]
        try:
            self.predict(x_t, t, conditioning)
        finally:
            for handle in handles:
                handle.remove()
        return [own.transpose(1, 2).unflatten(2, (h, w)) for own in found]

    def _blocks(self) -> list[Any]:
        """The transformer's blocks in order, each giving (text states, patch states)."""
        single = getattr(self.transformer, "single_transformer_blocks", ())
        return [*self.transformer.transformer_blocks, *single]

    def _capture(
        self, latent_size: tuple[int, int], levels: Sequence[int], sums: AttentionSums
    ) -> AbstractContextManager[AttentionSums]:
        return capture_joint(self.transformer, latent_size, self._level, levels, sums)
