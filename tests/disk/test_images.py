"""Whatever a picture's format, it becomes the canonical array or a message that names file, reason and remedy."""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from aligndiff_cli.disk.decoding import turned_alike, turned_by_exif
from aligndiff_cli.disk.images import check_pair, read_ignored, read_image, read_mask, read_soft, write_jpeg, write_png
from aligndiff_cli.errors import FolderError, InputError
from tests import nasty
from tests.datasets.lookalikes import tinted_mask

IMAGE, MASK = nasty.image_and_mask()


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".TIFF"])
def test_lossless_image_is_read_as_it_is(tmp_path: Path, suffix: str) -> None:
    assert np.array_equal(read_image(nasty.save(tmp_path / f"a{suffix}", IMAGE)), IMAGE)


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int) -> None:
    read = read_image(nasty.exif_turned(tmp_path / "a.jpg", IMAGE, orientation))
    assert read.shape == IMAGE.shape
    assert np.abs(read.astype(int) - IMAGE).mean() < 10
    assert turned_by_exif(tmp_path / "a.jpg") == (orientation in (6, 8))


def test_tiff_orientation_is_applied_once(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.ascontiguousarray(np.rot90(IMAGE))).save(tmp_path / "a.tif", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.tif"), IMAGE)


def test_mirrored_orientation(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 2
    Image.fromarray(IMAGE[:, ::-1].copy()).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "a.png"), IMAGE)


def test_damaged_exif_counts_as_none(tmp_path: Path) -> None:
    Image.fromarray(IMAGE).save(tmp_path / "a.jpg", exif=b"Exif\0\0II*\0garbage", quality=95)
    assert read_image(tmp_path / "a.jpg").shape == IMAGE.shape


def test_transparency_is_laid_on_white(tmp_path: Path) -> None:
    image = np.array([[[200, 100, 0], [200, 100, 0], [200, 100, 0]]], np.uint8)
    alpha = np.array([[255, 0, 51]], np.uint8)  # 51 = a fifth
    read = read_image(nasty.rgba(tmp_path / "a.png", image, alpha))
    assert read[0, 0].tolist() == [200, 100, 0]
    assert read[0, 1].tolist() == [255, 255, 255]
    assert np.abs(read[0, 2].astype(int) - [244, 224, 204]).max() <= 1


def test_transparent_palette_entry_is_laid_on_white(tmp_path: Path) -> None:
    picture = Image.fromarray(np.array([[0, 1, 1]], np.uint8))
    picture.putpalette([10, 20, 30, 40, 50, 60])
    picture.save(tmp_path / "a.png", transparency=0)
    assert read_image(tmp_path / "a.png").tolist() == [[[255, 255, 255], [40, 50, 60], [40, 50, 60]]]


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (np.array([[0, 255], [128, 7]], np.uint8), [[0, 255], [128, 7]]),
        (np.array([[0, 65535], [32896, 257]], np.uint16), [[0, 255], [128, 1]]),
        (np.array([[True, False]]), [[255, 0]]),
    ],
)
def test_grey_is_scaled_by_its_format(tmp_path: Path, levels: np.ndarray, expected: list) -> None:
    Image.fromarray(levels).save(tmp_path / "a.png")
    assert read_image(tmp_path / "a.png").tolist() == np.repeat(np.array(expected)[..., None], 3, 2).tolist()


def test_float_grey_in_unit_range(tmp_path: Path) -> None:
    nasty.save(tmp_path / "a.tif", np.array([[0.0, 0.5, 1.0]], np.float32))
    assert read_image(tmp_path / "a.tif")[0, :, 0].tolist() == [0, 128, 255]
    nasty.save(tmp_path / "b.tif", np.array([[0.0, 37.5]], np.float32))
    with pytest.raises(InputError, match=r"expected values from 0 to 1, got 0 to 37\.5"):
        read_image(tmp_path / "b.tif")


def test_cmyk(tmp_path: Path) -> None:
    read = read_image(nasty.cmyk_jpeg(tmp_path / "a.jpg", IMAGE))
    assert np.abs(read.astype(int) - IMAGE).mean() < 10


