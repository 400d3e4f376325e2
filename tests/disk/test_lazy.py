"""What is held of what was read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from aligndiff_cli.disk.lazy import Lazy, Recent


def test_the_last_things_read_are_held_up_to_a_limit_in_bytes() -> None:
    read: list[str] = []

    def load(key: str) -> bytes:
        read.append(key)
        return bytes(10 * len(key))

    recent = Recent(load, len, limit=40)
    assert [len(recent(key)) for key in ("a", "bb", "a", "c")] == [10, 20, 10, 10]
    assert read == ["a", "bb", "c"]  # 40 bytes: all are held
    recent("d")  # bb was asked for longest ago
    assert [recent(key) for key in ("a", "c", "d")] == [bytes(10)] * 3
    assert read == ["a", "bb", "c", "d"]
    recent("bb")  # 50: a goes
    assert recent("c") is recent("c")
    recent("a")  # 50 again: d goes
    assert read == ["a", "bb", "c", "d", "bb", "a"]


def test_what_is_larger_than_the_limit_is_given_and_not_held() -> None:
    read: list[int] = []

    def load(key: int) -> bytes:
        read.append(key)
        return bytes(key)

    recent = Recent(load, len, limit=40)
    assert len(recent(41)) == len(recent(41)) == 41
    assert read == [41, 41]
    assert recent(40) is recent(40)
    assert read == [41, 41, 40]
    assert list(Lazy([40, 41], recent)) == [bytes(40), bytes(41)]


def test_threads_share_what_is_held_within_the_limit() -> None:
    recent = Recent(lambda key: bytes(10 + key), len, limit=60)
    keys = [key % 7 for key in range(4000)]
    with ThreadPoolExecutor(8) as pool:
        assert [len(found) for found in pool.map(recent, keys)] == [10 + key for key in keys]
    assert sum(map(len, recent._held.values())) + recent._left == 60
    assert recent._left >= 0
