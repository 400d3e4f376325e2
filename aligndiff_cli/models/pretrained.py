"""Networks in transformers' layout: their files, their preprocessing, and their weights, none of them made up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel
from transformers.utils import logging as hf_logging

from aligndiff_cli.errors import ModelError, first_line

PREPROCESSING, PROCESSOR = "preprocessor_config.json", "processor_config.json"
REMEDY = "Give a folder in transformers' layout, or a hub name that can be reached."


def pretrained(network: type[PreTrainedModel], folder: Path, **settings: object) -> PreTrainedModel:
    """The network with the folder's weights, none of them made up.

    Raises:
        ModelError: they cannot be read, or some are missing.
    """
    try:
        with quiet():
            net, about = network.from_pretrained(folder, dtype=torch.float32, output_loading_info=True, **settings)
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(
            f"the weights cannot be read ({first_line(error)})",
            folder,
            "Give a folder with config.json and model.safetensors, or a hub name that can be reached.",
        ) from error
    # norms over the stages are the backbone classes' own; in no checkpoint of a classifier, they start as identities;
    # counts of seen batches are in no old file, and frozen statistics need none
    needless = ("hidden_states_norms", "num_batches_tracked")
    missing = sorted(key for key in about["missing_keys"] if not any(part in key for part in needless))
    if missing:
        raise ModelError(f"the file lacks {len(missing)} weights, e.g. {missing[0]}", folder, REMEDY)
    return net


def normalisation(folder: Path) -> tuple[list[float], list[float]]:
    """Mean and deviation per channel on the [0, 1] scale, whatever scale the folder's preprocessing is written for.

    Raises:
        ModelError: the folder does not say.
    """
    settings = preprocessing(folder)
    mean, std = settings.get("image_mean"), settings.get("image_std")
    if not (isinstance(mean, list) and isinstance(std, list) and len(mean) == len(std) == 3 and all(std)):
        raise ModelError(f"{PREPROCESSING} holds no image_mean and image_std of three channels", folder)
    scale = settings.get("rescale_factor", 1 / 255) if settings.get("do_rescale", True) else 1.0
    # (255 x scale - mean) / std for x in [0, 1], brought to the form (x - m) / s
    factor = 255.0 * scale
    return [float(m) / factor for m in mean], [float(s) / factor for s in std]


def preprocessing(folder: Path) -> dict:
    """Settings of the image processor, in a file of their own or within the processor's, as newer libraries write."""
    if (folder / PREPROCESSING).is_file() or not (folder / PROCESSOR).is_file():
        return read_json(folder, PREPROCESSING)
    settings = read_json(folder, PROCESSOR).get("image_processor")
    return settings if isinstance(settings, dict) else {}


def read_json(folder: Path, name: str) -> dict:
    """A JSON object of the folder.

    Raises:
        ModelError: there is none that can be read.
    """
    try:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{name} cannot be read", folder, REMEDY) from error
    if not isinstance(content, dict):
        raise ModelError(f"{name} is not a JSON object", folder)
    return content


@contextmanager
def quiet() -> Iterator[None]:
    """No loading bars and no report on the classifier head that is left out on purpose."""
    level, bars = hf_logging.get_verbosity(), hf_logging.is_progress_bar_enabled()
    hf_logging.set_verbosity_error()
    hf_logging.disable_progress_bar()
    try:
        yield
    finally:
        hf_logging.set_verbosity(level)
        if bars:
            hf_logging.enable_progress_bar()
