"""The pipeline in Python: each function is one arrow of it, on arrays; `run` is a whole stage, on folders.

>>> import aligndiff_cli as ad
>>> model = ad.load_model()                             # the bundled one; else a folder or hub id
>>> v = ad.invert(model, image, mask, "dog")            # uint8 (H, W, 3), bool (H, W)
>>> images, soft = ad.generate(model, "dog", v, n=8)    # uint8 (8, h, w, 3), float32 (8, h, w) in [0, 1]
>>> segmenter = ad.load_segmenter("ssp")
>>> masks = ad.refine(segmenter, [(image, mask)], images, soft, threshold=model.defaults.mask_threshold)
>>> scene = ad.compose(photo, labels, [(image, mask, 21), (images[0], masks[0], 21)])
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from aligndiff_cli.disk import bank
from aligndiff_cli.disk.voc import open_voc
from aligndiff_cli.engine.manifest import contained, read_records
from aligndiff_cli.engine.options import Options
from aligndiff_cli.engine.progress import Bar
from aligndiff_cli.engine.run_file import require_run
from aligndiff_cli.engine.runner import Outcome, run_stage
from aligndiff_cli.errors import InputError, ModelError
from aligndiff_cli.method import consensus
from aligndiff_cli.method.composition import INVERTED_SHARE, N_MAX, SCALE_RANGE, Scene, cut_out, paste, sample_layout
from aligndiff_cli.method.framing import framed
from aligndiff_cli.method.prompts import TEXT_TEMPLATE, Prompt, class_words
from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.diffusion import inversion
from aligndiff_cli.models.diffusion.inversion_options import suggested
from aligndiff_cli.models.diffusion.load import load_diffusion
from aligndiff_cli.models.diffusion.model import DiffusionModel
from aligndiff_cli.models.diffusion.sampling import SampleOptions, sample
from aligndiff_cli.models.segmenters import load_segmenter
from aligndiff_cli.models.segmenters.base import Segmenter
from aligndiff_cli.stages import make_stage
from aligndiff_cli.stages.common import POCKET, chunks, embedding_prompt, model_folder
from aligndiff_cli.stages.samples import read_samples

__all__ = [
    "compose",
    "generate",
    "invert",
    "load_model",
    "load_segmenter",
    "open_bank",
    "open_masks",
    "open_scenes",
    "refine",
    "run",
]


def load_model(source: str | Path = POCKET, **how: Any) -> DiffusionModel:
    """Load a text-to-image model.

    Args:
        source: a folder or hub id in diffusers' layout; "pocket" is the bundled one.
        how: ``device``, ``dtype``, ``offload``, ``vae_tiling``, ``compiled``: see `load_diffusion`.

    Raises:
        ModelError: it is not to be had, or none of a known family.
    """
    return load_diffusion(model_folder(str(source)), **how)


def invert(
    model: DiffusionModel, image: np.ndarray, mask: np.ndarray, name: str, *, seed: int = 0, **settings: Any
) -> bank.Embedding:
    """Learn v* from one image-mask pair: normalized masked textual inversion (paper 3.4, Eq. 3).

    Args:
        image: uint8 (H, W, 3).
        mask: bool (H, W), true on the object.
        name: the class, e.g. "chess queen".
        settings: fields of `InversionOptions`, such as ``steps=200``; the others are what suits the model.

    Raises:
        InputError: image and mask differ in size, or the name is too long for a prompt.
        ModelError: learning diverged.
    """
    options = suggested(model.defaults, **settings)
    height, width = model.image_size
    seen, seen_mask = framed(image, mask, height / width, options.framing)
    instance = inversion.Instance(class_words(name), (seen,), (seen_mask,))
    found = inversion.invert(model, [instance], options, [item_seed(seed, name)])[0]
    if found.diverged:
        raise ModelError(f"the embedding of {name} diverged", remedy="Use a lower learning_rate, or float32")
    header = {
        "class": name,
        "template": options.templates[0],
        "insertion": options.insertion,
        "model": model.fingerprint,
    }
    token = next(iter(bank.prompt_tokens([name]).values()))
    return bank.Embedding(token, found.embedding, header, model.embedding_parts)


def generate(
    model: DiffusionModel,
    name: str,
    embedding: bank.Embedding | None = None,
    n: int = 8,
    *,
    seed: int = 0,
    batch: int = 8,
    template: str = TEXT_TEMPLATE,
    **sampling: Any,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw images of a class, and the attention their pixels pay to its name (paper 3.6).

    Args:
        embedding: v*; None for a text prompt, ``template`` with the name in it.
        n: images.
        batch: images drawn at once.
        sampling: fields of `SampleOptions`, such as ``steps=20``; the others are what suits the model.

    Returns:
        images uint8 (n, h, w, 3), soft masks float32 (n, h, w) in [0, 1].
    """
    prompt = Prompt(template, class_words(name)) if embedding is None else embedding_prompt(embedding, name)
    drawn = []
    for numbers in chunks(range(n), batch):
        seeds = [item_seed(seed, f"{name}/{number}") for number in numbers]
        drawn.append(sample(model, [prompt] * len(seeds), seeds, SampleOptions(**sampling)))
    images, soft = zip(*drawn, strict=True)
    return np.concatenate(images), np.concatenate(soft)


