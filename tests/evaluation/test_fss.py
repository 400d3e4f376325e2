from __future__ import annotations

import json

import numpy as np
import pytest

from aligndiff_cli.disk.images import write_png
from aligndiff_cli.errors import InputError
from aligndiff_cli.evaluation import fss
from aligndiff_cli.evaluation.fss import (
    ClassResult,
    RowResult,
    Settings,
    choose_queries,
    class_differences,
    draw_episodes,
    evaluate_class,
    miou,
    share_episodes,
)
from aligndiff_cli.evaluation.metrics import Counts, Overlap
from aligndiff_cli.evaluation.support_sets import TEXT, Row, table_rows

REAL = Row("1R")


def test_rows_by_hand(world, segmenter) -> None:
    support = [world.pair("s", 3)]
    queries = [world.pair("q1", 4, 2), world.pair("q2", 5, 5)]
    samples = [world.sample(f"{kind}-{i}", good=i > 0) for kind in ("inverted", "text") for i in range(2)]
    result = evaluate_class(segmenter, "dog", support, queries, samples, table_rows(2), Settings())
    rows = list(result.rows.values())
    # real alone: red is found exactly
    assert rows[0].counts.foreground == {"dog": Overlap(6 * 9, 6 * 9)}
    # both text samples: 2 votes red, 1 vote blue, which is half of the highest and so foreground too
    assert rows[1].counts.foreground == {"dog": Overlap(6 * 9, 6 * 16)}
    assert sorted(rows[1].used) == ["dog/text-0", "dog/text-1"]
    # the filter drops the bad one
    assert rows[2].counts.iou("dog") == 1.0
    assert (list(rows[2].used), list(rows[2].rejected)) == (["dog/text-1"], ["dog/text-0"])
    assert [row.real for row in rows] == [1, 1, 1, 1]
    assert rows[0].counts.background == Overlap(6 * 11, 6 * 11)
    assert result.problems == []


def test_a_votes_share_of_half_is_foreground_and_less_is_not(world, segmenter) -> None:
    bad, good = world.sample("text-0", good=False), [world.sample(f"text-{i}") for i in (1, 2)]
    row = Row("row", 9, (TEXT,), "refined")
    arguments = ("dog", [world.pair("s", 3)], [world.pair("q", 4, 2)])
    # red has 1 + 1 votes, blue 1; then red 3, blue 1
    half = evaluate_class(segmenter, *arguments, [bad, good[0]], [row], Settings())
    third = evaluate_class(segmenter, *arguments, [bad, *good], [row], Settings())
    assert half.rows["row"].counts.iou("dog") == pytest.approx(4 / 6)
    assert third.rows["row"].counts.iou("dog") == 1.0


def test_all_real_pairs_are_shots(world, segmenter) -> None:
    support = [world.pair(f"s{i}", 3) for i in range(5)]
    result = evaluate_class(segmenter, "dog", support, [world.pair("q", 4)], [], [Row("5R")], Settings())
    assert result.rows["5R"].real == 5
    assert segmenter.conditioned == [5]


def test_masks_can_be_compared_at_the_networks_size(world, segmenter) -> None:
    arguments = ("dog", [world.pair("s", 3)], [world.pair("q", 5)], [], [REAL])
    at_full = evaluate_class(segmenter, *arguments, Settings())
    at_size = evaluate_class(segmenter, *arguments, Settings(side=20))
    assert at_full.rows["1R"].counts.foreground["dog"].union == 6 * 5
    # the colour is blended away on the edge, so only a column or two may be lost of the 10 x 20
    found = at_size.rows["1R"].counts.foreground["dog"]
    assert found.union == 200
    assert 180 <= found.intersection < 200


@pytest.mark.parametrize("side", [None, 20])
def test_what_the_truth_ignores_counts_for_nothing(world, segmenter, side: int | None) -> None:
    # 4 red columns, of which the true mask marks 2 as the object and 1 as its border
    query = world.pair("q", 4)
    labels = np.zeros((6, 10), np.uint8)
    labels[:, :2], labels[:, 2] = 7, 255
    write_png(query.mask, labels)
    result = evaluate_class(segmenter, "dog", [world.pair("s", 3)], [query], [], [REAL], Settings(side=side))
    if side is None:
        assert result.rows["1R"].counts.foreground["dog"] == Overlap(6 * 2, 6 * 3)
        assert result.rows["1R"].counts.background == Overlap(6 * 6, 6 * 7)
    else:
        # enlarged, the mask has 4 columns of the object and 2 of border; the pictures' edge is a blend
        assert result.rows["1R"].counts.foreground["dog"].union in (20 * 5, 20 * 6)


