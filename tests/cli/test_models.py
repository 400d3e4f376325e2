"""Models of several text encoders through the commands, and the flags on memory and speed."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import yaml
from safetensors import safe_open

from tests.cli.conftest import Run
from tests.cli.world import World
from tests.models.diffusion.families import FAMILIES

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("name", "keys"),
    [("sdxl", {"clip_l": (2, 32), "clip_g": (2, 16)}), ("sd3", {"clip_l": (2, 32), "clip_g": (2, 16), "t5": (2, 64)})],
)
def test_a_bank_of_several_encoders_is_written_and_drawn_from(world: World, run: Run, name: str, keys: dict) -> None:
    model, bank, synth = FAMILIES[name](world / "model"), world / "bank", world / "synth"
    resources = ["--offload", "--vae-tiling"]
    inverted = ["invert", "--images", world / "support", "--model", model, "--out", bank]
    run(*inverted, "--steps", 1, "--batch", 1, "--num-vectors", 2, "--preview", 0, *resources)
    with safe_open(bank / "dog" / "01.safetensors", framework="pt") as file:
        assert {key: tuple(file.get_tensor(key).shape) for key in file.keys()} == keys  # noqa: SIM118 - not a dict
        header = json.loads(file.metadata()["aligndiff"])
    assert (header["token"], header["class"]) == ("<dog/01>", "dog")
    drawn = ["generate", "--bank", bank, "--out", synth, "--per-class", 2, "--steps", 1, "--height", 40, "--width", 24]
    run(*drawn, *resources)
    assert sorted(path.name for path in (synth / "images" / "dog").iterdir()) == ["inverted-0000.png", "text-0000.png"]
    options = yaml.safe_load((synth / "run.yaml").read_text())["options"]
    assert options["vae_tiling"] is True
    assert not {"offload", "compile"} & options.keys()
    # where the networks are is not part of the result; tiles are
    assert "0 made, 4 already there" in run(*drawn, "--vae-tiling").output
    assert "vae_tiling" in run(*drawn, code=1).output


def test_what_the_package_announces_is_shown_once_and_not_when_quiet(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from aligndiff_cli.stages import common

    load = common.load_diffusion
    said = "Downloading owner/name (4.3 GB) to ~/.cache/huggingface/hub"

    def announcing(*source: Path, **told: object) -> object:
        logging.getLogger("aligndiff_cli.models.hub").info(said)
        return load(*source, **told)

    monkeypatch.setattr(common, "load_diffusion", announcing)
    command = ["invert", "--images", world / "support", "--model", world.model, "--steps", 1, "--preview", 0]
    logging.getLogger("aligndiff_cli").setLevel(logging.NOTSET)
    quiet = run(*command, "--out", world / "a", "--quiet")
    assert said not in quiet.output + capsys.readouterr().err
    shown = run(*command, "--out", world / "b")
    assert (shown.output + capsys.readouterr().err).count(said) == 1
