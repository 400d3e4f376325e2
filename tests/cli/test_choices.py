"""Where the paper, the release and this tool part ways there is a flag, and the run file says which way was taken."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from aligndiff_cli.disk.images import read_mask, write_png
from aligndiff_cli.method.framing import Framing, resized
from aligndiff_cli.models.diffusion import inversion_draws
from tests.cli.conftest import Run
from tests.cli.world import World

pytestmark = pytest.mark.slow


def options(folder: Path) -> dict[str, object]:
    return yaml.safe_load((folder / "run.yaml").read_text())["options"]


def test_an_embedding_is_learnt_from_a_window_or_from_the_whole_picture(
    world: World, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[tuple[int, int], Framing]] = []

    def noted(image: np.ndarray, height: int, width: int, framing: Framing) -> np.ndarray:
        seen.append((image.shape[:2], framing))
        return resized(image, height, width, framing)

    monkeypatch.setattr(inversion_draws, "resized", noted)
    command = ["invert", "--images", world / "support", "--model", world.model, "--steps", 1, "--preview", 0]
    run(*command, "--out", world / "window")
    assert {framing for _, framing in seen} == {"window"}
    assert all(height == width for (height, width), _ in seen)  # the model is square, the pictures are 36 x 48
    assert options(world / "window")["framing"] == "window"
    assert options(world / "window")["latent_mask"] == "nearest-exact"
    seen.clear()
    run(*command, "--out", world / "whole", "--framing", "whole", "--latent-mask", "nearest")
    assert set(seen) == {((36, 48), "whole")}
    assert options(world / "whole")["framing"] == "whole"
    assert options(world / "whole")["latent_mask"] == "nearest"
    output = run(*command, "--out", world / "whole", "--framing", "whole", code=1).output
    assert "latent_mask = nearest, now it is nearest-exact" in " ".join(output.split())
    for flag in ("--framing", "--latent-mask"):
        output = run(*command, "--out", world / "x", flag, "other", code=2).output
        assert "got 'other'" in output


def fss(world: World, out: str) -> list[object]:
    data = ["--support", world / "support", "--query", world / "query", "--out", world / out]
    return ["evaluate", "fss", *data, "--segmenter", "prototype", "--backbone", world.backbone]


def test_few_shot_segmentation_counts_queries_or_episodes(world: World, run: Run) -> None:
    def images(out: str, *flags: object) -> dict[str, int]:
        run(*fss(world, out), *flags)
        document = json.loads((world / out / "metrics.json").read_text())
        return {cls: rows["1R"]["counts"]["images"][cls] for cls, rows in document["runs"][0]["classes"].items()}

    assert images("queries") == {"chess_queen": 2, "dog": 2}
    found = images("episodes", "--episodes", 40)
    assert sum(found.values()) == 40
    assert min(found.values()) > 8
    assert found == images("again", "--episodes", 40)
    assert found != images("seeded", "--episodes", 40, "--seed", 1)
    assert list(images("one", "--episodes", 1).values()) == [1]
    assert options(world / "episodes")["episodes"] == 40
    assert "40 episodes" in (world / "episodes" / "table.md").read_text()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--episodes", 9, "--queries", 2], "so --queries has no meaning"),
        (["--shots", 1], "--shots goes with --episodes"),
        (["--episodes", 9, "--shots", 1, "--masks", "masks"], "they were made from all support pairs"),
    ],
)
def test_episodes_exclude_what_they_decide(world: World, run: Run, flags: list[object], message: str) -> None:
    output = run(*fss(world, "x"), *flags, code=2).output
    assert message in " ".join(output.replace("│", " ").split())


def test_a_coarse_map_is_cut_at_the_threshold_or_above_it(world: World, run: Run, synth: Path) -> None:
    levels = np.tile(np.array([101, 102, 103], np.uint8), (32, 16))
    write_png(synth / "coarse" / "dog" / "text-0.png", levels)
    command = ["mask", "--images", synth, "--segmenter", "attention", "--attention-threshold", 0.4]
    for cut, least in (("at-least", 102), ("above", 103)):
        run(*command, "--out", world / cut, "--coarse-cut", cut)
        found = read_mask(world / cut / "masks" / "dog" / "text-0.png")
        np.testing.assert_array_equal(found, levels >= least)
    # later stages cut the same maps at what the run file says
    assert options(world / "at-least")["attention_threshold"] == 0.4
    assert 102 / 255 < options(world / "above")["attention_threshold"] < 103 / 255  # type: ignore[operator]
    output = run(*command, "--out", world / "x", "--coarse-cut", "other", code=2).output
    assert "'--coarse-cut': expected one of at-least, above" in " ".join(output.replace("│", " ").split())


def test_a_folder_holds_one_precision_whatever_the_device_would_take(world: World, run: Run) -> None:
    invert = ["invert", "--images", world / "support", "--model", world.model, "--out", world / "bank"]
    run(*invert, "--steps", 1, "--preview", 0, "--dtype", "bfloat16")
    generate = ["generate", "--bank", world / "bank", "--out", world / "synth", "--per-class", 2, "--steps", 2]
    run(*generate, "--dtype", "bfloat16")
    for command, folder in ([*invert, "--steps", 1, "--preview", 0], "bank"), (generate, "synth"):
        assert options(world / folder)["dtype"] == "bfloat16"
        said = " ".join(run(*command, code=1).output.split())
        assert "dtype = bfloat16, now it is float32" in said  # what a CPU takes where nothing is said
        assert "0 made" in run(*command, "--dtype", "bfloat16").output
