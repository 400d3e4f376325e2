from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from PIL import Image

from aligndiff_cli.errors import InputError
from aligndiff_cli.method import composition
from aligndiff_cli.method.composition import (
    Cutout,
    Placement,
    copy_pixels,
    cut_out,
    paste,
    premultiplied,
    resize_cutout,
    resize_premultiplied,
    sample_layout,
    scaled_size,
)

RED = (200, 10, 20)


def at(scale: float = 1.0, top: float = 0.0, left: float = 0.0) -> Placement:
    return Placement(class_index=0, sample_index=0, scale=scale, top=top, left=left)


def block(height: int, width: int, frame: tuple[int, int], class_id: int = 7) -> Cutout:
    """A full rectangle of RED."""
    image = np.full((height, width, 3), RED, dtype=np.uint8)
    return Cutout(image, np.ones((height, width), dtype=bool), class_id, "block", frame)


def base(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    return np.full((height, width, 3), 90, dtype=np.uint8), np.full((height, width), 3, dtype=np.uint8)


def box_of(mask: np.ndarray) -> tuple[int, int, int, int]:
    """(first row, last row, first column, last column)"""
    rows, columns = np.nonzero(mask)
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


# cut_out


def test_cut_out_takes_the_bounding_box() -> None:
    image = np.arange(6 * 9 * 3, dtype=np.uint8).reshape(6, 9, 3)
    mask = np.zeros((6, 9), dtype=bool)
    mask[1, 4] = mask[3, 7] = True
    cutout = cut_out(image, mask, class_id=2, source="dog/3")
    assert cutout.mask.shape == (3, 4)
    assert cutout.frame == (6, 9)
    np.testing.assert_array_equal(cutout.image, image[1:4, 4:8])
    assert cutout.mask.sum() == 2
    assert cutout.mask[0, 0]
    assert cutout.mask[2, 3]


def test_cut_out_of_an_empty_or_unequal_mask_names_the_sample() -> None:
    image = np.zeros((6, 9, 3), dtype=np.uint8)
    with pytest.raises(InputError, match="dog/3: the mask is empty"):
        cut_out(image, np.zeros((6, 9), dtype=bool), 2, "dog/3")
    with pytest.raises(InputError, match="the mask is 6x9, its image 9x6"):
        cut_out(image, np.ones((9, 6), dtype=bool), 2, "dog/3")


# sample_layout


def test_layout_keeps_to_the_ranges_of_d2_and_reaches_them() -> None:
    rng = np.random.default_rng(0)
    layouts = [sample_layout(rng, [(5, 5), (20, 0)]) for _ in range(3000)]
    sizes = np.bincount([len(layout) for layout in layouts], minlength=5)
    assert sizes[0] == sizes[4] == 0
    assert all(abs(share - 1 / 3) < 0.03 for share in sizes[1:4] / 3000)
    scales = np.array([p.scale for layout in layouts for p in layout])
    assert 0.1 <= scales.min() < 0.11
    assert 1.99 < scales.max() <= 2.0
    assert abs(scales.mean() - 1.05) < 0.03
    for places in ([p.top for lay in layouts for p in lay], [p.left for lay in layouts for p in lay]):
        assert min(places) >= 0
        assert max(places) < 1
        assert abs(np.mean(places) - 0.5) < 0.02


def test_layout_draws_classes_evenly_whatever_the_pool_sizes_and_skips_empty_ones() -> None:
    rng = np.random.default_rng(1)
    drawn = [p for _ in range(2000) for p in sample_layout(rng, [(0, 1), (0, 0), (0, 500)])]
    share = np.bincount([p.class_index for p in drawn], minlength=3) / len(drawn)
    assert share[1] == 0
    assert abs(share[0] - 0.5) < 0.03
    assert all(p.sample_index == 0 for p in drawn if p.class_index == 0)
    assert max(p.sample_index for p in drawn if p.class_index == 2) > 480


@pytest.mark.parametrize(
    ("sizes", "share", "expected"),
    [((3, 9), 0.5, 0.5), ((3, 9), 0.2, 0.2), ((3, 9), 0.0, 0.0), ((3, 0), 0.0, 1.0), ((0, 9), 1.0, 0.0)],
)
def test_inverted_and_plain_samples_share_as_told_unless_one_is_missing(
    sizes: tuple[int, int], share: float, expected: float
) -> None:
    rng = np.random.default_rng(2)
    drawn = [p.sample_index for _ in range(1500) for p in sample_layout(rng, [sizes], inverted_share=share)]
    assert abs(np.mean([index < sizes[0] for index in drawn]) - expected) < 0.03
    first, last = 0 if expected > 0 else sizes[0], sum(sizes) if expected < 1 else sizes[0]
    assert set(drawn) == set(range(first, last))


def test_layout_is_the_same_for_the_same_seed() -> None:
    first, second = (sample_layout(np.random.default_rng(5), [(4, 2), (4, 0)]) for _ in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("pools", "options"),
    [
        ([], {}),
        ([(0, 0), (0, 0)], {}),
        ([(0, 3)], {"n_max": 0}),
        ([(0, 3)], {"inverted_share": 1.5}),
        ([(0, 3)], {"scale_range": (0.0, 1.0)}),
        ([(0, 3)], {"scale_range": (2.0, 1.0)}),
    ],
)
def test_impossible_layouts_are_refused(pools: list[tuple[int, int]], options: dict) -> None:
    with pytest.raises(ValueError, match=r"sample to paste|expected n_max"):
        sample_layout(np.random.default_rng(0), pools, **options)


# paste


def test_scale_one_keeps_the_share_of_the_own_frame() -> None:
    # a 4x2 object of an 8x10 picture; the 32x100 base fits it four times (height decides)
    scene = paste(*base(32, 100), [(block(4, 2, (8, 10)), at(1.0))])
    assert box_of(scene.visible[0]) == (0, 15, 0, 7)
    assert scene.visible[0].sum() == 16 * 8


def test_by_the_scale_of_pixels_an_object_is_as_large_as_in_its_picture() -> None:
    for scale, box in ((1.0, (0, 3, 0, 1)), (2.0, (0, 7, 0, 3))):
        scene = paste(*base(32, 100), [(block(4, 2, (8, 10)), at(scale))], "pixels")
        assert box_of(scene.visible[0]) == box


@pytest.mark.parametrize(
    ("place", "rows", "columns"),
    [
        (at(1.0, top=0.0, left=0.0), (0, 3), (0, 1)),
        (at(1.0, top=0.999, left=0.0), (6, 9), (0, 1)),
        (at(1.0, top=0.0, left=0.999), (0, 3), (18, 19)),
        (at(1.0, top=0.5, left=0.5), (3, 6), (9, 10)),  # 7 rows to choose from, 19 columns
    ],
)
def test_an_object_that_fits_stays_inside(place: Placement, rows: tuple[int, int], columns: tuple[int, int]) -> None:
    scene = paste(*base(10, 20), [(block(4, 2, (10, 20)), place)])
    assert box_of(scene.visible[0]) == (*rows, *columns)
    assert (scene.labels == 7).sum() == 8
    assert (scene.labels == 3).sum() == 192
    np.testing.assert_array_equal(scene.image[scene.visible[0]], np.full((8, 3), RED))
    assert (scene.image[~scene.visible[0]] == 90).all()


def test_an_object_longer_than_the_frame_is_a_window_along_that_axis() -> None:
    image = np.zeros((10, 4, 3), dtype=np.uint8)
    image[..., 0] = np.arange(10)[:, None] * 20
    tall = Cutout(image, np.ones((10, 4), dtype=bool), 7, "tall", (10, 20))
    for top, first, last in ((0.0, 0, 90), (0.999, 100, 180)):
        scene = paste(*base(10, 20), [(tall, at(2.0, top=top))])
        assert box_of(scene.visible[0]) == (0, 9, 0, 7)
        column = scene.image[:, 0, 0].astype(int)
        assert abs(column[0] - first) <= 10
        assert abs(column[-1] - last) <= 10
        assert (np.diff(column) >= 0).all()


def test_a_later_object_hides_an_earlier_one_and_the_loss_is_told() -> None:
    small, large = block(2, 2, (10, 20), class_id=5), block(6, 6, (10, 20), class_id=8)
    scene = paste(*base(10, 20), [(small, at()), (large, at())])
    assert scene.hidden == [0]
    assert (scene.labels == 8).sum() == 36
    assert not (scene.labels == 5).any()
    scene = paste(*base(10, 20), [(large, at()), (small, at())])
    assert scene.hidden == []
    assert [int(mask.sum()) for mask in scene.visible] == [32, 4]
    assert not (scene.visible[0] & scene.visible[1]).any()


def test_ignored_and_base_labels_stay_outside_the_object_and_inputs_are_untouched() -> None:
    image, labels = base(10, 20)
    labels[:, 10:] = 255
    before = image.copy(), labels.copy()
    scene = paste(image, labels, [(block(10, 2, (10, 20)), at(1.0, left=0.5))])
    np.testing.assert_array_equal(image, before[0])
    np.testing.assert_array_equal(labels, before[1])
    assert sorted(np.unique(scene.labels)) == [3, 7, 255]
    assert (scene.labels[~scene.visible[0]] == labels[~scene.visible[0]]).all()


def test_only_the_mask_is_pasted_not_its_box() -> None:
    ring = block(5, 5, (10, 20))
    ring.mask[1:4, 1:4] = False
    scene = paste(*base(10, 20), [(ring, at())])
    assert scene.visible[0].sum() == 16
    assert (scene.image[1:4, 1:4] == 90).all()


def test_labels_of_another_size_are_refused() -> None:
    image, labels = base(10, 20)
    with pytest.raises(InputError, match="the labels are 10x20, their image 20x10"):
        paste(image, labels.T, [])


# resize_cutout


@pytest.mark.parametrize("factor", [0.2, 0.37, 0.5, 1.0, 1.7, 3.3])
def test_no_background_shows_at_the_edge_at_any_scale(factor: float) -> None:
    rows, columns = np.mgrid[:31, :47]
    mask = ((rows - 15) / 15) ** 2 + ((columns - 23) / 23) ** 2 <= 1
    image = np.full((31, 47, 3), (255, 0, 255), dtype=np.uint8)
    image[mask] = (0, 180, 40)
    pixels, scaled = resize_cutout(image, mask, factor)
    assert scaled.shape == (round(31 * factor), round(47 * factor))
    assert abs(scaled.mean() - np.pi / 4) < 0.12
    # eight-bit rounding only
    assert np.abs(pixels[scaled].astype(int) - (0, 180, 40)).max() <= 2


def test_scale_one_changes_nothing() -> None:
    image = np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    mask = np.random.default_rng(1).random((6, 9)) > 0.5
    pixels, scaled = resize_cutout(image, mask, 1.0)
    np.testing.assert_array_equal(scaled, mask)
    np.testing.assert_array_equal(pixels[mask], image[mask])


@pytest.mark.parametrize("factor", [0.31, 1.0, 2.6])
def test_pillow_premultiplies_an_rgba_picture_to_the_same_bytes(factor: float) -> None:
    rng = np.random.default_rng(5)
    image, mask = rng.integers(0, 256, (29, 41, 3), dtype=np.uint8), rng.random((29, 41)) < 0.6
    rgba = Image.fromarray(np.dstack([image, np.where(mask, 255, 0).astype(np.uint8)]))
    height, width = scaled_size(mask.shape, factor)
    expected = np.asarray(rgba.resize((width, height), Image.Resampling.BILINEAR))
    pixels, seen = resize_cutout(image, mask, factor)
    np.testing.assert_array_equal(seen, expected[..., 3] >= 128)
    np.testing.assert_array_equal(pixels[seen], expected[seen][:, :3])


def test_a_pasted_object_takes_the_pixels_of_its_mask_and_no_other() -> None:
    image, labels = np.full((4, 5, 3), 90, np.uint8), np.full((4, 5), 3, np.uint8)
    mask = np.array([[True, False], [True, True]])
    cutout = Cutout(np.arange(12, dtype=np.uint8).reshape(2, 2, 3), mask, 7, "a", (4, 5))
    for _ in range(2):  # what is kept of a cut-out is as good as new
        scene = paste(image, labels, [(cutout, at(1.0, 0.4, 0.6))])
        expected = np.full((4, 5, 3), 90, np.uint8)
        expected[1, 2], expected[2, 2], expected[2, 3] = (0, 1, 2), (6, 7, 8), (9, 10, 11)
        np.testing.assert_array_equal(scene.image, expected)
        np.testing.assert_array_equal(np.argwhere(scene.labels == 7), [[1, 2], [2, 2], [2, 3]])


def test_copied_pixels_are_those_of_the_mask_in_mirrored_and_in_wider_arrays_too() -> None:
    rng = np.random.default_rng(0)
    into, pixels = (rng.integers(0, 256, (5, 7, channels), dtype=np.uint8) for channels in (4, 3))
    mask = rng.random((5, 7)) > 0.5
    expected = into.copy()
    expected[..., :3][mask] = pixels[:, ::-1][mask]
    copy_pixels(into, pixels[:, ::-1], mask)
    assert into.tobytes() == expected.tobytes()


def test_a_thin_object_can_vanish_and_is_told() -> None:
    cross = np.zeros((41, 41), dtype=bool)
    cross[20] = cross[:, 20] = True
    thin = Cutout(np.full((41, 41, 3), RED, dtype=np.uint8), cross, 7, "thin", (41, 41))
    scene = paste(*base(41, 60), [(thin, at(0.1))])
    assert scene.hidden == [0]
    np.testing.assert_array_equal(scene.labels, 3)


@pytest.mark.parametrize("factor", [0.3, 0.77, 1.0, 1.3, 2.0, 9.7])
def test_a_part_of_a_scaled_object_is_that_part_of_the_whole(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    rng = np.random.default_rng(3)
    image, mask = rng.integers(0, 256, (37, 23, 3), dtype=np.uint8), rng.random((37, 23)) < 0.7
    pixels, whole = resize_cutout(image, mask, factor)
    height, width = whole.shape
    part = np.s_[height // 3 : height // 2 + 1, width // 4 : width]
    some, seen = resize_premultiplied(premultiplied(image, mask), factor, part)
    assert np.array_equal(seen, whole[part])
    assert np.array_equal(some, pixels[part])
    monkeypatch.setattr(composition, "MAX_WHOLE", 0)
    alone, visible = resize_premultiplied(premultiplied(image, mask), factor, part)
    assert (visible != seen).mean() < 0.02
    assert np.abs(alone.astype(int) - some)[visible & seen].max(initial=0) <= 4


def test_a_very_large_scale_costs_no_more_than_the_frame() -> None:
    image, mask = np.full((300, 400, 3), 7, np.uint8), np.ones((300, 400), bool)
    cutout = Cutout(image, mask, 5, "a", (300, 400))
    base, labels = np.zeros((30, 50, 3), np.uint8), np.zeros((30, 50), np.uint8)
    assert scaled_size(mask.shape, 100.0) == (30_000, 40_000)  # five gigabytes, with alpha
    tracemalloc.start()
    scene = paste(base, labels, [(cutout, Placement(0, 0, 100.0, 0.999, 0.5))], "pixels")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (scene.labels == 5).all()
    assert (scene.image == 7).all()
    assert peak < 5_000_000
