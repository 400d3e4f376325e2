"""Sampling: capture off and on, and the plain diffusers pipeline, in seconds per image.

    python tests/benchmarks/bench_sampling.py [MODEL_FOLDER] [--images 8] [--steps 10] [--rounds 3]

Without a folder a small random model is built. The best of the rounds counts; ratios are to plain diffusers.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from conftest import build_tiny_sd
from diffusers import StableDiffusionPipeline

from aligndiff_cli.method.prompts import Prompt
from aligndiff_cli.models.diffusion import SampleOptions, load_diffusion, sample


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--images", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.model or build_tiny_sd(Path(scratch) / "tiny")
        model = load_diffusion(folder)
        pipe = StableDiffusionPipeline.from_pretrained(
            folder, safety_checker=None, requires_safety_checker=False, torch_dtype=model.dtype
        ).to(model.device)
    pipe.set_progress_bar_config(disable=True)
    seeds = list(range(arguments.images))
    prompts = [Prompt("a photo of a {class}", "chess queen")] * arguments.images

    def diffusers() -> None:
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        text = [prompt.text for prompt in prompts]
        pipe(text, num_inference_steps=arguments.steps, generator=generators, output_type="np")

    def ours(capture: bool) -> Callable[[], None]:
        options = SampleOptions(steps=arguments.steps, guidance=7.5, scheduler=None, capture=capture)
        return lambda: void(sample(model, prompts, seeds, options))

    ways = {"plain diffusers": diffusers, "capture off": ours(False), "capture on": ours(True)}
    times = {name: [seconds(way) for _ in range(arguments.rounds)] for name, way in ways.items()}
    base = min(times["plain diffusers"])
    for name, taken in times.items():
        print(f"{name:16s} {min(taken) / arguments.images:8.4f} s per image   ratio {min(taken) / base:.2f}")


def seconds(way: Callable[[], None]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    way()
    return time.perf_counter() - start


def void(_result: object) -> None:
    """Drop a result."""


if __name__ == "__main__":
    main()
