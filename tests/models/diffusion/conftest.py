"""One small random model per family, built once."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from aligndiff_cli.models.diffusion import DiffusionModel, load_diffusion
from tests.models.diffusion.families import FAMILIES


@pytest.fixture(scope="session")
def family_folder(tmp_path_factory: pytest.TempPathFactory):  # type: ignore[no-untyped-def]
    """By a family's name, the folder of its model."""

    @cache
    def build(name: str) -> Path:
        return FAMILIES[name](tmp_path_factory.mktemp("family") / "model")

    return build


@pytest.fixture(scope="session")
def family_model(family_folder):  # type: ignore[no-untyped-def]
    """By a family's name, its model."""

    @cache
    def load(name: str) -> DiffusionModel:
        return load_diffusion(family_folder(name), device="cpu")

    return load