def refine(
    segmenter: Segmenter,
    pairs: Sequence[tuple[np.ndarray, np.ndarray]],
    images: Sequence[np.ndarray],
    soft: Sequence[np.ndarray],
    *,
    threshold: float = 0.4,
    **algorithm: Any,
) -> list[np.ndarray]:
    """Masks of synthetic images by consensus with a few-shot segmenter: Algorithm 1 (paper 3.6).

    Args:
        pairs: the real ones: images uint8 (H, W, 3) of any sizes, masks bool (H, W).
        images: synthetic ones, uint8 (h, w, 3).
        soft: their soft masks (h, w) in [0, 1], or bool masks.
        threshold: where soft masks are cut.
        algorithm: ``alpha``, ``keep``, ``max_supports``: see `aligndiff_cli.method.consensus.refine`.

    Returns:
        One bool (h, w) per image; all false where nothing was found.
    """
    coarse = [np.asarray(one) >= threshold for one in soft]
    found = dict(consensus.refine(segmenter, pairs, images, coarse, **algorithm))
    return [found[index].mask for index in range(len(images))]


def compose(
    image: np.ndarray,
    labels: np.ndarray,
    objects: Sequence[tuple[np.ndarray, np.ndarray, int]],
    *,
    seed: int = 0,
    n_max: int = N_MAX,
    scale_range: tuple[float, float] = SCALE_RANGE,
) -> Scene:
    """Paste one to ``n_max`` of the objects onto a base image (paper D.2).

    Args:
        image, labels: uint8 (H, W, 3) and (H, W).
        objects: image uint8 (h, w, 3), mask bool (h, w) and class number of each, to draw from; those whose mask is
            empty are left out.
        seed: of how many, which, their scales and places.
        scale_range: lowest and highest scale; 1 fits an object's image into the base image.

    Returns:
        The scene: its image, its labels, and the visible part of each object.
    """
    pools: dict[int, list[Any]] = {}
    for number, (picture, mask, class_id) in enumerate(objects):
        if mask.any():
            pools.setdefault(class_id, []).append(cut_out(picture, mask, class_id, f"object {number}"))
    ordered = list(pools.values())
    layout = sample_layout(
        np.random.default_rng(seed),
        [(len(pool), 0) for pool in ordered],
        inverted_share=INVERTED_SHARE,
        n_max=n_max,
        scale_range=scale_range,
    )
    return paste(image, labels, [(ordered[place.class_index][place.sample_index], place) for place in layout])


def run(options: Options, *, force: bool = False, verify: bool = False, quiet: bool = False) -> Outcome:
    """Run a stage on folders, as its command does: what is done is kept.

    Args:
        options: e.g. ``ad.InvertOptions(images="support", out="bank")``; None in it leaves a setting to the model.
        force: make everything again.
        verify: read all files again, also those whose size and times are as they were.
        quiet: no progress bar.

    Returns:
        How many items were made and kept, what was skipped and why, and the stage's table.

    Raises:
        AligndiffError: what the command would print.
    """
    with closing(Bar(quiet)) as progress:
        return run_stage(make_stage(options), progress, force=force, verify=verify)


def open_bank(folder: str | Path) -> dict[str, bank.Embedding]:
    """The embeddings of a bank, by their ids (``"dog/01"``).

    Raises:
        FolderError: it is none.
        InputError: a file cannot be read.
    """
    folder = Path(folder)
    require_run(folder, "invert", "the bank")
    return {
        record.id: bank.read_embedding(contained(folder, name))
        for record in read_records(folder).values()
        for name in record.outputs
        if name.endswith(bank.SUFFIX)
    }


class Masks(Dataset[tuple[np.ndarray, np.ndarray, str]]):
    """Synthetic images, their masks and their classes; read when asked for.

    Item: image uint8 (H, W, 3), mask bool (H, W), class name.
    """

    def __init__(self, folder: Path) -> None:
        problems: list[InputError] = []
        self.samples = [sample for sample in read_samples(folder, problems) if sample.area > 0]
        self.problems = problems

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, str]:
        sample = self.samples[index]
        return *sample.load(), class_words(sample.cls)


def open_masks(folder: str | Path) -> Masks:
    """The output of `aligndiff mask` as a torch data set; samples whose mask is empty are left out.

    Raises:
        FolderError: it is none.
    """
    return Masks(Path(folder))


class Scenes(Dataset[tuple[Tensor, Tensor]]):
    """Pictures with label maps, as a segmentation model is trained on.

    Item: image uint8 (3, H, W), labels int64 (H, W), 255 for ignored pixels.

    Attributes:
        classes: names of classes 1, 2, ...; empty where the folder does not say.
    """

    def __init__(self, folder: Path, split: str) -> None:
        self._voc = open_voc(folder, split)
        self.classes = list(self._voc.classes or [])

    def __len__(self) -> int:
        return len(self._voc.stems)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        image, labels = self._voc.load(self._voc.stems[index])
        return torch.from_numpy(image).permute(2, 0, 1), torch.from_numpy(labels.astype(np.int64))


def open_scenes(folder: str | Path, split: str = "train") -> Scenes:
    """The output of `aligndiff compose`, or any folder in VOC's layout, as a torch data set.

    Raises:
        FolderError: it is none.
    """
    return Scenes(Path(folder), split)
