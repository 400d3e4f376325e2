"""Pairing: what belongs together is found, and what does not is named with the reason and the remedy."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from aligndiff_cli.disk.class_folders import safe_class
from aligndiff_cli.disk.support import PairFiles, load_pair, scan_support
from aligndiff_cli.errors import FolderError, InputError, UsageError
from tests import nasty

IMAGE, MASK = nasty.image_and_mask()


def touch(root: Path, *names: str) -> None:
    """Scanning opens nothing, so empty files do."""
    for name in names:
        nasty.zero_bytes(root / name)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["a.jpg", "a.png"], [("a", "a.jpg", "a.png")]),
        (["a.jpg", "a_mask.png"], [("a", "a.jpg", "a_mask.png")]),
        (["a.png", "a_mask.png"], [("a", "a.png", "a_mask.png")]),
        (["A.JPEG", "A.PNG"], [("A", "A.JPEG", "A.PNG")]),
        (["01.jpg", "01_MASK.PNG"], [("01", "01.jpg", "01_MASK.PNG")]),
        (["01.PNG", "01_Mask.png"], [("01", "01.PNG", "01_Mask.png")]),
        (["gas_mask.png", "gas_mask_MASK.png"], [("gas_mask", "gas_mask.png", "gas_mask_MASK.png")]),
        (["a.tif", "a.png", "b.webp", "b_mask.png"], [("a", "a.tif", "a.png"), ("b", "b.webp", "b_mask.png")]),
        (["gas_mask.jpg", "gas_mask.png"], [("gas_mask", "gas_mask.jpg", "gas_mask.png")]),
        (["gas_mask.png", "gas_mask_mask.png"], [("gas_mask", "gas_mask.png", "gas_mask_mask.png")]),
        (["a.b.jpg", "a.b.png"], [("a.b", "a.b.jpg", "a.b.png")]),
        (["a.jpg", "a.png", "notes.txt", "Thumbs.db", ".DS_Store", "._a.jpg"], [("a", "a.jpg", "a.png")]),
        (["b.jpg", "b.png", "a.jpg", "a.png"], [("a", "a.jpg", "a.png"), ("b", "b.jpg", "b.png")]),
    ],
)
def test_pairs_beside_each_other(tmp_path: Path, names: list[str], expected: list[tuple[str, str, str]]) -> None:
    touch(tmp_path / "dog", *names)
    scan = scan_support(tmp_path)
    assert scan.pairs == [PairFiles("dog", s, tmp_path / "dog" / i, tmp_path / "dog" / m) for s, i, m in expected]
    assert scan.problems == []


@pytest.mark.parametrize(
    ("names", "messages"),
    [
        (["a.jpg"], ["has no mask. Looked for 'a.png' and 'a_mask.png'"]),
        (["a.png"], ["has no mask. Looked for 'a_mask.png'"]),
        (["a_mask.png"], ["a mask without an image. Add the image 'a.jpg'"]),
        (["a.jpg", "a.jpeg", "a.png"], ["'a.jpeg' and 'a.jpg' have the same stem"]),
        (["a.png", "a.PNG", "a_mask.png"], ["'a.PNG' and 'a.png' have the same stem"]),
        (["a.jpg", "a.png", "a_mask.png"], ["has 2 masks: 'a.png' and 'a_mask.png'"]),
        (["a.jpg", "a_mask.jpg"], ["Looked for 'a.png'", "if it is a mask itself, save it as PNG"]),
        (
            [unicodedata.normalize(form, f"é.{end}") for form, end in (("NFC", "jpg"), ("NFD", "jpg"), ("NFC", "png"))],
            ["have the same stem in different Unicode forms"],
        ),
        (["a.HEIC"], ["format that is not read (.heic)"]),
        (["sub/a.jpg"], ["is a folder within a class folder"]),
        (["notes.txt"], ["holds no pictures"]),
        (["a\nb.jpg", "a\nb.png"], ["contains '\\n'", "contains '\\n'"]),
    ],
)
def test_what_cannot_be_paired_is_named(tmp_path: Path, names: list[str], messages: list[str]) -> None:
    touch(tmp_path / "dog", *names)
    touch(tmp_path / "fine", "a.jpg", "a.png")
    scan = scan_support(tmp_path)
    assert [pair.cls for pair in scan.pairs] == ["fine"]
    assert len(scan.problems) == len(messages)
    for problem, message in zip(scan.problems, messages, strict=True):
        assert message in str(problem)
        assert problem.where is not None
        assert problem.remedy


def test_masks_apart(tmp_path: Path) -> None:
    touch(tmp_path / "s" / "dog", "a.jpg", "b.png", "gas_mask.jpg", "c.jpg")
    touch(tmp_path / "m" / "dog", "a.png", "b_MASK.png", "gas_mask.png", "d.png", "c.jpg")
    touch(tmp_path / "s" / "cat", "a.jpg")
    touch(tmp_path / "m" / "cow", "a.png")
    scan = scan_support(tmp_path / "s", tmp_path / "m")
    assert [(p.stem, p.mask.name) for p in scan.pairs] == [
        ("a", "a.png"), ("b", "b_MASK.png"), ("gas_mask", "gas_mask.png")
    ]  # fmt: skip
    assert [(Path(p.where).relative_to(tmp_path).as_posix(), p.what) for p in scan.problems if p.where] == [
        ("m/cat", "there is no folder with the masks of this class"),
        ("m/cow", "holds masks of a class that has no images"),
        ("m/dog/c.jpg", "is a mask, but no PNG"),
        ("m/dog/d.png", "is a mask without an image"),
        ("s/dog/c.jpg", "has no mask"),
    ]


def test_the_same_folder_twice_is_one_folder(tmp_path: Path) -> None:
    touch(tmp_path / "dog", "a.jpg", "a.png")
    assert scan_support(tmp_path, tmp_path / "dog" / "..") == scan_support(tmp_path)


@pytest.mark.parametrize("masks", [None, "m", "m/dog"])
def test_a_folder_of_pairs_is_a_class_folder_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, masks: str | None
) -> None:
    touch(tmp_path / "dog", "a.jpg", "b.png", "notes.txt")
    touch(tmp_path / (masks or "dog"), "a.png", "b_mask.png")
    with caplog.at_level("INFO"):
        scan = scan_support(tmp_path / "dog" / ".", None if masks is None else tmp_path / "m")
    assert [(pair.cls, pair.stem) for pair in scan.pairs] == [("dog", "a"), ("dog", "b")]
    assert (scan.problems, scan.classes) == ([], {"dog"})
    assert "they are taken for the class 'dog'" in caplog.text


def test_images_outside_class_folders(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "b.jpg", "notes.txt")
    touch(tmp_path / "dog", "a.jpg", "a.png")
    scan = scan_support(tmp_path)
    assert [pair.cls for pair in scan.pairs] == ["dog"]
    assert "'a.jpg' and 1 more lie outside a class folder" in str(scan.problems[0])
    assert "<class>" in str(scan.problems[0])


@pytest.mark.parametrize(
    ("make", "kind", "message"),
    [
        (lambda p: None, UsageError, "no such folder"),
        (lambda p: p.mkdir(), FolderError, "holds no class folders"),
        (nasty.text_file, UsageError, "expected a folder, got a file"),
        (lambda p: touch(p, ".hidden/a.jpg", "notes.txt"), FolderError, "holds no class folders"),
    ],
)
def test_no_support_at_all_shows_the_layout(
    tmp_path: Path, make: Callable[[Path], object], kind: type[Exception], message: str
) -> None:
    make(tmp_path / "support")
    with pytest.raises(kind, match=message) as caught:
        scan_support(tmp_path / "support")
    assert "support/<class>/<stem>.jpg" in str(caught.value)


def test_names_are_compared_in_one_unicode_form(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", nasty.ACCENTED)
    touch(tmp_path / "s" / decomposed, unicodedata.normalize("NFD", "à.jpg"))
    touch(tmp_path / "m" / nasty.ACCENTED, unicodedata.normalize("NFC", "à.png"))
    (pair,) = scan_support(tmp_path / "s", tmp_path / "m").pairs
    assert (pair.cls, pair.stem) == (nasty.ACCENTED, unicodedata.normalize("NFC", "à"))
    assert pair.image.exists()


def test_folders_that_look_alike(tmp_path: Path) -> None:
    for form in ("NFC", "NFD"):
        touch(tmp_path / unicodedata.normalize(form, "crème"), "a.jpg", "a.png")
    scan = scan_support(tmp_path)
    assert scan.pairs == []
    assert "2 class folders have names that look alike" in str(scan.problems[0])


def test_links_are_followed_and_dead_ones_named(tmp_path: Path) -> None:
    touch(tmp_path / "elsewhere", "x.jpg", "x.png")
    (tmp_path / "support" / "dog").mkdir(parents=True)
    for suffix in (".jpg", ".png"):
        (tmp_path / "support" / "dog" / f"a{suffix}").symlink_to(tmp_path / "elsewhere" / f"x{suffix}")
    (tmp_path / "support" / "dog" / "dead.jpg").symlink_to(tmp_path / "nowhere.jpg")
    (tmp_path / "support" / "cat").symlink_to(tmp_path / "elsewhere")
    scan = scan_support(tmp_path / "support")
    assert [(p.cls, p.stem) for p in scan.pairs] == [("cat", "x"), ("dog", "a")]
    assert [p.what for p in scan.problems] == ["is a link that leads nowhere"]


def test_names_that_are_no_text_are_named(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path) + b"/dog"
    try:
        os.makedirs(folder + b"/\xfe")  # noqa: PTH103 - names that are not UTF-8 need bytes
    except OSError:
        pytest.skip("this disk refuses names that are not UTF-8")
    for name in (b"/dog/\xff.jpg", b"/dog/\xff.gif", b"/\xff.png"):
        with open(os.fsencode(tmp_path) + name, "wb"):  # noqa: PTH123
            pass
    problems = scan_support(tmp_path).problems
    assert len(problems) == 4
    assert all(str(problem).isascii() for problem in problems)


@pytest.mark.parametrize("name", ["dog", "hot dog", nasty.ACCENTED, "猫", "a.b", "x" * 200])
def test_safe_names(name: str) -> None:
    assert safe_class(name) == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("", "empty or begins with a dot"),
        ("  ", "empty"),
        (".", "begins with a dot"),
        ("..", "begins with a dot"),
        (".git", "begins with a dot"),
        ("a/b", "contains '/'"),
        ("a\\b", r"contains '\\\\'"),
        ("a\nb\0", r"contains '\\x00', '\\n'"),
        ("a\udcff", "contains"),
        ("é" * 101, "at most 200 bytes, got 202"),
    ],
)
def test_unsafe_names(name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        safe_class(name)


def test_everything_at_once(tmp_path: Path) -> None:
    loads, fails, problems = nasty.nasty_support(tmp_path)
    scan = scan_support(tmp_path)
    found = {(pair.cls, pair.stem): pair for pair in scan.pairs}
    assert found.keys() == loads | fails
    assert len(scan.problems) == problems
    for key in loads:
        image, mask = load_pair(found[key])
        assert np.array_equal(mask, MASK)
        assert np.abs(image.astype(int) - IMAGE).mean() < 12
    for key in fails:
        with pytest.raises(InputError) as caught:
            load_pair(found[key])
        assert caught.value.where in (found[key].image, found[key].mask)
        assert caught.value.remedy
