from __future__ import annotations

import numpy as np
import pytest

from aligndiff_cli.datasets import emoji_pictures as pictures
from aligndiff_cli.datasets.emoji_pictures import Pose


def block(height: int = 20, width: int = 40, colour: tuple[int, int, int] = (200, 10, 30)) -> np.ndarray:
    """An opaque sprite of one colour."""
    sprite = np.full((height, width, 4), 255, np.uint8)
    sprite[..., :3] = colour
    return sprite


def test_a_sprite_is_pasted_where_and_as_large_as_asked() -> None:
    image = np.zeros((60, 100, 3), np.uint8)
    # long side 40 = 2/3 of the short side 60; middle at row 30, column 25
    mask = pictures.place_sprite(image, block(), Pose(40 / 60, 0.0, False), (0.5, 0.25))
    expected = np.zeros((60, 100), bool)
    expected[20:40, 5:45] = True
    assert np.array_equal(mask, expected)
    assert (image[mask] == (200, 10, 30)).all()
    assert not image[~mask].any()


def test_a_sprite_is_cut_off_at_the_frame() -> None:
    image = np.zeros((60, 100, 3), np.uint8)
    mask = pictures.place_sprite(image, block(), Pose(40 / 60, 0.0, False), (0.0, 1.0))
    assert mask.sum() == 10 * 20
    assert mask[:10, 80:].all()


def test_mirroring_exchanges_left_and_right() -> None:
    sprite = block()
    sprite[:, :20, 3] = 0
    masks = [
        pictures.place_sprite(np.zeros((60, 100, 3), np.uint8), sprite, Pose(40 / 60, 0.0, m), (0.5, 0.5))
        for m in (False, True)
    ]
    assert np.array_equal(masks[0], masks[1][:, ::-1])
    assert masks[0][:, 50:].any()
    assert not masks[0][:, :48].any()


def test_an_object_picture_holds_the_whole_object() -> None:
    background = np.zeros((48, 80, 3), np.uint8)
    for seed in range(20):
        rng = np.random.default_rng(seed)
        image, mask, placement = pictures.object_picture(rng, block(), (48, 80), background, rotation=0.0)
        side = placement.scale * 48
        assert 0.6 <= placement.scale <= 0.9
        assert mask.sum() == pytest.approx(side * side / 2, rel=0.1)
        assert image.shape == (48, 80, 3)
    assert not background.any()  # the one handed in is not painted on


def test_pictures_follow_from_their_generator_alone() -> None:
    def draw(seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return pictures.object_picture(rng, block(), (48, 80), pictures.rough_background(rng, (48, 80)))[0]

    assert np.array_equal(draw(3), draw(3))
    assert not np.array_equal(draw(3), draw(4))


def test_a_smooth_background_is_of_its_colours() -> None:
    night = pictures.smooth_background(np.random.default_rng(0), (32, 48), "nightly")
    snow = pictures.smooth_background(np.random.default_rng(0), (32, 48), "snowy")
    assert night.shape == (32, 48, 3)
    assert night.mean() < 110
    assert snow.mean() > 200


def test_dyeing_keeps_light_and_alpha_and_changes_the_hue() -> None:
    sprite = block(colour=(128, 128, 128))
    sprite[0, 0] = (128, 128, 128, 0)
    dyed = pictures.dye(sprite, (225, 50, 45))
    assert np.array_equal(dyed[..., 3], sprite[..., 3])
    assert np.abs(dyed[5, 5, :3].astype(int) - (225, 50, 45)).max() <= 2  # middle grey takes the dye as it is
    black = pictures.dye(block(colour=(0, 0, 0)), (225, 50, 45))
    assert (black[..., :3] < dyed[5, 5, :3]).all()


def test_later_objects_cover_earlier_ones_and_clutter_is_background() -> None:
    red, blue, grey = block(40, 40), block(40, 40, (0, 0, 250)), block(40, 40, (128, 128, 128))
    image, labels = pictures.scene(np.random.default_rng(1), [(3, red), (7, blue)], [grey], (60, 90), scale=(0.8, 0.8))
    assert image.shape == (60, 90, 3)
    assert labels.shape == (60, 90)
    assert set(np.unique(labels)) <= {0, 3, 7}
    assert (labels == 7).sum() > 1500  # 48 x 48, turned, nothing above it
    # edges are blended, hence not every pixel
    assert (image[labels == 7] == (0, 0, 250)).all(-1).mean() > 0.85


def test_an_object_covered_altogether_leaves_no_label() -> None:
    _, labels = pictures.scene(np.random.default_rng(0), [], [block()], (60, 90))
    assert not labels.any()