def test_what_a_real_mask_ignores_does_not_fail_a_sample(world, segmenter) -> None:
    support = world.pair("s", 8)
    labels = np.zeros((6, 10), np.uint8)
    labels[:, :3], labels[:, 3:8] = 7, 255
    write_png(support.mask, labels)
    # alone the sample finds all 8 red columns: 3 / 8 of a mask without a border, all of this one
    row = Row("row", 1, (TEXT,), "refined", (TEXT,))
    samples = [world.sample("text-0")]
    result = evaluate_class(segmenter, "dog", [support], [world.pair("q", 4)], samples, [row], Settings())
    assert list(result.rows["row"].used) == ["dog/text-0"]


def test_episodes_are_shared_among_the_classes_by_the_seed() -> None:
    classes = [f"class{number}" for number in range(8)]
    shares = share_episodes(classes, 1000, 0)
    assert sum(shares.values()) == 1000
    assert all(90 < shares[cls] < 160 for cls in classes)
    assert shares == share_episodes(classes[::-1], 1000, 0)
    assert shares != share_episodes(classes, 1000, 1)
    assert all(share_episodes(classes, 100, 0)[cls] <= shares[cls] for cls in classes)
    assert share_episodes(["a", "b"], 1, 0).total() == 1


def test_an_episode_draws_a_query_and_its_shots(world) -> None:
    support, queries = [world.pair(f"s{i}", 3) for i in range(4)], [world.pair(f"q{i}", 4) for i in range(3)]
    settings = Settings(episodes=60, shots=2)
    drawn = draw_episodes("dog", support, queries, settings, 60)
    assert drawn == draw_episodes("dog", support[::-1], queries[::-1], settings, 60)
    assert sum(map(len, drawn.values())) == 60
    assert {len(set(shots)) for shots in drawn} == {2}
    assert len(drawn) == 6  # of the 4 pairs
    assert {query for own in drawn.values() for query in own} == set(queries)
    fewer = draw_episodes("dog", support, queries, settings, 20)
    assert all(drawn[shots][: len(own)] == own for shots, own in fewer.items())
    assert list(draw_episodes("dog", support, queries, Settings(episodes=9), 9)) == [tuple(support)]
    with pytest.raises(InputError, match="has 4 usable pairs, expected at least 5"):
        draw_episodes("dog", support, queries, Settings(episodes=9, shots=5), 9)


def test_a_class_is_evaluated_in_episodes(world, segmenter) -> None:
    # one support pair marks red, which is right, the other blue
    good, bad = world.pair("good", 3), world.pair("bad", 0, 3)
    truth = np.zeros((6, 10), bool)
    truth[:, -3:] = True
    write_png(bad.mask, truth)
    arguments = ("dog", [good, bad], [world.pair("q", 4, 4)], [], [REAL])
    told: list[int] = []
    settings = Settings(episodes=30, shots=1)
    found = evaluate_class(segmenter, *arguments, settings, told.append, episodes=30).rows["1R"]
    assert sum(told) == 30
    assert found.real == 1
    assert found.counts.images == {"dog": 30}
    red = found.counts.foreground["dog"].intersection // (6 * 4)
    assert 5 < red < 25
    # each blue answer counts 4 wrong columns beside the 4 missed
    assert found.counts.foreground["dog"].union == 6 * (4 * red + 8 * (30 - red))
    assert segmenter.conditioned == [1, 1]


def test_queries_are_drawn_by_seed_and_name(world) -> None:
    queries = [world.pair(f"q{i}", 4) for i in range(9)]
    three = choose_queries("dog", queries, Settings(queries=3))
    assert len(three) == 3
    assert choose_queries("dog", queries[::-1], Settings(queries=3)) == three
    assert set(three) < set(choose_queries("dog", queries, Settings(queries=5)))
    assert len(choose_queries("dog", queries, Settings())) == 9
    assert len({tuple(choose_queries("dog", queries, Settings(seed, queries=3))) for seed in range(5)}) > 1


