"""The k-shot vote, by hand."""

from __future__ import annotations

import torch

from aligndiff_cli.method.voting import vote


def test_votes_are_shares_of_the_images_largest_vote() -> None:
    predictions = torch.tensor(
        [
            [[1, 1, 0], [0, 0, 0]],
            [[1, 1, 0], [0, 1, 0]],
            [[1, 0, 0], [0, 1, 0]],
            [[1, 0, 0], [0, 0, 1]],
        ],
        dtype=torch.bool,
    )
    expected = torch.tensor([[1.0, 0.5, 0.0], [0.0, 0.5, 0.25]])
    torch.testing.assert_close(vote(predictions), expected)


def test_no_vote_at_all_gives_zeros() -> None:
    assert vote(torch.zeros(3, 2, 5, dtype=torch.bool)).sum() == 0


def test_one_support_is_its_own_prediction() -> None:
    prediction = torch.rand(1, 4, 7) > 0.5
    assert torch.equal(vote(prediction) >= 0.5, prediction[0])


def test_images_are_normalised_apart() -> None:
    predictions = torch.zeros(2, 2, 1, 3, dtype=torch.bool)
    predictions[:, 0, 0, 0] = True
    predictions[0, 1, 0, 1] = True
    torch.testing.assert_close(vote(predictions)[:, 0], torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]))