Damage = Callable[[Path], Path]


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("a.png", lambda p: nasty.cut_short(nasty.save(p, IMAGE)), "damaged or cut short"),
        ("a.jpg", lambda p: nasty.cut_short(nasty.save(p, IMAGE), 0.9), "damaged or cut short"),
        ("a.bmp", lambda p: nasty.cut_short(nasty.save(p, IMAGE)), "damaged or cut short"),
        ("a.tif", lambda p: nasty.cut_short(nasty.save(p, IMAGE)), "damaged or cut short|no picture"),
        ("a.webp", lambda p: nasty.cut_short(nasty.save(p, IMAGE)), "damaged or cut short|no picture"),
        ("a.png", nasty.zero_bytes, "is empty"),
        ("a.png", nasty.text_file, "expected PNG, JPEG"),
        ("a.png", lambda p: nasty.save(p, IMAGE, "GIF"), "expected PNG, JPEG"),
        ("a.png", nasty.bomb, "too large to open"),
        ("a.png", lambda p: nasty.bomb(p, 11_000), "expected at most 100 megapixels, got 11000 x 11000"),
        ("pipe.png", nasty.pipe, "is no file, but a pipe"),
        ("device.png", lambda p: p.symlink_to("/dev/zero") or p, "is no file, but a device"),
        ("gone.png", lambda p: p, "No such file"),
        ("folder.png", lambda p: p.mkdir() or p, "Is a directory"),
    ],
)
@pytest.mark.parametrize("reader", [read_image, read_mask, read_soft])
def test_bad_files_are_named_with_the_reason(
    tmp_path: Path, reader: Callable, name: str, damage: Damage, message: str
) -> None:
    path = damage(tmp_path / name)
    with pytest.raises(InputError, match=message) as caught:
        reader(path)
    assert caught.value.where == path


# 3 x 4 object in the upper left of a 5 x 9 picture
SMALL = np.zeros((5, 9), bool)
SMALL[1:4, 1:5] = True
EIGHT = SMALL.astype(np.uint8)
VOC = EIGHT * 15
VOC[0, :6] = 255  # a border that is to be ignored
SOFT = (EIGHT * 140 + np.arange(9, dtype=np.uint8) * 5).astype(np.uint8)  # 0..40 around, 145..160 within


@pytest.mark.parametrize(
    "write",
    [
        lambda p: nasty.bilevel_mask(p, SMALL),
        lambda p: nasty.save(p, EIGHT * 255),
        lambda p: nasty.save(p, EIGHT),
        lambda p: nasty.save(p, EIGHT * 7),
        lambda p: nasty.save(p, VOC),
        lambda p: nasty.save(p, SOFT),
        lambda p: nasty.save(p, np.where(SMALL, 235, 16).astype(np.uint8)),
        lambda p: nasty.save(p, np.repeat((EIGHT * 255)[..., None], 3, 2)),
        lambda p: nasty.save(p, EIGHT[..., None] * np.array([0, 200, 90], np.uint8)),
        lambda p: nasty.grey_16bit(p, EIGHT.astype(np.uint16) * 65535),
        lambda p: nasty.grey_16bit(p, EIGHT.astype(np.uint16)),
        lambda p: nasty.grey_16bit(p, VOC),
        lambda p: nasty.grey_16bit(p, SOFT.astype(np.uint16) * 257),
        lambda p: nasty.grey_16bit(p, SOFT),
        lambda p: nasty.palette_mask(p, EIGHT),
        lambda p: nasty.palette_mask(p, VOC),
        lambda p: nasty.palette_mask(p, EIGHT * 255),
        # an optimiser's order: white first, black second
        lambda p: nasty.palette_mask(p, 1 - EIGHT, [(255, 255, 255), (0, 0, 0)]),
        lambda p: nasty.palette_mask(p, 1 - EIGHT, [(128, 0, 0), (0, 0, 0)]),
        lambda p: nasty.palette_mask(p, EIGHT * 2, [(0, 0, 0)] * 256),
        lambda p: nasty.rgba(p, np.full((5, 9, 3), 90, np.uint8), EIGHT * 255),
        lambda p: nasty.rgba(p, np.arange(135, dtype=np.uint8).reshape(5, 9, 3), EIGHT * 255),
        lambda p: nasty.rgba(p, np.repeat((EIGHT * 255)[..., None], 3, 2), np.full((5, 9), 255, np.uint8)),
        lambda p: nasty.rgba(p, EIGHT[..., None] * np.array([0, 200, 90], np.uint8), EIGHT * 0 + 128),
    ],
    ids=[
        "1 bit", "0 and 255", "0 and 1", "0 and 7", "grey labels with ignore", "soft", "video range", "grey RGB",
        "colour", "16 bit", "16 bit 0 and 1", "16 bit labels with ignore",
        "16 bit soft", "8 bit soft in 16 bit", "palette 0 and 1", "palette with ignore", "palette 0 and 255",
        "palette white first", "palette black last", "palette all black", "alpha", "cut-out", "RGBA, mask in RGB",
        "RGBA, colour on even alpha",
    ],
)  # fmt: skip
def test_every_kind_of_mask_reads_alike(tmp_path: Path, write: Damage) -> None:
    mask = read_mask(write(tmp_path / "m.png"))
    assert np.array_equal(mask, SMALL)
    assert mask.dtype == np.bool_


