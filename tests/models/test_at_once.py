"""Batches that are halved where memory runs out."""

from __future__ import annotations

import pytest
import torch

from aligndiff_cli.models.at_once import AtOnce


class Device:
    """Has room for so many items at once."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.tried: list[int] = []

    def work(self, items: str) -> str:
        self.tried.append(len(items))
        if len(items) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return items.upper()


@pytest.mark.parametrize(
    ("most", "room", "found", "tried", "size"),
    [
        (8, 8, ["ABCDEFG"], [7], 8),
        (4, 4, ["ABCD", "EFG"], [4, 3], 4),
        (8, 3, ["AB", "CD", "EF", "G"], [7, 4, 2, 2, 2, 1], 2),
        (5, 1, list("ABCDEFG"), [5, 3, 2, 1, 1, 1, 1, 1, 1, 1], 1),
    ],
)
def test_a_part_that_does_not_fit_is_done_again_in_halves(
    most: int, room: int, found: list[str], tried: list[int], size: int
) -> None:
    device, at_once = Device(room), AtOnce(most)
    assert list(at_once.parts(7, lambda part: device.work("abcdefg"[part]))) == found
    assert device.tried == tried
    assert at_once.size == size
    assert at_once.measured() == ({} if size == most else {"at_once": size})


def test_what_fitted_is_taken_from_then_on_and_what_was_done_is_not_done_again() -> None:
    device, at_once = Device(4), AtOnce(4)
    parts = at_once.parts(8, lambda part: device.work("abcdefgh"[part]))
    assert next(parts) == "ABCD"
    device.room = 2
    assert list(parts) == ["EF", "GH"]
    assert list(at_once.parts(3, lambda part: device.work("xyz"[part]))) == ["XY", "Z"]
    assert device.tried == [4, 4, 2, 2, 2, 1]


def test_a_single_item_without_room_is_an_error() -> None:
    device, at_once = Device(0), AtOnce(2)
    with pytest.raises(torch.OutOfMemoryError):
        list(at_once.parts(2, lambda part: device.work("ab"[part])))
    assert device.tried == [2, 1]


def test_another_error_is_no_shortage() -> None:
    def work(part: slice) -> None:
        raise RuntimeError("a wrong shape")

    at_once = AtOnce(2)
    with pytest.raises(RuntimeError, match="a wrong shape"):
        list(at_once.parts(2, work))
    assert at_once.size == 2
