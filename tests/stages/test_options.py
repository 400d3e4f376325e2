"""What the options allow is what there is, and their defaults are those of the methods."""

from __future__ import annotations

from dataclasses import fields
from typing import get_args

import pytest

from aligndiff_cli.datasets.folds import LAYOUTS
from aligndiff_cli.datasets.fss_classes import SPLITS
from aligndiff_cli.engine.options import Options, options_of
from aligndiff_cli.method.framing import FRAMINGS
from aligndiff_cli.method.inversion import LossKind, MaskMode
from aligndiff_cli.method.prompts import Insertion
from aligndiff_cli.models.diffusion.defaults import ModelDefaults
from aligndiff_cli.models.diffusion.families import Precision
from aligndiff_cli.models.diffusion.inversion_options import InversionOptions
from aligndiff_cli.models.segmenters import SEGMENTERS
from aligndiff_cli.models.semantic.methods import METHODS
from aligndiff_cli.stages.options.compose import ComposeOptions
from aligndiff_cli.stages.options.evaluate import FssOptions, GfssOptions
from aligndiff_cli.stages.options.generate import GenerateOptions
from aligndiff_cli.stages.options.invert import InvertOptions
from aligndiff_cli.stages.options.mask import BASELINES, MaskOptions
from aligndiff_cli.stages.options.prepare import PrepareOptions
from aligndiff_cli.stages.prepare import DATASETS


@pytest.mark.parametrize(
    ("options", "name", "there_is"),
    [
        (InvertOptions, "loss", get_args(LossKind)),
        (InvertOptions, "insertion", get_args(Insertion)),
        (InvertOptions, "framing", FRAMINGS),
        (InvertOptions, "latent_mask", get_args(MaskMode)),
        (InvertOptions, "dtype", get_args(Precision)),
        (GenerateOptions, "dtype", get_args(Precision)),
        (MaskOptions, "segmenter", (*SEGMENTERS, *BASELINES)),
        (FssOptions, "segmenter", SEGMENTERS),
        (GfssOptions, "method", METHODS),
        (PrepareOptions, "dataset", DATASETS),
        (PrepareOptions, "split", SPLITS),
        (PrepareOptions, "fold_layout", LAYOUTS),
    ],
)
def test_choices_are_what_there_is(options: type[Options], name: str, there_is: tuple[str, ...]) -> None:
    (option,) = (option for option in options_of(options) if option.name == name)
    assert set(option.choices) == set(there_is)


NAMES = {"latent_mask": "mask_mode", "num_vectors": "vectors", "template": "templates"}


def test_an_inversion_without_flags_is_the_methods() -> None:
    method = {field.name: field.default for field in fields(InversionOptions)}
    for option in options_of(InvertOptions):
        name = NAMES.get(option.name, option.name)
        if name in method and option.default is not None:
            assert option.default == method[name], name


def test_settings_that_a_model_may_change_are_the_releases() -> None:
    method, model = InversionOptions(), ModelDefaults()
    assert (method.steps, method.learning_rate) == (model.inversion_steps, model.inversion_learning_rate)
    assert (method.batch, method.accumulation) == (model.inversion_batch, model.inversion_accumulation)


def test_the_papers_settings_are_the_defaults() -> None:
    defaults = {
        cls: {o.name: o.default for o in options_of(cls)} for cls in (InvertOptions, MaskOptions, ComposeOptions)
    }
    assert defaults[InvertOptions]["background_weight"] == 0.6  # Eq. 3
    assert defaults[InvertOptions]["per"] == "instance"  # 3.4
    assert defaults[MaskOptions]["consensus_iou"] == 0.8  # Algorithm 1
    assert defaults[MaskOptions]["keep"] == "coarse"
    assert defaults[ComposeOptions]["memory"] == 500  # D.2
