"""Which real pair a sample starts from, in which frame, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aligndiff_cli.disk.digest import file_digest
from aligndiff_cli.disk.images import write_png
from aligndiff_cli.engine.manifest import Record
from aligndiff_cli.engine.run_file import RunFile
from aligndiff_cli.engine.stage import Item
from aligndiff_cli.errors import FolderError, InputError
from aligndiff_cli.stages.real_start import RealStarts

RUN = RunFile("invert", {"framing": "window"}, 0, {"images": "../support"})


def draw_pair(folder: Path, stem: str, column: int) -> None:
    """A picture 4 high and 12 wide, black but for a white square of 4 x 4 whose left edge is at a column."""
    mask = np.zeros((4, 12), bool)
    mask[:, column : column + 4] = True
    mask[0, column] = False  # a corner, so that up and down differ
    image = np.zeros((4, 12, 3), np.uint8)
    image[mask] = 255
    write_png(folder / f"{stem}.png", image)
    write_png(folder / f"{stem}_mask.png", mask)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for number in range(3):
        draw_pair(tmp_path / "support" / "dog", f"{number}", 4 * number)
    return tmp_path


def record_of(root: Path, item_id: str, *stems: str) -> Record:
    names = {}
    for stem in stems:
        names[f"dog/{stem}.png"] = root / "support" / "dog" / f"{stem}.png"
        names[f"dog/{stem}_mask.png (mask)"] = root / "support" / "dog" / f"{stem}_mask.png"
    return Record(item_id, "dog", {name: file_digest(path) for name, path in names.items()}, {})


def starts(root: Path, run: RunFile = RUN, seed: int = 0) -> RealStarts:
    return RealStarts(root / "bank", run, seed, 0.5)


def items(count: int, embedding: str) -> list[Item]:
    return [Item(f"dog/inverted-{n:04d}", "dog", {}, {"embedding": embedding}) for n in range(count)]


def test_an_instance_starts_from_its_own_pair(root: Path) -> None:
    own, record, problems = starts(root), record_of(root, "dog/1", "1"), []
    assert own.usable(record, problems)
    assert not problems
    inputs, parameters = own.of_item(record, "dog/inverted-0000")
    assert inputs == record.inputs
    assert parameters == {"start": "real", "strength": 0.5, "real": "dog/1.png"}


@pytest.mark.parametrize(
    ("framing", "height", "width", "rows", "columns"),
    [
        ("window", 4, 8, slice(0, 4), slice(2, 6)),  # columns 2 to 10 of the picture, round the square at 4 to 8
        ("whole", 2, 6, slice(0, 2), slice(2, 4)),  # all of it at half the size
    ],
)
def test_a_pair_is_framed_as_inversion_frames_it(
    root: Path, framing: str, height: int, width: int, rows: slice, columns: slice
) -> None:
    own = starts(root, RunFile("invert", {"framing": framing}, 0, RUN.inputs))
    own.usable(record_of(root, "dog/1", "1"), [])
    start, masks = own.of_group(items(2, "dog/1"), 3, height, width)
    assert len(start.images) == 3  # a full batch
    assert len(masks) == 2
    assert start.strength == 0.5
    expected = np.zeros((height, width), bool)
    expected[rows, columns] = True
    if framing == "window":
        expected[0, 2] = False  # the corner; at half the size it is a quarter of a pixel
    assert np.array_equal(masks[0], expected)
    assert start.images[0].shape == (height, width, 3)
    assert start.images[0][expected].mean() > 200 > 60 > start.images[0][~expected].mean()


def test_of_several_pairs_the_seed_chooses(root: Path) -> None:
    record = record_of(root, "dog", "0", "1", "2")

    def chosen(seed: int) -> list[str]:
        own = starts(root, seed=seed)
        own.usable(record, [])
        return [own.of_item(record, item.id)[1]["real"] for item in items(30, "dog")]

    first = chosen(0)
    assert set(first) == {"dog/0.png", "dog/1.png", "dog/2.png"}
    assert chosen(0) == first
    assert chosen(1) != first


def test_the_pair_that_is_drawn_is_the_one_recorded(root: Path) -> None:
    own, record = starts(root), record_of(root, "dog", "0", "2")
    own.usable(record, [])
    start, masks = own.of_group(items(8, "dog"), 8, 4, 12)
    for item, image, mask in zip(items(8, "dog"), start.images, masks, strict=True):
        column = 4 * int(own.of_item(record, item.id)[1]["real"][4])
        assert image[1, column : column + 4, 0].tolist() == [255] * 4
        assert mask[1].nonzero()[0].tolist() == list(range(column, column + 4))


def test_changed_and_missing_pictures_are_named(root: Path) -> None:
    records = [record_of(root, f"dog/{n}", str(n)) for n in range(3)]
    draw_pair(root / "support" / "dog", "0", 5)
    (root / "support" / "dog" / "1.png").unlink()
    (root / "support" / "dog" / "1_mask.png").unlink()
    own, problems = starts(root), []
    assert [own.usable(record, problems) for record in records] == [False, False, True]
    assert all(isinstance(problem, InputError) for problem in problems)
    changed, gone = map(str, problems)
    assert "dog/0.png: is not the file that dog/0 was learnt from" in changed
    assert "has no 'dog/1.png' any more, which dog/1 was learnt from" in gone
    assert "--start noise does without it" in changed


def test_a_bank_that_knows_no_picture(root: Path) -> None:
    problems: list[InputError] = []
    assert not starts(root).usable(Record("dog/1", "dog", {}, {}), problems)
    assert "names no support picture" in str(problems[0])
    for run, message in (
        (RunFile("invert", {}, 0, {}), "does not say which support folder"),
        (RunFile("invert", {}, 0, {"images": "../moved"}), "not there any more"),
    ):
        with pytest.raises(FolderError, match=message):
            starts(root, run).usable(record_of(root, "dog/1", "1"), [])
