"""Self-support matching on features small enough to follow by hand."""

from __future__ import annotations

import math

import pytest
import torch

from aligndiff_cli.models.segmenters import ssp
from aligndiff_cli.models.segmenters.ssp import (
    SspSettings,
    confident,
    joined,
    local_background,
    match,
    mixed_prototypes,
    reduced,
    similarity,
)


def proto(*values: float) -> torch.Tensor:
    return torch.tensor(values).view(1, -1, 1, 1)


def test_similarity_is_ten_cosines_background_first() -> None:
    query = torch.tensor([[3.0, 0.0, 1.0], [0.0, 2.0, 1.0]]).view(1, 2, 1, 3)
    logits = similarity(query, proto(5.0, 0.0), proto(0.0, 0.1), 10.0)
    half = 10 * 0.5**0.5
    torch.testing.assert_close(logits[0, 0, 0], torch.tensor([0.0, 10.0, half]))
    torch.testing.assert_close(logits[0, 1, 0], torch.tensor([10.0, 0.0, half]))


def test_confident_pixels_or_else_the_most_probable() -> None:
    probability = torch.tensor([[0.9, 0.2, 0.71, 0.7], [0.1, 0.3, 0.2, 0.25]])
    chosen = confident(probability, 0.7, 2)
    assert chosen.tolist() == [[True, False, True, False], [False, True, False, True]]
    assert confident(probability, 0.95, 12).all()


def test_local_background_attends_to_sure_pixels_only() -> None:
    flat = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])[None]
    sure = torch.tensor([[True, True, False]])
    found = local_background(flat, sure)
    share = math.exp(2) / (math.exp(2) + 1)
    torch.testing.assert_close(found[0, :, 0], torch.tensor([share, 1 - share]))
    torch.testing.assert_close(found[0, :, 1], torch.tensor([1 - share, share]))
    torch.testing.assert_close(found[0, :, 2], torch.tensor([share, 1 - share]))


def test_local_background_in_parts_is_that_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    flat, sure = torch.rand(2, 3, 11), torch.rand(2, 11) > 0.4
    whole = local_background(flat, sure)
    monkeypatch.setattr(ssp, "ATTENDING", 4)
    torch.testing.assert_close(local_background(flat, sure), whole)


def test_prototypes_mix_support_and_query() -> None:
    query = torch.tensor([[4.0, 0.0], [0.0, 2.0]]).view(1, 2, 1, 2)
    logits = torch.tensor([[-9.0, 9.0], [9.0, -9.0]]).view(1, 2, 1, 2)
    foreground, background = mixed_prototypes(query, proto(1.0, 1.0), logits, SspSettings())
    torch.testing.assert_close(foreground.flatten(), torch.tensor([2.5, 0.5]))
    # one sure background pixel: the global and the local prototype are both it
    torch.testing.assert_close(background, torch.tensor([0.0, 2.0]).view(1, 2, 1, 1).expand(1, 2, 1, 2))


def test_the_query_supports_itself() -> None:
    """The far part is nearer to the support's background, but nearer still to the near part."""
    near, far, ground = (1.0, 0.0, 0.2), (0.95, 0.25, 0.2), (0.0, 0.8, 1.0)
    columns = [near] * 3 + [far] * 3 + [ground] * 6
    query = torch.tensor(columns).T.reshape(1, 3, 1, 12)
    foreground, background = proto(1.0, -0.5, 0.0), proto(0.9, 0.6, 0.3)
    plain = similarity(query, foreground, background, 10.0).softmax(1)[0, 1, 0]
    matched = match(query, foreground, background, SspSettings(fallback=3)).softmax(1)[0, 1, 0]
    assert plain[:3].min() > 0.5 > plain[3:6].max()
    assert matched[:6].min() > 0.5
    assert matched[6:].max() < 0.5


def test_one_pass_without_refinement_is_the_first_share_of_two() -> None:
    torch.manual_seed(0)
    query, foreground, background = torch.rand(2, 4, 3, 5), torch.rand(2, 4, 1, 1), torch.rand(2, 4, 1, 1)
    settings = SspSettings(refine=False)
    first = match(query, foreground, background, settings)
    own = mixed_prototypes(query, foreground, similarity(query, foreground, background, 10.0), settings)
    torch.testing.assert_close(first, similarity(query, own[0], own[1], 10.0))
    again = mixed_prototypes(query, foreground, first, settings)
    sides = zip((foreground, background), own, again, strict=True)
    mixed = [0.5 * support + 0.2 * old + 0.3 * new for support, old, new in sides]
    expected = 0.7 * similarity(query, mixed[0], mixed[1], 10.0) + 0.3 * first
    torch.testing.assert_close(match(query, foreground, background, SspSettings()), expected)


@pytest.mark.parametrize("shape", [(2, 3), (4, 6)])
def test_joined_maps_are_unit_vectors_at_the_first_resolution(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    maps = joined([torch.rand(2, 5, 4, 6), torch.rand(2, 7, *shape)])
    assert maps.shape == (2, 12, 4, 6)
    torch.testing.assert_close(maps[:, :5].norm(dim=1), torch.ones(2, 4, 6))


@pytest.mark.parametrize(("channels", "dimensions"), [(40, 17), (18, 17), (17, 17), (9, 9)])
def test_fewer_dimensions_match_alike(channels: int, dimensions: int) -> None:
    torch.manual_seed(0)
    query, foreground = torch.randn(2, channels, 3, 5) + 0.5, torch.randn(1, channels, 1, 1)
    query[..., 1] = query[..., 0]
    background = torch.randn(1, channels, 1, 1) + 0.5
    small = reduced(query, foreground, background)
    assert small[0].shape == (2, dimensions, 3, 5)
    whole = match(query, foreground, background, SspSettings())
    torch.testing.assert_close(match(*small, SspSettings()), whole, atol=1e-4, rtol=1e-4)


def test_a_side_without_support_is_reduced_to_nothing() -> None:
    query, nothing = torch.rand(1, 30, 2, 3), torch.zeros(1, 30, 1, 1)
    small = reduced(query, nothing, query[..., :1, :1])
    torch.testing.assert_close(small[1], torch.zeros(1, 8, 1, 1))
    torch.testing.assert_close(small[2], small[0][..., :1, :1], atol=1e-5, rtol=1e-5)
