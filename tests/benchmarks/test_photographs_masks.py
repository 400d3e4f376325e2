"""What the benchmark on photographs counts, on numbers small enough to follow by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import ResNetConfig, ResNetModel

from aligndiff_cli.method.consensus import refine
from aligndiff_cli.models.segmenters.backbone import Backbone
from aligndiff_cli.models.segmenters.ssp import SspSegmenter, SspSettings
from tests.benchmarks.activation_maps import Classifier, activation, most_probable
from tests.benchmarks.cached_ssp import CachedSsp, reduced
from tests.benchmarks.photographs_masks import draws
from tests.benchmarks.photographs_masks_tables import choose, gain, kept, overall, row_name

WEIGHT = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.5], [0.0, 0.0, 2.0], [0.0, 0.0, 0.0]])


def test_the_most_probable_classes_of_one_picture_and_of_several() -> None:
    features = torch.tensor([[[3.0, 0.0, 0.0]], [[0.0, 3.0, 0.0]], [[0.0, 0.0, 6.0]]])  # (3, 1, 3), means 1, 1, 2
    bias = torch.tensor([0.0, 0.0, 0.0, 9.0])
    # logits 1, 2, 4, and by its bias 9 for the class that looks at nothing
    assert most_probable([features], WEIGHT, bias, top=3).tolist() == [3, 2, 1]
    assert most_probable([features], WEIGHT, 0 * bias, top=2).tolist() == [2, 1]
    other = torch.tensor([30.0, 0.0, 0.0]).view(3, 1, 1).expand(3, 1, 3)  # logits 30, 0, 0, 0: class 0 for certain
    assert most_probable([features, other, other], WEIGHT, 0 * bias, top=2).tolist() == [0, 2]


def test_activation_is_the_largest_of_the_classes_maps() -> None:
    features = torch.tensor([[[4.0, 0.0, 0.0]], [[0.0, 2.0, 0.0]], [[0.0, 0.0, 8.0]]])
    assert activation(features, WEIGHT[:3]).tolist() == [[4.0, 2.0, 16.0]]
    assert activation(features, WEIGHT[1:]).tolist() == [[0.0, 2.0, 16.0]]


def network() -> Backbone:
    torch.manual_seed(0)
    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 12, 16, 20], depths=[1, 1, 1, 1], layer_type="basic")
    return Backbone(ResNetModel(config), [0.5] * 3, [0.3] * 3)


def test_a_coarse_mask_has_the_pictures_size_and_is_neither_empty_nor_all() -> None:
    image = np.random.default_rng(1).integers(0, 256, (40, 70, 3), dtype=np.uint8)
    classifier = Classifier(network(), torch.randn(5, 20), torch.zeros(5))
    for ask in ("picture", "class"):
        first, second = classifier.coarse([image, image[:, :30]], 64, ask)
        assert (first.shape, second.shape) == ((40, 70), (40, 30))
        assert 0 < first.sum() < first.size


def test_reduced_vectors_have_the_same_inner_products() -> None:
    torch.manual_seed(0)
    query, prototypes = torch.randn(50, 6), torch.randn(50, 2)
    vectors = reduced(query, (query.T @ query).double(), prototypes)
    assert vectors.shape == (8, 8)
    both = torch.cat([query, prototypes], 1)
    torch.testing.assert_close(vectors.T @ vectors, both.T @ both, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize("keep", ["coarse", "prediction"])
def test_cached_ssp_answers_as_ssp_does(keep) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (48 + 8 * i, 72, 3), dtype=np.uint8) for i in range(4)]
    masks = [np.arange(72) < 30 + np.zeros((len(image), 1)) for image in images]
    for image, mask in zip(images, masks, strict=True):
        image[mask] //= 3
    segmenter = SspSegmenter(network(), 96, SspSettings(stages=(3, 4)))
    cached = CachedSsp(segmenter)
    pairs = list(zip(images, masks, strict=True))
    state, plain = cached.join([cached.condition([pair]) for pair in pairs[:2]]), segmenter.condition(pairs[:2])
    for mine, theirs in zip(cached.predict(state, images), segmenter.predict(plain, images), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=2e-3)
        assert theirs.max() - theirs.min() > 0.05
    coarse = [np.roll(mask, 3, 1) for mask in masks[1:]]
    refined = [dict(refine(way, pairs[:1], images[1:], coarse, alpha=0.5, keep=keep)) for way in (cached, segmenter)]
    for index in range(3):
        assert refined[0][index].accepted == refined[1][index].accepted
        assert (refined[0][index].mask != refined[1][index].mask).mean() < 0.01


def test_draws_part_the_photographs() -> None:
    things = list("abcdefg")
    found = list(draws(things, "dog", 2, 4))
    assert [len(real) for real, _ in found] == [2] * 4
    assert all(sorted(real + others) == things for real, others in found)
    assert len({tuple(real) for real, _ in found}) > 1


RESULTS = {
    "cat": {
        "1 a": [[(0.2, True), (0.4, False)], [(0.6, False)]],
        "1 b": [[(0.1, False), (0.3, False)], [(0.3, False)]],
    },
    "dog": {"1 a": [[(0.5, True)], [(0.8, False)]], "1 b": [[(0.5, False)], [(0.5, False)]]},
}


def test_pictures_then_classes_are_averaged_and_draws_spread() -> None:
    # draw 1: cat 0.3, dog 0.5; draw 2: cat 0.6, dog 0.8
    spread = overall(RESULTS, ["cat", "dog"], "1 a")
    assert spread.mean == pytest.approx(55.0)
    assert spread.sd == pytest.approx(15 * 2**0.5)
    assert overall(RESULTS, ["dog"], "1 a").mean == pytest.approx(65.0)


def test_a_gain_is_taken_draw_by_draw() -> None:
    # draw 1: 0.4 - 0.35; draw 2: 0.7 - 0.4
    spread = gain(RESULTS, ["cat", "dog"], "1 a", "1 b")
    assert spread.mean == pytest.approx(17.5)
    assert spread.sd == pytest.approx(12.5 * 2**0.5)


def test_what_was_kept_beside_what_the_other_makes_of_it() -> None:
    share, *ious = kept(RESULTS, ["cat", "dog"], "1 a", "1 b")
    assert share == pytest.approx(40.0)
    assert ious == pytest.approx([35.0, 30.0, 60.0, 110 / 3])
    assert all(np.isnan(kept(RESULTS, ["cat", "dog"], "1 b", "1 a")[1:3]))


def test_the_setting_is_chosen_over_one_and_five_shots() -> None:
    def value(shots: int, name: str) -> float:
        if name == row_name("class", 0.6, "prediction"):
            return 0.5
        return 0.9 if (shots, name) == (5, row_name("class", 0.9, "coarse")) else 0.01

    names = [row_name("class", alpha, keep) for keep in ("coarse", "prediction") for alpha in (0.5, 0.6, 0.7, 0.8, 0.9)]
    rows = {f"{shots} {name}": [[(value(shots, name), False)]] for shots in (1, 5) for name in names}
    assert choose({"cat": rows}, ["cat"], "class") == (0.6, "prediction")
