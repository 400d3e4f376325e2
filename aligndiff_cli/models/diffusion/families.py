"""The families of models, as far as they are known from a folder's JSON: nothing here loads torch.

What a family does with its networks is a class of its own (``sd.py``, ``sd3.py``, ``flux.py``), imported when a model
is loaded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from aligndiff_cli.models.diffusion.defaults import ModelDefaults
from aligndiff_cli.models.diffusion.model_files import read_config

if TYPE_CHECKING:
    from aligndiff_cli.models.diffusion.model import DiffusionModel

Precision = Literal["float32", "float16", "bfloat16"]


@dataclass(frozen=True)
class Family:
    """One family.

    Attributes:
        code: module and name of its class.
        parts, optional_parts: folders of the pipeline the family needs, and those it can do without.
        latent_size: folder -> (h, w) of the latents the model was trained on.
        text_encoders: folders of the networks, in the order their parts stand in an embedding.
        half: the half precision the family was trained for.
        suggested: folder -> settings for a model that names none.
    """

    code: tuple[str, str]
    parts: tuple[str, ...]
    latent_size: Callable[[Path], tuple[int, int]]
    text_encoders: tuple[str, ...]
    optional_parts: tuple[str, ...] = ()
    half: Precision = "float16"
    suggested: Callable[[Path], ModelDefaults] = field(default=lambda folder: ModelDefaults())

    @property
    def model_class(self) -> type[DiffusionModel]:
        """The class, imported only now: it loads torch."""
        module, name = self.code
        found: type[DiffusionModel] = getattr(import_module(f"aligndiff_cli.models.diffusion.{module}"), name)
        return found

    def embedding_dim(self, folder: Path) -> int:
        """Numbers in one vector of v*, over the text encoders that are there."""
        there = [part for part in self.text_encoders if (folder / part / "config.json").is_file()]
        configs = [read_config(folder, part) for part in there]
        return sum(int(config["hidden_size"] if "hidden_size" in config else config["d_model"]) for config in configs)


def _of_unet(folder: Path) -> tuple[int, int]:
    size = read_config(folder, "unet")["sample_size"]
    height, width = (size, size) if isinstance(size, int) else size
    return height, width


def _of_transformer(folder: Path) -> tuple[int, int]:
    side = read_config(folder, "transformer")["sample_size"]
    return side, side


def _of_flux(folder: Path) -> tuple[int, int]:
    return 128, 128  # of an image of 1024 pixels, as the family's own pipeline has it


def _sd3_suggested(folder: Path) -> ModelDefaults:
    """28 steps at guidance 7, as the family's own pipeline."""
    return ModelDefaults(steps=28, guidance=7.0, attention_levels=(1,))


def _flux_suggested(folder: Path) -> ModelDefaults:
    """28 steps told a guidance of 3.5 (dev), or 4 steps (schnell)."""
    if read_config(folder, "transformer").get("guidance_embeds"):
        return ModelDefaults(steps=28, guidance=3.5, attention_levels=(1,))
    return ModelDefaults(steps=4, guidance=0.0, attention_levels=(1,))


_OF_SD = ("unet", "text_encoder", "vae", "tokenizer", "scheduler")
_OF_TRANSFORMERS = ("transformer", "text_encoder", "text_encoder_2", "vae", "tokenizer", "tokenizer_2", "scheduler")
_TWO = ("text_encoder", "text_encoder_2")

SD = Family(("sd", "StableDiffusion"), _OF_SD, _of_unet, _TWO[:1])
SDXL = Family(("sd", "StableDiffusionXL"), (*_OF_SD, "text_encoder_2", "tokenizer_2"), _of_unet, _TWO)
SD3 = Family(
    ("sd3", "StableDiffusion3"),
    _OF_TRANSFORMERS,
    _of_transformer,
    (*_TWO, "text_encoder_3"),
    ("text_encoder_3", "tokenizer_3"),
    "bfloat16",
    _sd3_suggested,
)
FLUX = Family(("flux", "Flux"), _OF_TRANSFORMERS, _of_flux, _TWO, (), "bfloat16", _flux_suggested)

BY_PIPELINE = {
    "StableDiffusionPipeline": SD,
    "StableDiffusionXLPipeline": SDXL,
    "StableDiffusion3Pipeline": SD3,
    "FluxPipeline": FLUX,
}
"""By the name in ``model_index.json``."""
