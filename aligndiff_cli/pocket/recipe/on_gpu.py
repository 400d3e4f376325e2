"""The training of `diffusion`, by the minute: a GPU that processes beside it keep fed."""

from __future__ import annotations

import math
import multiprocessing
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from diffusers import AutoencoderKL
from torch import Tensor

from aligndiff_cli.method.seeds import item_seed
from aligndiff_cli.models.training_state import save_state, step_of
from aligndiff_cli.pocket.recipe import passes
from aligndiff_cli.pocket.recipe.captions import known_words
from aligndiff_cli.pocket.recipe.captured import CapturedStep
from aligndiff_cli.pocket.recipe.denoiser import Denoiser, build_scheduler
from aligndiff_cli.pocket.recipe.diffusion import EMA_DECAY
from aligndiff_cli.pocket.recipe.drawings import NAMED, UNNAMED, load_drawings
from aligndiff_cli.pocket.recipe.passes import Layout, Shared
from aligndiff_cli.pocket.recipe.pictures import to_tensor
from aligndiff_cli.pocket.recipe.text import write_tokenizer
from aligndiff_cli.pocket.recipe.training import KEPT, Ema, ema_weights
from aligndiff_cli.pocket.recipe.vae import CHANNELS, FACTOR, trained_vae

SIDE = 64
STEPS_OF_PIECE = 32
"""Steps whose captions travel together."""
FIRST_PASSES = 3
"""Rendered before the training begins."""
LEVEL, WARM_UP_STEPS = 0.6, 1000
"""Share of the time at the peak rate, before the way down to nothing; steps of the way up."""
LINE_STEPS, SAVE_SECONDS = 1600, 110.0


@dataclass(frozen=True)
class GpuOptions:
    """How long, and on what.

    Attributes:
        minutes: of training.
        batch: samples per step.
        passes: most passes of pictures.
        per_drawing: pictures of each drawing in a pass.
        processes: that render; later a quarter renders on, and the others write captions.
        seed: of pictures and captions (noise is the device's own).
    """

    minutes: float
    batch: int
    passes: int
    per_drawing: int
    processes: int
    seed: int


def rate(share: float, step: int) -> float:
    """Share of the peak rate when this share of the time is over and so many steps are taken."""
    return min(1.0, (step + 1) / WARM_UP_STEPS) * min(1.0, max(0.0, (1 - share) / (1 - LEVEL)))


def train_on_gpu(icons: Path, work: Path, options: GpuOptions, device: torch.device) -> None:
    """Train from the averages of ``work/diffusion.safetensors``, or else the kept ones, with new moments.

    Writes the state there every two minutes, and at the end; `diffusion` can go on from it. What is learnt depends on
    the pace, so that two runs differ; ``diffusion`` repeats itself to the byte.
    """
    layout = Layout(load_drawings(icons, [*NAMED, *UNNAMED], SIDE), options.per_drawing, SIDE)
    tokenizer = write_tokenizer(work / "tokenizer", known_words())
    with _beside(layout, tokenizer, options) as (pool, feed, begin):
        vae = trained_vae(work, SIDE).to(device)
        latents = torch.empty(
            options.passes * layout.size, CHANNELS, SIDE // FACTOR, SIDE // FACTOR, dtype=torch.float16, device=device
        )
        while pool.shared.passes.value < min(FIRST_PASSES, options.passes):
            pool.encode(vae, latents, wait=True)
        torch.manual_seed(item_seed(options.seed, "gpu"))
        path = work / "diffusion.safetensors"
        model, taken = _model(path, tokenizer, device)
        ema = Ema(model, EMA_DECAY)
        scale = float(1 / latents[: layout.size : 16].float().std())
        alphas_bar = build_scheduler().alphas_cumprod.to(device)
        step = CapturedStep(model, ema.mean, latents, scale, alphas_bar, options.batch)
        begin()
        samples = _samples(feed, device, options.batch)

        def save(steps: int) -> None:
            save_state(path, model, step.optimizer, taken + steps, ema.mean)

        _run(step, samples, lambda: pool.encode(vae, latents), save, 60 * options.minutes)


