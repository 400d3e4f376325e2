"""The memory and the guided copy-paste of GAPS (Qiu et al., 2023), which AlignDiff's D.3 builds on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

MEMORY_SIZE = 500
QUOTA = 2
"""Places in the memory that each class may fill, over its even share, before the memory is cut to its size."""
SIMILAR_SHARE = 0.05
SCALE_RANGE = (0.1, 2.0)


def memory_scores(cosine: np.ndarray, area_ratio: np.ndarray) -> np.ndarray:
    """How well, and how compactly, each image shows a class: cosine / area ratio.

    Args:
        cosine: float (n,) in [-1, 1], of the image's class feature and the class weight.
        area_ratio: float (n,) in (0, 1], share of the image's pixels that the class covers.

    Returns:
        float (n,).

    Raises:
        ValueError: the shapes differ, or an area ratio is outside (0, 1].
    """
    cosine, area_ratio = np.asarray(cosine, dtype=np.float64), np.asarray(area_ratio, dtype=np.float64)
    if cosine.shape != area_ratio.shape:
        raise ValueError(f"expected one cosine per area ratio, got {cosine.shape} and {area_ratio.shape}")
    if not ((area_ratio > 0) & (area_ratio <= 1)).all():
        raise ValueError("expected area ratios in (0, 1]: an image without the class has no score")
    return cosine / area_ratio


def diverse_memory(
    scores: Mapping[int, Sequence[tuple[int, float]]], rng: np.random.Generator, size: int = MEMORY_SIZE
) -> list[int]:
    """Choose images that show every class at all levels of its score.

    Each class has 2 * (size // classes) places (at least 1, at most its number of images), since classes share images.
    Its images are sorted by score, the list is split into as many intervals of equal length (to within one), and one
    image is drawn from each. What there is too much of in the end is left out at random.

    Args:
        scores: for each class, its images as (index, score). A class without images has no place.
        rng: source of every random choice; the same state gives the same answer, whatever the order of the mapping
            and of its lists.
        size: most images in the memory, at least 1 (paper: 500).

    Returns:
        Distinct indices, class by class in ascending order; fewer than ``size`` only where classes share most of their
        images or run out of them.

    Raises:
        ValueError: ``size`` is below 1, or a score is not finite.
    """
    if size < 1:
        raise ValueError(f"the memory must hold at least 1 image, got {size}")
    filled = [c for c in sorted(scores) if len(scores[c])]
    chosen: dict[int, None] = {}
    for c in filled:
        chosen.update(dict.fromkeys(_one_per_interval(scores[c], max(1, QUOTA * (size // len(filled))), rng)))
    union = list(chosen)
    if len(union) <= size:
        return union
    return [union[k] for k in sorted(rng.choice(len(union), size, replace=False))]


def _one_per_interval(scored: Sequence[tuple[int, float]], places: int, rng: np.random.Generator) -> list[int]:
    """One image at random from each of ``places`` intervals of the list, sorted by score, highest first."""
    if not all(math.isfinite(score) for _, score in scored):
        raise ValueError("expected finite scores")
    ordered = [index for index, _ in sorted(scored, key=lambda pair: (-pair[1], pair[0]))]
    intervals = np.array_split(np.array(ordered), min(places, len(ordered)))
    return [int(part[rng.integers(len(part))]) for part in intervals]


def paste_probability(classes: int, shots: int, memory: int = MEMORY_SIZE) -> float:
    """p = 2r / (3r + 1) with r = max(1, sqrt(t / f)), the rarer a novel class, the more often it is pasted.

    Args:
        classes: number of classes seen so far, background left out, at least 1; t = 1 / classes is the share that each
            should have.
        shots: images of the novel class, at least 1; f = shots / memory is the share that it has.
        memory: images in the memory, at least 1 (paper: 500).

    Returns:
        A probability in [1/2, 2/3).

    Raises:
        ValueError: a number is below 1.
    """
    if min(classes, shots, memory) < 1:
        raise ValueError(f"expected numbers from 1, got {classes} classes, {shots} shots and a memory of {memory}")
    t, f = 1 / classes, shots / memory
    r = max(1.0, math.sqrt(t / f))
    return 2 * r / (3 * r + 1)


def most_similar(query: np.ndarray, scenes: np.ndarray, share: float = SIMILAR_SHARE) -> list[int]:
    """The scenes that are most like a picture: the guide of GAPS's guided paste.

    Args:
        query: float (D,), scene descriptor of the support image.
        scenes: float (N, D), those of the memory, N at least 1.
        share: how many of them, in (0, 1] (paper: 0.05): ceil(share * N).

    Returns:
        Indices into ``scenes``, the highest cosine to the query first; of equal ones the lower index. A zero
        descriptor has cosine 0.

    Raises:
        ValueError: the shapes do not fit, there is no scene, or the share is outside (0, 1].
    """
    if query.ndim != 1 or scenes.ndim != 2 or scenes.shape[1] != len(query) or not len(scenes):
        raise ValueError(f"expected a query (D,) and scenes (N, D), N from 1, got {query.shape} and {scenes.shape}")
    if not 0 < share <= 1:
        raise ValueError(f"expected a share in (0, 1], got {share}")
    cosine = (_unit(scenes) * _unit(query)).sum(axis=1)
    # rounded first, as 0.07 * 100 is a little more than 7
    count = math.ceil(round(share * len(scenes), 9))
    return [int(k) for k in np.argsort(-cosine, kind="stable")[: max(1, count)]]


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors (..., D) at length 1; zero stays zero."""
    vectors = vectors.astype(np.float64)
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(length > 0, length, 1.0)


def clamped_scale(
    rng: np.random.Generator,
    box: tuple[int, int],
    frame: tuple[int, int],
    low: float = SCALE_RANGE[0],
    high: float = SCALE_RANGE[1],
) -> float:
    """Scale of a pasted object: uniform in [low, high], then lowered to where its box fits wholly into the frame.

    Args:
        rng: source of the random choice; one number is drawn, whatever the sizes.
        box: (h, w) of the object in pixels.
        frame: (H, W) of the base image in pixels.
        low, high: positive (paper: 0.1 and 2.0).

    Returns:
        A scale of at most min(H / h, W / w); below ``low`` only where the object would not fit otherwise.

    Raises:
        ValueError: a side below 1 pixel, or a range that holds nothing.
    """
    if min(*box, *frame) < 1 or not 0 < low <= high:
        raise ValueError(
            f"expected sides from 1 and 0 < low <= high, got box {box}, frame {frame}, scale {low} to {high}"
        )
    return min(float(rng.uniform(low, high)), frame[0] / box[0], frame[1] / box[1])
