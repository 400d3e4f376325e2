"""Which files coarse masks are made of, and the masks."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from aligndiff_cli.disk.images import write_png
from aligndiff_cli.engine.manifest import Record
from aligndiff_cli.errors import FolderError, InputError
from aligndiff_cli.stages.masking.coarse import Coarse, CoarseMasks

STARTED, PLAIN = "dog/inverted-0000", "dog/text-0000"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Attention on the upper half; the real mask on the left half."""
    soft = np.zeros((4, 8), np.float32)
    soft[:2] = 0.6
    real = np.zeros((4, 8), bool)
    real[:, :4] = True
    for item in (STARTED, PLAIN):
        write_png(tmp_path / f"coarse/{item}.png", soft)
    write_png(tmp_path / f"real/{STARTED}.png", real)
    return tmp_path


def records(*real: str) -> list[Record]:
    files = {item: [f"images/{item}.png", f"coarse/{item}.png"] for item in (STARTED, PLAIN)}
    for item in real:
        files[item].append(f"real/{item}.png")
    parameters = {"strength": 0.25}
    return [Record(item, "dog", {}, dict.fromkeys(names, ""), parameters) for item, names in files.items()]


@pytest.mark.parametrize(
    ("kind", "rows", "columns", "files"),
    [
        ("attention", slice(0, 2), slice(0, 8), ["coarse"]),
        ("real", slice(0, 4), slice(0, 4), ["real"]),
        # attention is 0.1 above and 0.5 below where it is cut, the real mask 0.5 (a box of one pixel): equal weights
        ("both", slice(0, 4), slice(0, 4), ["coarse", "real"]),
    ],
)
def test_masks(folder: Path, kind: Coarse, rows: slice, columns: slice, files: list[str]) -> None:
    masks = CoarseMasks(folder, kind, 0.5)
    masks.read(records(STARTED))
    expected = np.zeros((4, 8), bool)
    expected[rows, columns] = True
    assert np.array_equal(masks.mask(STARTED), expected)
    assert list(masks.files(STARTED)) == files
    assert masks.of(STARTED) == kind


def test_samples_from_noise_have_attention(folder: Path) -> None:
    masks = CoarseMasks(folder, "real", 0.5)
    masks.read(records(STARTED))
    assert masks.of(PLAIN) == "attention"
    assert list(masks.files(PLAIN)) == ["coarse"]
    assert masks.mask(PLAIN).sum() == 16


def test_a_record_must_tell_its_strength(folder: Path) -> None:
    own = [replace(record, parameters={"strength": "much"}) for record in records(STARTED)]
    with pytest.raises(FolderError, match="strength = much, expected a number from 0 to 1"):
        CoarseMasks(folder, "both", 0.5).read(own)


@pytest.mark.parametrize("kind", ["real", "both"])
def test_a_folder_without_real_masks_is_refused(folder: Path, kind: Coarse) -> None:
    with pytest.raises(FolderError, match=f"no real mask for --coarse {kind}.*generate --start real"):
        CoarseMasks(folder, kind, 0.5).read(records())
    CoarseMasks(folder, "attention", 0.5).read(records())


def test_files_of_another_size_are_named(folder: Path) -> None:
    masks = CoarseMasks(folder, "both", 0.5)
    masks.read(records(STARTED))
    masks.check(STARTED, (4, 8))
    write_png(folder / f"real/{STARTED}.png", np.ones((8, 4), bool))
    with pytest.raises(InputError, match=r"real mask of 8 x 4 \(width x height\).*got 4 x 8"):
        masks.check(STARTED, (4, 8))
    masks.check(PLAIN, (4, 8))
    write_png(folder / f"coarse/{PLAIN}.png", np.ones((2, 2), np.float32))
    with pytest.raises(InputError, match="coarse map of 8 x 4"):
        masks.check(PLAIN, (4, 8))
    (folder / f"real/{STARTED}.png").unlink()
    with pytest.raises(InputError, match=r"real/dog/inverted-0000\.png"):
        masks.check(STARTED, (4, 8))
