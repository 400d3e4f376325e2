"""Odd pictures and masks among a user's own pairs."""

from __future__ import annotations

from pathlib import Path
from shutil import copytree, ignore_patterns
from unicodedata import normalize

import numpy as np
import pytest

from tests.cli.conftest import Run
from tests.cli.odd import Case, check, records, table
from tests.cli.world import World, draw_synth
from tests.nasty import exif_turned, good_pair, image_and_mask, pipe, save, zero_bytes

pytestmark = pytest.mark.slow

INVERT = "invert --images support --out bank --model {model} --steps 1 --batch 1 --gradient-accumulation 1 --preview 0"
MASK = "mask --images synth --support support --out masks --segmenter prototype --backbone {backbone}"
MASK += " --segmenter-size 64"


def unturned_mask(folder: Path, stem: str) -> None:
    image, mask = image_and_mask()
    exif_turned(folder / f"{stem}.jpg", image)
    save(folder / f"{stem}.png", np.rot90(mask))


def labels_pair(folder: Path, stem: str) -> None:
    """A pair whose mask holds the labels 1 and 2."""
    image, mask = image_and_mask()
    save(folder / f"{stem}.jpg", image)
    labels = mask.astype(np.uint8)
    labels[:, 10:] *= 2
    save(folder / f"{stem}.png", labels)


@table(
    Case(
        "an empty picture",
        lambda w: zero_bytes(w / "support/dog/01.jpg"),
        INVERT,
        "support/dog/01.jpg: is empty (0 bytes)",
        records("bank", "chess_queen/01"),
    ),
    Case(
        "a pipe among the images",
        lambda w: pipe(w / "support/dog/02.jpg"),
        INVERT,
        "support/dog/02.jpg: is no file, but a pipe",
        records("bank", "chess_queen/01", "dog/01"),
    ),
    Case(
        "a pipe among the masks",
        lambda w: pipe(w / "support/dog/01_mask.png"),
        INVERT,
        "support/dog/01_mask.png: is no file, but a pipe",
        records("bank", "chess_queen/01", "dog/01"),
    ),
    Case(
        "a link to a device",
        lambda w: (w / "support/dog/02.jpg").symlink_to("/dev/zero"),
        INVERT,
        "support/dog/02.jpg: is no file, but a device",
        records("bank", "chess_queen/01", "dog/01"),
    ),
    Case(
        "two images of one stem",
        lambda w: (good_pair(w / "support/dog", "02"), good_pair(w / "support/dog", "02", ".jpeg")),
        INVERT,
        "support/dog: '02.jpeg' and '02.jpg' have the same stem",
        records("bank", "chess_queen/01", "dog/01"),
    ),
    Case(
        "one name in two Unicode forms",
        lambda w: [good_pair(w / "support/dog", normalize(form, "é2")) for form in ("NFC", "NFD")],
        INVERT,
        "have the same stem in different Unicode forms",
        records("bank", "chess_queen/01", "dog/01"),
    ),
    Case(
        "a class without a word",
        lambda w: good_pair(w / "support/_-_", "01"),
        INVERT,
        "support/_-_: the name of the class has no word in it",
        records("bank", "chess_queen/01", "dog/01"),
    ),
    Case(
        "a class called like a file",
        lambda w: good_pair(w / "support/run.yaml", "01"),
        INVERT,
        "support: 'run.yaml' cannot be the name of a class",
        records("bank", "chess_queen/01", "dog/01"),
    ),
    Case(
        "a mask on unturned pixels",
        lambda w: unturned_mask(w / "support/dog", "02"),
        INVERT,
        "support/dog/02.png is drawn on the unturned pixels of 02.jpg: it is turned with it",
        records("bank", "chess_queen/01", "dog/01", "dog/02"),
        0,
    ),
    Case(
        "a dark mask",
        lambda w: save(w / "support/dog/01.png", np.arange(36 * 48, dtype=np.uint8).reshape(36, 48) % 101),
        INVERT,
        "support/dog/01.png: the mask is empty: its highest value is 100, and foreground begins at 128 of 255",
        records("bank", "chess_queen/01"),
    ),
    Case(
        "two labels in one mask",
        lambda w: labels_pair(w / "support/dog", "02"),
        INVERT,
        "support/dog/02.png holds 2 labels (1, 2), which are read as one object",
        records("bank", "chess_queen/01", "dog/01", "dog/02"),
        0,
    ),
    Case(
        "many masks with two labels",
        lambda w: (draw_synth(w / "synth", w.model), [labels_pair(w / "support/dog", f"0{n}") for n in range(2, 9)]),
        MASK,
        (
            "support/dog/04.png holds 2 labels",
            "no: support/dog/05.png",
            "... and 4 more like: support/dog/02.png holds 2 labels",
        ),
        lambda w, _: None,
        0,
    ),
)
def test_odd_pairs(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)


@table(
    Case(
        "a truth that is a pipe",
        lambda w: (pipe(w / "query/dog/9.png"), copytree(w / "query", w / "mine", ignore=ignore_patterns("9*"))),
        "evaluate masks --predictions mine --truth query --out results",
        "query/dog/9.png: has no prediction",
        lambda w, _: None,
    ),
)
def test_odd_masks_to_compare(case: Case, world: World, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    check(case, world, run, monkeypatch)