TINTED = tinted_mask(np.pad(np.ones((60, 90), bool), 20), 3)


@pytest.mark.parametrize(
    "write",
    [
        lambda p: nasty.save(p, TINTED),
        lambda p: nasty.rgba(p, TINTED, np.full(TINTED.shape[:2], 255, np.uint8)),
        lambda p: Image.fromarray(TINTED).save(p.with_suffix(".jpg"), quality=90) or p.with_suffix(".jpg"),
        lambda p: Image.fromarray(TINTED).quantize(250).save(p) or p,
    ],
    ids=["RGB", "RGBA", "JPEG", "palette"],
)
def test_soft_edges_whose_channels_differ(tmp_path: Path, write: Damage) -> None:
    """FSS-1000's masks: hundreds of colours, none of them strong, nearly all pixels almost black or white."""
    expected = np.pad(np.ones((60, 90), bool), 20)
    assert np.array_equal(read_mask(write(tmp_path / "m.png")), expected)


def test_a_tint_does_not_change_what_grey_means(tmp_path: Path) -> None:
    """Labels 0, 1 and 2 with a channel a level apart stay labels."""
    labels = EIGHT[..., None] * np.array([1, 2, 2], np.uint8)
    assert np.array_equal(read_mask(nasty.save(tmp_path / "m.png", labels)), SMALL)


@pytest.mark.parametrize(("suffix", "message"), [(".png", r"picture of \d+ colours"), (".jpg", "lossy")])
@pytest.mark.parametrize("share", [0.12, 0.4], ids=["on white", "on black"])
def test_a_photograph_on_an_even_ground_is_no_soft_mask(
    tmp_path: Path, suffix: str, message: str, share: float
) -> None:
    """A shop's picture of a thing on white, and a lit thing at night: much is white or black, but not enough."""
    photo = np.full((60, 90, 3), 255 if share < 0.3 else 0, np.uint8)
    side = int(60 * 90 * share / 60)
    photo[:, :side] = np.random.default_rng(0).integers(40, 100, (60, side, 3))
    photo[0, 0], photo[0, 1] = 0, 255
    with pytest.raises(InputError, match=message):
        read_mask(nasty.save(tmp_path / f"m{suffix}", photo))


def test_specks_on_a_white_mask_are_no_labels(tmp_path: Path) -> None:
    """255 is VOC's ignore beside labels, but beside one stray pixel of 3 it is the object."""
    levels = MASK.astype(np.uint8) * 255
    levels[0, 0] = 3
    assert np.array_equal(read_mask(nasty.save(tmp_path / "m.png", levels)), MASK)


def test_background_that_is_not_black_is_not_guessed(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a background of 0, got 16 and 255 only"):
        read_mask(nasty.save(tmp_path / "m.png", np.where(MASK, 255, 16).astype(np.uint8)))


@pytest.mark.parametrize(
    ("levels", "message"),
    [
        (np.array([[7, 26001, 26002]], np.uint16), "highest value is 26002, and foreground begins at 32768 of 65535"),
        (np.arange(101, dtype=np.uint8)[None], "highest value is 100, and foreground begins at 128 of 255"),
        (np.arange(101, dtype=np.uint16)[None], "highest value is 100, and foreground begins at 128 of 255"),
    ],
)
def test_a_mask_that_does_not_reach_the_cut_says_where_it_is(tmp_path: Path, levels: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_mask(nasty.save(tmp_path / "m.png", np.repeat(levels, 3, axis=0)))


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda p: nasty.save(p, EIGHT + np.eye(5, 9, dtype=np.uint8)), "holds 2 labels (1, 2), which are read as one"),
        (lambda p: nasty.palette_mask(p, VOC + np.eye(5, 9, dtype=np.uint8) * EIGHT), "holds 2 labels (15, 16)"),
        (
            lambda p: nasty.save(p, np.dstack([EIGHT * 200, EIGHT * 90, np.eye(5, 9, dtype=np.uint8) * EIGHT * 255])),
            "holds 2 colours (#c85a00, #c85aff)",
        ),
        (lambda p: nasty.save(p, VOC), ""),
        (lambda p: nasty.save(p, SOFT), ""),
        (lambda p: nasty.palette_mask(p, VOC), ""),
        (lambda p: nasty.save(p, EIGHT[..., None] * np.array([0, 200, 90], np.uint8)), ""),
    ],
)
def test_labels_that_are_merged_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, write: Damage, message: str
) -> None:
    caplog.set_level(logging.INFO, "aligndiff_cli")
    assert np.array_equal(read_mask(write(tmp_path / "m.png")) & SMALL, SMALL)
    assert len(caplog.messages) == bool(message)
    assert not message or message in caplog.messages[0]


