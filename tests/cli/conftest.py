"""The world of the whole-chain tests, and a way to run the command in this process."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.cli.world import World, build_backbone, draw_folders, draw_synth

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_backbone(tmp_path_factory.mktemp("models") / "backbone")


@pytest.fixture(autouse=True, scope="session")
def models_loaded_once() -> Iterator[None]:
    """Many commands in one process load the same model; once is enough for a test of the stages."""
    from aligndiff_cli.models.diffusion.load import load_diffusion
    from aligndiff_cli.stages import common
    from aligndiff_cli.stages.masking import grounding

    once = functools.cache(load_diffusion)
    with pytest.MonkeyPatch.context() as patch:
        for stage in (common, grounding):
            patch.setattr(stage, "load_diffusion", once)
        yield


@pytest.fixture
def world(tmp_path: Path, tiny_sd: Path, backbone: Path) -> World:
    draw_folders(tmp_path)
    return World(tmp_path, tiny_sd, backbone)


@pytest.fixture
def synth(world: World) -> Path:
    """Hand-made synthetic images with coarse maps."""
    return draw_synth(world / "synth", world.model)


@pytest.fixture
def run() -> Run:
    """Run ``aligndiff ARGUMENTS``; an exception that reaches the user as a traceback fails the test."""
    from aligndiff_cli.cli.main import app

    def call(*arguments: object, code: int = 0) -> Result:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert isinstance(result.exception, SystemExit | type(None)), result.exception
        assert result.exit_code == code, result.output
        return result

    return call
