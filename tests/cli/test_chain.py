"""The five stages, one after another, through the command line on a tiny random model."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aligndiff_cli.disk import voc
from aligndiff_cli.engine.manifest import read_records
from tests.cli.conftest import Run
from tests.cli.world import World, draw_bank

pytestmark = pytest.mark.slow

STAGES = ("bank", "synth", "masks", "scenes", "results")


def commands(world: World, tree: str) -> dict[str, list[object]]:
    """The chain's commands, by the folder each writes."""
    out = world / tree
    few_shot = ["--segmenter", "prototype", "--backbone", world.backbone, "--segmenter-size", 64]
    return {
        "bank": [
            "invert",
            "--images",
            world / "support",
            "--out",
            out / "bank",
            "--model",
            world.model,
            "--steps",
            3,
            "--lr",
            0.01,
            "--batch",
            2,
            "--gradient-accumulation",
            1,
            "--instances",
            1,
            "--preview",
            1,
        ],
        "synth": [
            "generate",
            "--bank",
            out / "bank",
            "--out",
            out / "synth",
            "--per-class",
            6,
            "--steps",
            2,
            "--batch",
            2,
            "--height",
            24,
            "--width",
            40,
        ],
        "masks": [
            "mask",
            "--images",
            out / "synth",
            "--support",
            world / "support",
            "--out",
            out / "masks",
            "--consensus-iou",
            0.05,
            *few_shot,
        ],
        "scenes": [
            "compose",
            "--foregrounds",
            out / "masks",
            "--base",
            world / "base",
            "--out",
            out / "scenes",
            "--support",
            world / "support",
            "--count",
            5,
            "--memory",
            3,
            "--format",
            "coco",
            "--min-area",
            4,
        ],
        "results": [
            "evaluate",
            "fss",
            "--support",
            world / "support",
            "--query",
            world / "query",
            "--masks",
            out / "masks",
            "--synthetic",
            4,
            "--beta",
            0,
            "--out",
            out / "results",
            *few_shot,
        ],
    }


def tree_bytes(folder: Path) -> dict[str, bytes]:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".files."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_chain_runs_and_runs_again_without_work(world: World, run: Run) -> None:
    for arguments in commands(world, "a").values():
        first = run(*arguments)
        assert "Results:" in first.output
    before = tree_bytes(world / "a")
    for arguments in commands(world, "a").values():
        assert "0 made" in run(*arguments).output
    assert tree_bytes(world / "a") == before

    images = sorted((world / "a" / "synth" / "images").rglob("*.png"))
    assert len(images) == 12
    assert np.asarray(Image.open(images[0])).shape == (24, 40, 3)
    kinds = [record.parameters["kind"] for record in read_records(world / "a" / "synth").values()]
    assert kinds.count("inverted") == kinds.count("text") == 6
    masks = sorted((world / "a" / "masks" / "masks").rglob("*.png"))
    assert len(masks) == 12
    assert set(np.unique(np.asarray(Image.open(masks[0])))) <= {0, 255}
    metrics = json.loads((world / "a" / "results" / "metrics.json").read_text())
    assert next(iter(metrics["rows"])) == "1R"
    assert len(metrics["rows"]) == 4
    status = run("status", *(world / "a" / name for name in STAGES))
    assert "12" in status.output


def test_a_rerun_with_nothing_to_do_loads_no_torch_and_draws_nothing(world: World, run: Run) -> None:
    chain = commands(world, "a")
    exported = ["export", "--masks", world / "a" / "masks", "--out", world / "a" / "set"]
    for arguments in chain.values():
        run(*arguments)
    assert not loaded("a command that makes scenes", [*chain["scenes"][:-4], "--out", world / "a" / "voc"])
    assert not loaded("one that exports", exported)
    before = {path: path.stat().st_mtime_ns for path in (world / "a").rglob("pictures/**/*.png")}
    assert len(before) > len(STAGES)
    for arguments in (*chain.values(), exported, ["status", *(world / "a" / name for name in STAGES)]):
        assert not loaded(arguments[0], arguments)
    assert {path: path.stat().st_mtime_ns for path in (world / "a").rglob("pictures/**/*.png")} == before
    next(iter(before)).unlink()
    for name in STAGES:
        run(*chain[name])
    assert before.keys() == set((world / "a").rglob("pictures/**/*.png"))