def test_many_queries_are_all_counted_and_progress_is_told(world, segmenter) -> None:
    queries = [world.pair(f"q{i}", 1 + i % 5) for i in range(19)]
    told: list[int] = []
    rows = [REAL, Row("again")]
    result = evaluate_class(segmenter, "dog", [world.pair("s", 3)], queries, [], rows, Settings(), told.append)
    assert sum(told) == 38
    assert result.rows["1R"].counts.images == {"dog": 19}
    assert result.rows["1R"].counts == result.rows["again"].counts


def test_a_picture_is_seen_once_for_all_rows(world, segmenter, monkeypatch) -> None:
    arguments = ("dog", [world.pair("s", 3)], [world.pair(f"q{i}", 4) for i in range(5)])
    samples = [world.sample(f"{kind}-{i}") for kind in ("inverted", "text") for i in range(2)]
    once = evaluate_class(segmenter, *arguments, samples, table_rows(2), Settings())
    assert segmenter.seen == 1 + 5 + 3
    # what there is no room for is looked at each time, and comes to the same; one row alone keeps nothing
    monkeypatch.setattr(fss, "KEPT_BYTES", 0)
    assert evaluate_class(segmenter, *arguments, samples, table_rows(2), Settings()) == once
    evaluate_class(segmenter, *arguments, [], [REAL], Settings())
    assert segmenter.seen == 1 + 5 + 3


def test_a_bad_query_is_left_out_of_every_row_and_told_once(world, segmenter) -> None:
    queries = [world.pair("q1", 4), world.pair("q2", 4)]
    queries[0].mask.write_bytes(b"")
    rows = [REAL, Row("again")]
    result = evaluate_class(segmenter, "dog", [world.pair("s", 3)], queries, [], rows, Settings())
    assert [row.counts.images for row in result.rows.values()] == [{"dog": 1}, {"dog": 1}]
    assert len(result.problems) == 1
    assert "q1_mask.png" in str(result.problems[0])


def test_a_class_that_cannot_be_evaluated_is_named(world, segmenter) -> None:
    support, query = world.pair("s", 3), world.pair("q", 3)
    with pytest.raises(InputError, match="'dog' has no query"):
        evaluate_class(segmenter, "dog", [support], [], [], [REAL], Settings())
    with pytest.raises(InputError, match="'dog' has no support pair"):
        evaluate_class(segmenter, "dog", [], [query], [], [REAL], Settings())
    query.image.write_bytes(b"")
    with pytest.raises(InputError, match=r"q\.png"):
        evaluate_class(segmenter, "dog", [support], [query], [], [REAL], Settings())


def test_results_survive_json(world, segmenter) -> None:
    samples = [world.sample("text-0", good=False)]
    result = evaluate_class(
        segmenter, "dog", [world.pair("s", 3)], [world.pair("q", 4)], samples, table_rows(2), Settings()
    )
    assert ClassResult.from_json(json.loads(json.dumps(result.to_json()))).to_json() == result.to_json()


def result(cls: str, real: int, more: int) -> ClassResult:
    """IoU in percent of two rows."""
    rows = {
        name: RowResult(Counts({cls: Overlap(value, 100)} if value >= 0 else {}), 1)
        for name, value in (("1R", real), ("more", more))
    }
    return ClassResult(cls, rows)


def test_differences_are_sorted_and_means_are_over_the_classes_named() -> None:
    results = [result("ant", 50, 40), result("bee", 50, 70), result("cow", 20, 20), result("elk", -1, 30)]
    assert class_differences(results, "more", "1R") == [
        ("bee", pytest.approx(0.2)),
        ("cow", 0.0),
        ("ant", pytest.approx(-0.1)),
    ]
    assert miou(results, "more") == pytest.approx(0.4)
    assert miou(results, "1R") == pytest.approx(0.4)
    assert miou(results, "more", ["ant", "bee"]) == pytest.approx(0.55)
    assert miou(results, "more", []) is None