def test_voc_ignore_colour_is_background(tmp_path: Path) -> None:
    colours = EIGHT[..., None] * np.array([128, 0, 0], np.uint8)
    colours[0, :6] = (224, 224, 192)
    path = nasty.save(tmp_path / "m.png", colours)
    assert np.array_equal(read_mask(path), SMALL)
    assert np.array_equal(read_ignored(path), VOC == 255)


@pytest.mark.parametrize("write", [nasty.save, nasty.palette_mask, nasty.grey_16bit])
def test_what_a_label_map_ignores_is_told(tmp_path: Path, write: Callable[[Path, np.ndarray], Path]) -> None:
    assert np.array_equal(read_ignored(write(tmp_path / "m.png", VOC)), VOC == 255)


@pytest.mark.parametrize(
    "write",
    [
        lambda p: nasty.save(p, EIGHT * 255),
        lambda p: nasty.save(p, SOFT),
        lambda p: nasty.bilevel_mask(p, SMALL),
        lambda p: nasty.palette_mask(p, EIGHT * 255),
        lambda p: nasty.rgba(p, np.full((5, 9, 3), 90, np.uint8), EIGHT * 255),
    ],
)
def test_a_mask_of_two_values_ignores_nothing(tmp_path: Path, write: Damage) -> None:
    found = read_ignored(write(tmp_path / "m.png"))
    assert not found.any()
    assert found.dtype == np.bool_


@pytest.mark.parametrize("grey", [True, False], ids=["grey", "RGB"])
def test_jpeg_mask_is_cut_at_half(tmp_path: Path, grey: bool) -> None:
    levels = MASK.astype(np.uint8) * 255
    array = levels if grey else np.repeat(levels[..., None], 3, 2)
    Image.fromarray(array).save(tmp_path / "m.jpg", quality=40)
    assert len(np.unique(np.array(Image.open(tmp_path / "m.jpg")))) > 2
    assert np.array_equal(read_mask(tmp_path / "m.jpg"), MASK)


def test_jpeg_smears_in_a_png(tmp_path: Path) -> None:
    levels = nasty.jpeg_smeared(MASK)
    assert len(np.unique(levels)) > 4
    assert np.array_equal(read_mask(nasty.save(tmp_path / "m.png", levels)), MASK)


def test_half_is_foreground_and_just_below_is_not(tmp_path: Path) -> None:
    assert read_mask(nasty.save(tmp_path / "m.png", np.array([[10, 127, 128, 200]], np.uint8))).tolist() == [
        [False, False, True, True]
    ]


def test_mask_is_turned_as_its_exif_says(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(SMALL).astype(np.uint8) * 255).save(tmp_path / "m.png", exif=exif)
    assert np.array_equal(read_mask(tmp_path / "m.png"), SMALL)


