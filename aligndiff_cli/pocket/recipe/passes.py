"""Pictures and captions for a GPU, made by processes beside it: a pool that grows pass by pass.

A pass shows every drawing some times and one new variant of each as often. Its pictures are rendered into shared
memory; whoever trains encodes them and says how many passes there are. Captions are drawn of all of these.
"""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_int
from dataclasses import dataclass
from multiprocessing.context import BaseContext
from typing import Any

import numpy as np
from numpy.typing import NDArray
from transformers import CLIPTokenizer

from aligndiff_cli.datasets import emoji_classes as classes
from aligndiff_cli.datasets.emoji_classes import prompt_name
from aligndiff_cli.datasets.emoji_pictures import BACKGROUNDS
from aligndiff_cli.pocket.recipe.captions import GOOD, SIZES, draw_caption
from aligndiff_cli.pocket.recipe.diffusion import DiffusionOptions
from aligndiff_cli.pocket.recipe.drawings import STYLES, UNNAMED, Drawing
from aligndiff_cli.pocket.recipe.pictures import calm_picture
from aligndiff_cli.pocket.recipe.pool import weight
from aligndiff_cli.pocket.recipe.text import MAX_TOKENS
from aligndiff_cli.pocket.recipe.variants import variant

SLOTS = 2
"""Passes that are rendered, or wait to be encoded, at a time."""
PIECE = 60
"""Drawings of one job."""
VARIANT_SHARE = 0.3
"""Share of the samples that show variants."""

Captions = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int16], NDArray[np.int8], NDArray[np.bool_]]
"""Of some samples: picture, another picture of the same drawing, tokens (N, L), where looks go (-1: nowhere), bare."""


class Layout:
    """Where the pictures of each drawing, then of each drawing's variant, lie in a pass.

    Args:
        drawings: of the training artists.
        per_drawing: pictures of each; of a known class's twice as many.
        side: of the pictures.
    """

    def __init__(self, drawings: Sequence[Drawing], per_drawing: int, side: int) -> None:
        known = np.array([drawing.concept in classes.KNOWN for drawing in drawings])
        self.drawings, self.side = drawings, side
        self.counts = np.concatenate([np.where(known, 2, 1) * per_drawing, np.full(len(drawings), per_drawing)])
        self.starts = np.cumsum(self.counts) - self.counts
        self.size = int(self.counts.sum())

    def weights(self) -> NDArray[np.float64]:
        """How often each is shown: as in `pool`, and variants by `VARIANT_SHARE`."""
        own = np.array([weight(drawing.concept) for drawing in self.drawings])
        count = len(own)
        return np.concatenate([own / own.sum() * (1 - VARIANT_SHARE), np.full(count, VARIANT_SHARE / count)])


@dataclass(frozen=True)
class Shared:
    """What the processes share.

    Attributes:
        pictures: bytes of `SLOTS` passes.
        adjectives: a byte for each picture of every pass: background times 3, plus 1 if small, 2 if large.
        passes: how many there are to be drawn from.
    """

    pictures: Any
    adjectives: Any
    passes: Any

    @staticmethod
    def make(context: BaseContext, layout: Layout, passes: int) -> Shared:
        """Room for so many passes."""
        pixels = SLOTS * layout.size * layout.side**2 * 3
        return Shared(context.RawArray("B", pixels), context.RawArray("B", passes * layout.size), context.Value(c_int))

    def pixels(self, layout: Layout) -> NDArray[np.uint8]:
        """Pictures (`SLOTS`, size, side, side, 3)."""
        return np.frombuffer(self.pictures, np.uint8).reshape(SLOTS, layout.size, layout.side, layout.side, 3)

    def codes(self, layout: Layout) -> NDArray[np.uint8]:
        """Adjectives (passes, size)."""
        return np.frombuffer(self.adjectives, np.uint8).reshape(-1, layout.size)


def pieces(layout: Layout) -> list[tuple[int, int]]:
    """A pass as ranges of drawings and variants, a job each."""
    whole = len(layout.counts)
    return [(first, min(first + PIECE, whole)) for first in range(0, whole, PIECE)]


def render(shared: Shared, layout: Layout, jobs: Any, done: Any, seed: int) -> None:
    """A process that renders: jobs are (pass, first, end), None ends it; what is done goes to `done`."""
    pixels, codes, words = shared.pixels(layout), shared.codes(layout), list(BACKGROUNDS)
    while (job := jobs.get()) is not None:
        number, first, end = job
        for index in range(first, end):
            rng = np.random.default_rng([seed, number, index])
            drawing = layout.drawings[index % len(layout.drawings)]
            if index >= len(layout.drawings):
                drawing = variant(rng, drawing)
            for at in range(layout.starts[index], layout.starts[index] + layout.counts[index]):
                pixels[number % SLOTS, at], adjectives = calm_picture(rng, drawing, layout.side)
                background = next(place for place, word in enumerate(words) if word in adjectives)
                size = next((place for place, word in enumerate(SIZES, 1) if word in adjectives), 0)
                codes[number, at] = 3 * background + size
        done.put(job)


def caption(
    shared: Shared, layout: Layout, tokenizer: CLIPTokenizer, out: Any, count: int, seed: Sequence[int]
) -> None:
    """A process that puts `Captions` of `count` samples into `out`, for ever."""
    rng, weights = np.random.default_rng(seed), layout.weights()
    while True:
        out.put(draw(rng, shared.passes.value, shared.codes(layout), layout, weights, tokenizer, count))


def draw(
    rng: np.random.Generator,
    passes: int,
    codes: NDArray[np.uint8],
    layout: Layout,
    weights: NDArray[np.float64],
    tokenizer: CLIPTokenizer,
    count: int,
) -> Captions:
    """Random pictures of the first `passes`, each with another of the same drawing and a fresh caption.

    A variant is another one in each pass, so that its other picture is of the same pass.
    """
    real = len(layout.drawings)
    index = rng.choice(len(weights), count, p=weights / weights.sum())
    each = layout.counts[index]
    own_pass, own = rng.integers(0, passes, count), rng.integers(0, each)
    other_pass = np.where(index < real, rng.integers(0, passes, count), own_pass)
    other = rng.integers(0, each)
    other = np.where((other_pass == own_pass) & (other == own), (other + 1) % each, other)
    place = layout.starts[index]
    captions = []
    for number, code in zip(index.tolist(), codes[own_pass, place + own].tolist(), strict=True):
        drawing = layout.drawings[number % real]
        name = None if number >= real or drawing.concept in UNNAMED else prompt_name(drawing.concept)
        captions.append(draw_caption(rng, name, _words(drawing, code)))
    text = [one.text for one in captions]
    padded = tokenizer(text, padding="max_length", max_length=MAX_TOKENS, truncation=True, return_tensors="np")
    tokens = padded.input_ids
    good = (tokens == tokenizer.convert_tokens_to_ids(f"{GOOD}</w>")).argmax(1)
    looks = np.array([one.looks for one in captions])
    return (
        own_pass * layout.size + place + own,
        other_pass * layout.size + place + other,
        tokens.astype(np.int16),
        np.where(looks, good, -1).astype(np.int8),
        rng.random(count) < DiffusionOptions.bare_share,
    )


def _words(drawing: Drawing, code: int) -> list[str]:
    words = [STYLES[drawing.artist], list(BACKGROUNDS)[code // 3], GOOD]
    return [*words, SIZES[code % 3 - 1]] if code % 3 else words