def _model(path: Path, tokenizer: Any, device: torch.device) -> tuple[Denoiser, int]:
    """The networks as averaged so far, and the steps behind them."""
    model = Denoiser(tokenizer, CHANNELS, SIDE // FACTOR)
    found = path if path.exists() else KEPT / path.name
    taken = 0
    if found.exists():
        model.load_state_dict(ema_weights(found), strict=False)
        taken = step_of(found)
    return model.to(device).train(), taken


def _run(
    step: CapturedStep,
    samples: Iterator[list[Tensor]],
    encode: Callable[[], None],
    save: Callable[[int], None],
    seconds: float,
) -> None:
    """Train for so long; a loss that is not finite goes back to the averages noted last, at half the rate."""
    begun = last = saved = time.monotonic()
    losses: list[float] = []
    steps, good, cut = 0, step.averages(), 1.0
    while (share := (time.monotonic() - begun) / seconds) < 1:
        encode()
        for _ in range(STEPS_OF_PIECE):
            step.run(next(samples), cut * rate(share, steps))
            steps += 1
        loss = step.loss(STEPS_OF_PIECE)
        if math.isfinite(loss):
            losses.append(loss)
        else:
            step.restore(good)
            cut /= 2
            print(f"step {steps}: the loss is not finite; back to the averages before, at half the rate", flush=True)
        now = time.monotonic()
        if steps % LINE_STEPS == 0 and losses:
            pace = LINE_STEPS * step.batch / (now - last)
            print(f"step {steps} loss {sum(losses) / len(losses):.5f} {pace:.0f} samples/s", flush=True)
            last, losses, good = now, [], step.averages()
        if now - saved > SAVE_SECONDS:
            save(steps)
            saved = now
    save(steps)
    print(f"{steps} steps of {step.batch}", flush=True)


def _samples(feed: Any, device: torch.device, batch: int) -> Iterator[list[Tensor]]:
    """Batches on the device, their transfer a few pieces ahead."""
    ahead: queue.Queue[list[Tensor]] = queue.Queue(maxsize=6)

    def pump() -> None:
        while True:
            ahead.put([torch.from_numpy(part).to(device) for part in feed.get()])

    threading.Thread(target=pump, daemon=True).start()
    while True:
        piece = ahead.get()
        for first in range(0, STEPS_OF_PIECE * batch, batch):
            yield [part[first : first + batch] for part in piece]


class _Pool:
    """Passes that are asked for, rendered and encoded."""

    def __init__(self, shared: Shared, layout: Layout, jobs: Any, done: Any, count: int) -> None:
        self.shared, self._layout, self._jobs, self._done, self._count = shared, layout, jobs, done, count
        self._left = [len(passes.pieces(layout))] * count
        self._asked = 0
        for _ in range(min(passes.SLOTS, count)):
            self._ask()

    def _ask(self) -> None:
        for first, end in passes.pieces(self._layout):
            self._jobs.put((self._asked, first, end))
        self._asked += 1

    @torch.no_grad()
    def encode(self, vae: AutoencoderKL, latents: Tensor, wait: bool = False) -> None:
        """Take note of what is rendered; a whole pass is encoded, may be drawn from, and makes room for another."""
        while True:
            try:
                number = self._done.get(block=wait, timeout=1.0)[0]
            except queue.Empty:
                return
            self._left[number] -= 1
            if not self._left[number]:
                break
        pixels = self.shared.pixels(self._layout)[number % passes.SLOTS]
        for first in range(0, len(pixels), 1024):
            images = to_tensor(pixels[first : first + 1024].copy(), latents.device)
            place = number * len(pixels) + first
            latents[place : place + len(images)] = vae.encode(images).latent_dist.mean.half()
        self.shared.passes.value = number + 1  # jobs are taken in order, so that passes end in order
        if self._asked < self._count:
            self._ask()


@contextmanager
def _beside(layout: Layout, tokenizer: Any, options: GpuOptions) -> Iterator[tuple[_Pool, Any, Callable[[], None]]]:
    """The processes, forked before the device is touched; ends them whatever happens."""
    context = multiprocessing.get_context("fork")
    shared = Shared.make(context, layout, options.passes)
    jobs, done, feed, ready = context.Queue(), context.Queue(), context.Queue(maxsize=24), context.Event()
    stay = max(1, options.processes // 4)

    def write(number: int) -> None:
        ready.wait()
        count = STEPS_OF_PIECE * options.batch
        passes.caption(shared, layout, tokenizer, feed, count, [options.seed, number])

    def begin() -> None:
        for _ in range(options.processes - stay):
            jobs.put(None)
        ready.set()

    renderers = [
        context.Process(target=passes.render, args=(shared, layout, jobs, done, options.seed), daemon=True)
        for _ in range(options.processes)
    ]
    writers = [context.Process(target=write, args=(n,), daemon=True) for n in range(options.processes - stay)]
    for process in (*renderers, *writers):
        process.start()
    try:
        yield _Pool(shared, layout, jobs, done, options.passes), feed, begin
    finally:
        for process in (*renderers, *writers):
            process.kill()