@pytest.mark.parametrize(("name", "message"), [("m.png", "expected a mask, got a picture of"), ("m.jpg", "lossy")])
def test_photograph_as_mask_is_refused(tmp_path: Path, name: str, message: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    with pytest.raises(InputError, match=message):
        read_mask(nasty.save(tmp_path / name, noise))


def test_soft_map_round_trip(tmp_path: Path) -> None:
    soft = np.array([[0, 0.25, 1], [0.5, 0.1, 0.9]], np.float32)
    write_png(tmp_path / "s.png", soft)
    assert np.abs(read_soft(tmp_path / "s.png") - soft).max() <= 0.5 / 255 + 1e-6
    assert read_soft(tmp_path / "s.png").dtype == np.float32
    nasty.grey_16bit(tmp_path / "deep.png", np.array([[0, 32768, 65535]], np.uint16))
    assert read_soft(tmp_path / "deep.png")[0].tolist() == pytest.approx([0, 32768 / 65535, 1])
    nasty.bilevel_mask(tmp_path / "bits.png", SMALL)
    assert np.array_equal(read_soft(tmp_path / "bits.png"), SMALL.astype(np.float32))


def test_soft_map_must_be_grey(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected a grey soft map .* mode RGB"):
        read_soft(nasty.save(tmp_path / "s.png", IMAGE))


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((24, 36), bool), "empty"),
        (np.ones((24, 36), bool), "full"),
        (np.eye(24, 36, dtype=bool) & (np.arange(36) < 3), "at least 4 foreground pixels, got 3"),
        (MASK[:-1], r"36 x 24 \(width x height\), got 36 x 23"),
        (MASK.T, r"36 x 24 \(width x height\), got 24 x 36"),
    ],
)
def test_pairs_that_do_not_fit(mask: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        check_pair(IMAGE, mask, Path("a.jpg"), Path("a_mask.png"))
    assert caught.value.where == Path("a_mask.png")
    assert caught.value.remedy


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("drawn", [MASK, MASK.astype(np.uint8) * 7], ids=["mask", "labels"])
def test_what_is_drawn_on_unturned_pixels_is_turned_with_them(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, drawn: np.ndarray, orientation: int
) -> None:
    caplog.set_level(logging.INFO, "aligndiff_cli")
    stored = {
        5: IMAGE.swapaxes(0, 1), 6: np.rot90(IMAGE), 7: np.rot90(IMAGE, 2).swapaxes(0, 1), 8: np.rot90(IMAGE, 3)
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    image = read_image(tmp_path / "a.png")
    assert np.array_equal(image, IMAGE)
    # the stored pixels of the object are those of its mask
    unturned = np.where((stored == (230, 30, 20)).all(axis=2), drawn.max(), 0).astype(drawn.dtype)
    paths = tmp_path / "a.png", tmp_path / "m.png"
    turned = turned_alike(unturned, image.shape[:2], *paths)
    assert turned.dtype == drawn.dtype
    assert np.array_equal(turned, drawn)
    assert f"{paths[1]} is drawn on the unturned pixels of a.png" in caplog.text
    assert turned_alike(drawn, image.shape[:2], *paths) is drawn


def test_what_fits_neither_way_is_not_turned(tmp_path: Path) -> None:
    path = nasty.exif_turned(tmp_path / "a.jpg", IMAGE, 6)
    small = MASK[:-2]
    assert turned_alike(small, IMAGE.shape[:2], path, tmp_path / "m.png") is small
    upright = nasty.save(tmp_path / "b.png", IMAGE)
    assert turned_alike(MASK.T, IMAGE.shape[:2], upright, tmp_path / "m.png").shape == MASK.T.shape


def test_a_mask_turned_by_a_tag_of_its_own_is_explained(tmp_path: Path) -> None:
    path = nasty.save(tmp_path / "a.png", IMAGE)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(MASK).save(tmp_path / "m.png", exif=exif)
    mask = read_mask(tmp_path / "m.png")
    with pytest.raises(
        InputError, match=r"'m\.png' is shown turned by an EXIF orientation that its photograph has not"
    ):
        check_pair(IMAGE, mask, path, tmp_path / "m.png")


@pytest.mark.parametrize("array", [IMAGE, IMAGE[:, :, 0], MASK])
def test_png_round_trip_and_same_bytes(tmp_path: Path, array: np.ndarray) -> None:
    write_png(tmp_path / "new" / "a.png", array)
    write_png(tmp_path / "b.png", array[:, ::-1][:, ::-1])
    assert (tmp_path / "new" / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    stored = np.array(Image.open(tmp_path / "b.png"))
    assert np.array_equal(stored, array.astype(np.uint8) * 255 if array.dtype == bool else array)
    assert sorted(p.name for p in tmp_path.rglob("*.png*")) == ["a.png", "b.png"]


def test_palette_png_keeps_labels(tmp_path: Path) -> None:
    write_png(tmp_path / "l.png", VOC, palette=np.arange(768, dtype=np.uint8).reshape(256, 3))
    with Image.open(tmp_path / "l.png") as picture:
        assert picture.mode == "P"
        assert np.array_equal(np.array(picture), VOC)
        assert picture.convert("RGB").getpixel((1, 1)) == (45, 46, 47)
    with pytest.raises(ValueError, match="palette needs"):
        write_png(tmp_path / "l.png", IMAGE, palette=np.zeros((2, 3), np.uint8))


def test_jpeg_has_the_colours(tmp_path: Path) -> None:
    write_jpeg(tmp_path / "a.jpg", IMAGE)
    assert np.abs(read_image(tmp_path / "a.jpg").astype(int) - IMAGE).mean() < 4


@pytest.mark.parametrize(
    "array",
    [
        IMAGE.astype(np.int64),
        IMAGE[..., :2],
        np.zeros((2, 3, 3), np.float32),
        np.array([[0, 1.5]]),
        np.array([[np.nan]]),
    ],
)
def test_arrays_that_are_no_picture(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected a bool or uint8"):
        write_png(tmp_path / "a.png", array)
    assert list(tmp_path.iterdir()) == []


def test_no_space_left_leaves_the_old_file_and_no_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_png(tmp_path / "a.png", MASK)
    before = (tmp_path / "a.png").read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(FolderError, match="no space left"):
        write_png(tmp_path / "a.png", IMAGE)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == before


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.arange(24, dtype=np.int32).reshape(4, 6) * 10, "has 32 bits for each value"),
        (np.arange(24, dtype=np.float32).reshape(4, 6) * 10, "expected values from 0 to 1, got 0 to 230"),
    ],
)
def test_a_picture_whose_white_is_not_known_is_named(tmp_path: Path, values: np.ndarray, message: str) -> None:
    path = nasty.save(tmp_path / "a.tif", values)
    for read in (read_image, read_soft):
        with pytest.raises(InputError, match=message):
            read(path)


@pytest.mark.parametrize("tag", [2, 3, 4, 6])
@pytest.mark.parametrize(
    ("orientation", "said", "turned"),
    [("auto", "it is taken as drawn on what is shown", False), ("shown", "", False), ("stored", "", True)],
)
def test_a_mask_that_fits_its_photograph_both_ways(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, tag: int, orientation: str, said: str, turned: bool
) -> None:
    image, mask = (array[:, :24] for array in (IMAGE, MASK)) if tag == 6 else (IMAGE, MASK)
    exif = Image.Exif()
    exif[0x0112] = tag
    path = tmp_path / "a.png"
    Image.fromarray(image).save(path, exif=exif)
    drawn = nasty.save(tmp_path / "m.png", mask)
    shown = read_image(path)
    assert shown.shape == image.shape
    upright = {2: np.fliplr, 3: lambda a: a[::-1, ::-1], 4: np.flipud, 6: lambda a: np.rot90(a, 3)}[tag](mask)
    with caplog.at_level("INFO"):
        found = turned_alike(read_mask(drawn), shown.shape[:2], path, drawn, orientation)  # type: ignore[arg-type]
    assert np.array_equal(found, upright if turned else mask)
    assert said in caplog.text
    assert bool(caplog.text) == bool(said)
    # a mask with a tag of its own has been turned by it
    Image.fromarray(mask).save(drawn, exif=exif)
    assert np.array_equal(turned_alike(read_mask(drawn), shown.shape[:2], path, drawn, "stored"), upright)


def test_a_picture_without_an_orientation_turns_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path, drawn = nasty.save(tmp_path / "a.png", IMAGE), nasty.save(tmp_path / "m.png", MASK)
    with caplog.at_level("INFO"):
        for orientation in ("auto", "shown", "stored"):
            assert turned_alike(MASK, IMAGE.shape[:2], path, drawn, orientation) is MASK  # type: ignore[arg-type]
    assert not caplog.text


@pytest.mark.parametrize(("orientation", "fits"), [("auto", True), ("shown", False), ("stored", True)])
def test_a_mask_that_fits_the_stored_pixels_alone(tmp_path: Path, orientation: str, fits: bool) -> None:
    path, drawn = nasty.exif_turned(tmp_path / "a.jpg", IMAGE), tmp_path / "m.png"
    found = turned_alike(np.rot90(MASK), IMAGE.shape[:2], path, drawn, orientation)  # type: ignore[arg-type]
    assert (found.shape == MASK.shape) == fits
