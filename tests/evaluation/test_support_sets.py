from __future__ import annotations

import numpy as np
import pytest

from aligndiff_cli.disk.images import read_image, write_png
from aligndiff_cli.errors import InputError
from aligndiff_cli.evaluation.support_sets import (
    INVERTED,
    TEXT,
    Row,
    SampleFiles,
    SupportTest,
    draw_samples,
    filter_samples,
    table_rows,
)

BOTH = (INVERTED, TEXT)


@pytest.fixture
def samples(world) -> list[SampleFiles]:
    return [world.sample(f"{kind}-{i}") for kind in BOTH for i in range(8)]


def drawn_ids(samples: list[SampleFiles], row: Row, seed: int = 0) -> list[str]:
    problems: list[InputError] = []
    drawn = draw_samples(samples, row, seed, problems)
    assert not problems
    return [sample.id for sample, _ in drawn.pairs]


@pytest.mark.parametrize(
    ("n", "inverted", "text"), [(6, 3, 3), (5, 3, 2), (1, 1, 0), (16, 8, 8), (40, 8, 8), (0, 0, 0)]
)
def test_half_of_each_kind_the_odd_one_inverted(samples: list[SampleFiles], n: int, inverted: int, text: int) -> None:
    ids = drawn_ids(samples, Row("row", n, BOTH, "refined"))
    assert sum("inverted" in name for name in ids) == inverted
    assert sum("text" in name for name in ids) == text
    assert len(set(ids)) == len(ids)


def test_more_samples_hold_those_of_fewer_and_other_masks_mean_the_same_pictures(samples: list[SampleFiles]) -> None:
    few, many = (drawn_ids(samples, Row("row", n, (TEXT,), "refined")) for n in (3, 6))
    assert set(few) < set(many)
    assert drawn_ids(samples, Row("row", 6, (TEXT,), "coarse")) == many
    assert set(drawn_ids(samples, Row("row", 6, BOTH, "refined"))) & set(few) == set(few)


def test_the_draw_depends_on_the_seed_and_not_on_the_order(samples: list[SampleFiles]) -> None:
    row = Row("row", 4, (TEXT,), "refined")
    assert drawn_ids(samples[::-1], row) == drawn_ids(samples, row)
    assert len({tuple(drawn_ids(samples, row, seed)) for seed in range(5)}) > 1


def test_an_empty_mask_is_passed_over_and_counted(world) -> None:
    nothing = np.full((6, 10), 0.39, dtype=np.float32)
    samples = [world.sample(f"text-{i}", coarse=nothing if i < 2 else None) for i in range(4)]
    drawn = draw_samples(samples, Row("row", 4, (TEXT,), "coarse"), 0, [])
    assert sorted(sample.id for sample, _ in drawn.pairs) == ["dog/text-2", "dog/text-3"]
    assert drawn.empty == 2
    assert len(draw_samples(samples, Row("row", 4, (TEXT,), "refined"), 0, []).pairs) == 4


def test_coarse_maps_are_taken_at_their_threshold(world) -> None:
    soft = np.zeros((6, 10), dtype=np.float32)
    soft[:, :5], soft[:, 5:] = 0.41, 0.39
    drawn = draw_samples([world.sample("text-0", coarse=soft)], Row("row", 1, (TEXT,), "coarse"), 0, [])
    assert drawn.pairs[0][1][1][:, :5].all()
    assert drawn.pairs[0][1][1].sum() == 30


def test_samples_that_cannot_be_read_are_told(world) -> None:
    samples = [world.sample(f"text-{i}") for i in range(3)]
    samples[0].image.unlink()
    write_png(samples[1].masks["refined"].path, np.ones((10, 6), dtype=bool))
    problems: list[InputError] = []
    drawn = draw_samples(samples, Row("row", 3, (TEXT,), "refined"), 0, problems)
    assert [sample.id for sample, _ in drawn.pairs] == ["dog/text-2"]
    assert sorted(str(problem).rpartition("/")[2].partition(":")[0] for problem in problems) == [
        "text-0.png",
        "text-1.png",
    ]
    assert any("expected a mask of 10 x 6" in str(problem) for problem in problems)


def test_only_plain_samples_that_fail_alone_are_dropped(world, segmenter) -> None:
    truth = np.zeros((6, 10), dtype=bool)
    truth[:, :3] = True
    real = [(read_image(world.pair("real", 3).image), truth)]
    names = {"text-0": True, "text-1": False, "inverted-0": True, "inverted-1": False}
    samples = [world.sample(name, good=good) for name, good in names.items()]
    row = Row("row", 4, BOTH, "refined", filtered=(TEXT,))
    drawn = draw_samples(samples, row, 0, [])
    kept, rejected = filter_samples(drawn, row, SupportTest(segmenter, real))
    assert sorted(sample.id for sample, _ in kept) == ["dog/inverted-0", "dog/inverted-1", "dog/text-0"]
    assert [sample.id for sample in rejected] == ["dog/text-1"]
    free = Row("row", 4, BOTH, "refined")
    assert len(filter_samples(drawn, free, SupportTest(segmenter, real))[0]) == 4
    strict = Row("row", 4, BOTH, "refined", filtered=BOTH)
    kept, _ = filter_samples(drawn, strict, SupportTest(segmenter, real))
    assert sorted(sample.id for sample, _ in kept) == ["dog/inverted-0", "dog/text-0"]


def test_beta_must_be_exceeded(world, segmenter) -> None:
    # the sample finds the 4 red columns; 2 of them are the object: IoU 0.5 exactly
    truth = np.zeros((6, 10), dtype=bool)
    truth[:, :2] = True
    real = [(read_image(world.pair("real", 4).image), truth)]
    sample = world.sample("text-0")
    row = Row("row", 1, (TEXT,), "refined", filtered=(TEXT,))
    drawn = draw_samples([sample], row, 0, [])
    for beta, kept in ((0.5, 0), (0.49, 1)):
        assert len(filter_samples(drawn, row, SupportTest(segmenter, real, beta))[0]) == kept


def test_a_sample_is_tested_once_with_each_of_its_masks(world, segmenter) -> None:
    truth = np.zeros((6, 10), dtype=bool)
    truth[:, :3] = True
    test = SupportTest(segmenter, [(read_image(world.pair("real", 3).image), truth)])
    samples = [world.sample("text-0")]
    for masks in ("refined", "coarse", "refined"):
        row = Row("row", 1, (TEXT,), masks, filtered=(TEXT,))
        filter_samples(draw_samples(samples, row, 0, []), row, test)
    assert segmenter.conditioned == [1, 1]


def test_rows_of_table_2() -> None:
    rows = table_rows()
    assert [row.name.split(" ")[0] for row in rows] == ["1R", "1R+20S", "1R+20S", "1R+20S"]
    assert [row.samples for row in rows] == [0, 20, 20, 20]
    assert [(row.kinds, row.masks, row.filtered) for row in rows[1:]] == [
        ((TEXT,), "coarse", ()),
        ((TEXT,), "refined", (TEXT,)),
        ((INVERTED, TEXT), "refined", (TEXT,)),
    ]
    assert [row.filtered for row in table_rows(filtered=BOTH)[1:]] == [(), BOTH, BOTH]
