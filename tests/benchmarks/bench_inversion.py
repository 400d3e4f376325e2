"""Inversion: several instances in one batch against one at a time, in seconds per instance and step.

    python tests/benchmarks/bench_inversion.py [MODEL_FOLDER] [--instances 4] [--steps 10]

Without a folder a small random model is built. Both ways do the same work; the ratio is printed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from conftest import build_tiny_sd

from aligndiff_cli.models.diffusion import Instance, InversionOptions, invert, load_diffusion


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", nargs="?", type=Path)
    parser.add_argument("--instances", type=int, default=4)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--batch", type=int, default=4)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        model = load_diffusion(arguments.model or build_tiny_sd(Path(scratch) / "tiny"))
    rng = np.random.default_rng(0)
    size = model.image_size
    instances = [
        Instance("dog", (rng.integers(0, 256, (*size, 3), dtype=np.uint8),), (rng.random(size) > 0.5,))
        for _ in range(arguments.instances)
    ]
    options = InversionOptions(steps=arguments.steps, batch=arguments.batch, accumulation=1)
    invert(model, instances[:1], InversionOptions(steps=1, batch=arguments.batch, accumulation=1), [0])

    start = time.perf_counter()
    together = invert(model, instances, options, list(range(len(instances))))
    joint = time.perf_counter() - start
    start = time.perf_counter()
    alone = [invert(model, [instance], options, [i])[0] for i, instance in enumerate(instances)]
    separate = time.perf_counter() - start

    apart = max(float((a.embedding - b.embedding).abs().max()) for a, b in zip(together, alone, strict=True))
    count = len(instances) * options.steps
    print(f"one at a time   {separate / count * 1000:8.1f} ms per instance and step")
    print(f"in one batch    {joint / count * 1000:8.1f} ms per instance and step")
    print(f"ratio           {separate / joint:8.2f}  (embeddings differ by at most {apart:.1e})")


if __name__ == "__main__":
    main()