def loaded(what: object, arguments: Sequence[object]) -> str:
    """Which of the libraries that take seconds a command loads in a process of its own."""
    program = (
        "import sys; sys.argv = ['aligndiff'] + sys.argv[1:]\n"
        "from aligndiff_cli.cli.main import app\n"
        "try:\n    app()\nexcept SystemExit as done:\n    assert not done.code\n"
        "print('loaded', *sorted({'torch', 'diffusers', 'transformers', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, f"{what}: {done.stderr}"
    return done.stdout.splitlines()[-1].removeprefix("loaded").strip()


def test_images_asked_for_later_equal_those_asked_for_at_once(world: World, run: Run) -> None:
    draw_bank(world / "bank", world.model)
    draw = ["generate", "--bank", world / "bank", "--steps", 2, "--batch", 4, "--height", 24, "--width", 40]
    run(*draw, "--out", world / "once", "--per-class", 12)
    for count in (2, 6, 12):
        run(*draw, "--out", world / "grown", "--per-class", count)
    once, grown = (tree_bytes(world / name) for name in ("once", "grown"))
    differing = [name for name in once if once[name] != grown[name]]
    assert not differing


def test_another_seed_gives_other_pictures_and_the_same_seed_the_same(world: World, run: Run) -> None:
    seeds = {}
    for tree, seed in (("a", 1), ("b", 1), ("c", 2)):
        for name in ("bank", "synth"):
            run(*commands(world, tree)[name], "--seed", seed)
        seeds[tree] = tree_bytes(world / tree / "synth" / "images")
    assert seeds["a"] == seeds["b"]
    assert seeds["a"].keys() == seeds["c"].keys()
    assert all(seeds["a"][name] != seeds["c"][name] for name in seeds["a"])


def test_the_embedding_opens_with_diffusers_and_draws_the_same_picture(world: World, run: Run) -> None:
    import torch
    from diffusers import StableDiffusionPipeline

    from aligndiff_cli.disk.bank import read_embedding
    from aligndiff_cli.method.prompts import Prompt
    from aligndiff_cli.models.diffusion import SampleOptions, load_diffusion, sample

    run(*commands(world, "a")["bank"])
    path = world / "a" / "bank" / "chess_queen" / "01.safetensors"
    embedding = read_embedding(path)
    ours, _ = sample(
        load_diffusion(world.model),
        [Prompt("a photo of a {v*} {class}", "chess queen", embedding.vectors)],
        [5],
        SampleOptions(steps=2, guidance=3.0, capture=False),
    )
    pipe = StableDiffusionPipeline.from_pretrained(world.model)
    pipe.load_textual_inversion(path)
    theirs = pipe(
        f"a photo of a {embedding.token} chess queen",
        num_inference_steps=2,
        guidance_scale=3.0,
        generator=torch.Generator().manual_seed(5),
        output_type="np",
    ).images[0]
    assert np.abs(theirs * 255 - ours[0].astype(float)).max() <= 1.0


def test_killed_stages_run_again_give_the_bytes_of_uninterrupted_ones(world: World, run: Run) -> None:
    """SIGKILL as soon as the first record is there, in another process; then the same command again."""
    for stage, arguments in commands(world, "a").items():
        folder = world / "a" / stage
        kill_after_first_record(arguments, folder)
        assert not (folder / "pictures" / "scenes.png").exists(), "it ended before it was killed"
        run(*arguments)
        resumed = tree_bytes(folder)
        run(*arguments, "--force")
        assert tree_bytes(folder) == resumed


def kill_after_first_record(arguments: list[object], folder: Path) -> None:
    """Run a command in another process and kill it once its first item is committed."""
    program = [sys.executable, "-m", "aligndiff_cli.cli.main", *map(str, arguments)]
    child = subprocess.Popen(program, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    manifest = folder / "manifest.jsonl"
    while child.poll() is None and not (manifest.exists() and manifest.stat().st_size):
        time.sleep(0.002)
    child.kill()
    assert child.wait() == -signal.SIGKILL


def test_gfss_learns_from_the_samples_and_scenes_of_a_chain(world: World, run: Run) -> None:
    chain = commands(world, "tree")
    for stage in ("bank", "synth", "masks", "scenes"):
        run(*chain[stage])
    voc.write_split(world / "base", "val", ["base0", "base1"])
    common: list[object] = ["evaluate", "gfss", "--base", world / "base", "--query", world / "base"]
    common += ["--support", world / "support", "--base-model", world / "base-model", "--backbone", world.backbone]
    common += ["--epochs", 1, "--base-batch", 2, "--iterations", 2, "--batch", 2, "--crop", 32]
    sources: dict[str, list[object]] = {
        "pasted": ["--masks", world / "tree/masks", "--per-class", 4],
        "plain": ["--masks", world / "tree/masks", "--layout", "plain", "--conditioning", "text"],
        "scenes": ["--scenes", world / "tree/scenes", "--layout", "scenes"],
    }
    inputs = {}
    for name, flags in sources.items():
        for method in ("gaps", "finetune"):
            run(*common, *flags, "--method", method, "--out", world / f"{name}-{method}")
            assert "after the last step" in (world / f"{name}-{method}" / "table.md").read_text()
        (record,) = read_records(world / f"{name}-gaps").values()
        inputs[name] = set(record.inputs)
    assert "set of samples" in inputs["pasted"] & inputs["plain"]
    assert "set of scenes" in inputs["scenes"]


def test_fss_over_several_runs_equals_the_runs_one_by_one(world: World, run: Run) -> None:
    chain = commands(world, "a")
    (flags,) = [arguments for name, arguments in chain.items() if name == "results"]
    for name in ("bank", "synth", "masks"):
        run(*chain[name])
    for number, cls in enumerate(sorted(path.name for path in (world / "support").iterdir())):
        # each run has one class as its support
        shutil.copytree(world / "support" / cls, world / f"support-{number}" / cls)
    single = {}
    for number in range(2):
        own = [world / f"support-{number}" if word == world / "support" else word for word in flags]
        own[own.index(world / "a" / "results")] = world / f"single-{number}"
        run(*own, "--seed", number, code=1)  # the other class is named as missing
        single[number] = json.loads((world / f"single-{number}" / "metrics.json").read_text())
    both = [world / "support-{run}" if word == world / "support" else word for word in flags]
    run(*both, "--runs", 2, code=1)
    document = json.loads((world / "a" / "results" / "metrics.json").read_text())
    for number in range(2):
        assert document["runs"][number] == {**single[number]["runs"][0], "run": number}
    means = [one["rows"]["1R"]["miou"]["mean"] for one in single.values()]
    assert document["rows"]["1R"]["miou"]["mean"] == pytest.approx(sum(means) / 2)
    assert "0 made" in run(*both, "--runs", 2, code=1).output
    assert "Give a folder each, with {run} in --support" in run(*flags, "--runs", 2, code=2).output


def test_a_second_run_keeps_the_first(world: World, run: Run) -> None:
    for number in range(2):
        shutil.copytree(world / "support", world / f"support-{number}")
    flags = ["--support", world / "support-{run}", "--query", world / "query", "--segmenter", "prototype"]
    common = ["evaluate", "fss", *flags, "--backbone", world.backbone, "--segmenter-size", 64]
    assert "2 made, 0 already there" in run(*common, "--runs", 1, "--out", world / "grown").output
    before = {path: path.stat().st_mtime_ns for path in (world / "grown/classes").rglob("*.json")}
    assert len(before) == 2
    assert "2 made, 2 already there" in run(*common, "--runs", 2, "--out", world / "grown").output
    assert {path: path.stat().st_mtime_ns for path in before} == before
    run(*common, "--runs", 2, "--out", world / "whole")
    grown, whole = (json.loads((world / out / "metrics.json").read_text()) for out in ("grown", "whole"))
    assert grown == whole
    assert [one["run"] for one in grown["runs"]] == [0, 1]


def test_a_run_with_more_real_pairs_joins_those_that_are_done(world: World, run: Run) -> None:
    for number in range(2):
        shutil.copytree(world / "support", world / f"support-{number}")
    for cls in ("dog", "chess_queen"):
        for ending in ("jpg", "png"):
            shutil.copy(world / "support-1" / cls / f"01.{ending}", world / "support-1" / cls / f"02.{ending}")
    flags = ["--support", world / "support-{run}", "--query", world / "query", "--segmenter", "prototype"]
    flags += ["--backbone", world.backbone, "--segmenter-size", 64]
    common = ["evaluate", "fss", *flags]
    shutil.copytree(world / "support-1", world / "support-2")
    shutil.rmtree(world / "support-1")
    shutil.copytree(world / "support-0", world / "support-1")
    run(*common, "--runs", 2, "--out", world / "grown")
    for out in ("grown", "whole"):
        run(*common, "--runs", 3, "--out", world / out)
    grown, whole = (json.loads((world / out / "metrics.json").read_text()) for out in ("grown", "whole"))
    assert list(grown["rows"]) == ["R"]
    assert grown == whole
