"""What a run of the gfss protocol reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aligndiff_cli.disk import voc
from aligndiff_cli.disk.images import write_png
from aligndiff_cli.disk.support import PairFiles
from aligndiff_cli.errors import FolderError, InputError
from aligndiff_cli.stages.gfss import data
from aligndiff_cli.stages.samples import Sample
from tests import nasty

NAMES = ["bus", "chess queen", "cat", "lamp", "dog"]
ROWS = data.Rows(dict(enumerate(NAMES, 1)), base=(1, 3, 5), novel=(2, 4))


def base_folder(root: Path, labels: dict[str, np.ndarray], classes: list[str] | None = NAMES) -> voc.VocFolder:
    for stem, label_map in labels.items():
        voc.write_item(root, stem, np.zeros((*label_map.shape, 3), np.uint8), label_map)
    voc.write_split(root, "train", labels)
    if classes is not None:
        voc.write_classes(root, classes)
    return voc.open_voc(root)


def test_rows_are_background_base_and_novel_classes() -> None:
    assert ROWS.numbers.tolist() == [0, 1, 3, 5, 2, 4]
    assert [ROWS.row(number) for number in (0, 1, 2, 3, 4, 5)] == [0, 1, 4, 2, 5, 3]
    labels = np.array([[0, 1, 2], [3, 4, 5], [255, 6, 254]], np.uint8)
    rows = ROWS.to_rows(labels)
    assert rows.tolist() == [[0, 1, 4], [2, 5, 3], [255, 255, 255]]
    assert rows.dtype == np.uint8
    assert ROWS.to_numbers(rows).tolist() == [[0, 1, 2], [3, 4, 5], [255, 255, 255]]
    assert ROWS.to_numbers(rows).dtype == np.uint8


def test_rows_follow_from_the_names_of_the_support_folder(tmp_path: Path) -> None:
    folder = base_folder(tmp_path, {"a": np.ones((4, 6), np.uint8)})
    # folders are written with underscores, and learnt in the order of the class numbers
    assert data.rows_of(folder, ["lamp", "chess_queen"]) == ROWS
    with pytest.raises(FolderError, match=r"classes\.txt.*'sofa'.*Add the novel classes"):
        data.rows_of(folder, ["lamp", "sofa"])


def test_a_base_folder_must_name_its_classes(tmp_path: Path) -> None:
    folder = base_folder(tmp_path, {"a": np.ones((4, 6), np.uint8)}, None)
    with pytest.raises(FolderError, match=r"no classes\.txt"):
        data.rows_of(folder, ["lamp"])


def test_images_with_a_novel_pixel_are_left_out_of_the_base_stage(tmp_path: Path) -> None:
    ground = np.zeros((10, 14), np.uint8)
    labels = {stem: ground.copy() for stem in ("plain", "base", "pixel", "both", "ignored")}
    labels["base"][:4], labels["base"][4:8] = 3, 5
    labels["pixel"][9, 13] = 4
    labels["both"][:4], labels["both"][5:] = 1, 2
    labels["ignored"][:4], labels["ignored"][0] = 1, 255
    folder = base_folder(tmp_path, labels)
    scenes = data.read_scenes(folder, ROWS, base_only=True)
    assert scenes.stems == ["plain", "base", "ignored"]
    assert scenes.shown == [frozenset(), {2, 3}, {1}]
    assert scenes.problems == []
    image, rows = scenes.images[1]
    assert image.shape == (10, 14, 3)
    assert rows[:, 0].tolist() == [2] * 4 + [3] * 4 + [0] * 2
    assert np.unique(scenes.images[2][1]).tolist() == [0, 1, 255]
    everything = data.read_scenes(folder, ROWS, base_only=False)
    assert everything.stems == list(labels)
    assert everything.shown[3] == {1, 4}


def test_a_bad_image_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    folder = base_folder(tmp_path, {stem: np.ones((4, 6), np.uint8) for stem in "abcde"})
    folder.label_map("b").write_bytes(b"no picture")
    folder.picture("c").unlink()
    nasty.cut_short(folder.picture("d"), 0.9)
    voc.write_label_map(folder.label_map("e"), np.ones((4, 5), np.uint8))
    folder = voc.open_voc(tmp_path)
    scenes = data.read_scenes(folder, ROWS, base_only=True)
    assert scenes.stems == ["a"]
    assert [Path(str(problem.where)).name for problem in scenes.problems] == ["b.png", "c", "d.jpg", "e.png"]
    assert data.scenes_digest(folder, folder.stems) != data.scenes_digest(folder, ["a"])


def test_images_are_held_or_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = base_folder(tmp_path, {stem: np.ones((4, 6), np.uint8) for stem in "abc"})
    monkeypatch.setattr(data, "KEPT_BYTES", 2 * 4 * 6 * (3 + 1))  # of two of them
    held = data.read_scenes(folder, ROWS, base_only=False).images
    assert held[0] is held[0]
    first = held[0]
    assert held[1] is held[1]
    assert held[0] is first
    assert [held[place][1].tolist() for place in (2, 0)] == [[[1] * 6] * 4] * 2  # b goes, which was used longest ago
    assert held[0] is first
    again = data.read_scenes(folder, ROWS, base_only=False, held=False).images
    assert again[0] is not again[0]


def test_no_image_left_is_an_error(tmp_path: Path) -> None:
    folder = base_folder(tmp_path, {"a": np.full((4, 6), 2, np.uint8)})
    with pytest.raises(FolderError, match="no image can be used"):
        data.read_scenes(folder, ROWS, base_only=True)


def test_a_digest_sees_pictures_labels_and_the_choice(tmp_path: Path) -> None:
    folder = base_folder(tmp_path, {stem: np.ones((4, 6), np.uint8) for stem in "abc"})
    digest = data.scenes_digest(folder, ["a", "b"])
    assert digest == data.scenes_digest(folder, ["a", "b"])
    assert digest != data.scenes_digest(folder, ["a"])
    voc.write_label_map(folder.label_map("c"), np.zeros((4, 6), np.uint8))
    assert digest == data.scenes_digest(folder, ["a", "b"])
    voc.write_label_map(folder.label_map("b"), np.zeros((4, 6), np.uint8))
    assert digest != data.scenes_digest(folder, ["a", "b"])


def pairs(**counts: int) -> list[PairFiles]:
    return [
        PairFiles(cls, f"{number:02}", Path(cls, f"{number:02}.jpg"), Path(cls, f"{number:02}.png"))
        for cls, count in counts.items()
        for number in range(count)
    ]


def chosen(shots: int | None, seed: int = 0, run: int = 0, **counts: int) -> dict[str, list[str]]:
    found = data.choose_shots(pairs(**(counts or {"lamp": 20, "cat": 20})), shots, seed, run)
    return {cls: [pair.stem for pair in own] for cls, own in found.items()}


def test_shots_follow_from_seed_and_run() -> None:
    assert list(chosen(1)) == ["cat", "lamp"]
    assert chosen(5) == chosen(5)
    assert chosen(5) != chosen(5, run=1)
    assert chosen(5) != chosen(5, seed=1)
    assert chosen(5)["cat"] != chosen(5)["lamp"]
    assert len({chosen(1, run=run)["cat"][0] for run in range(20)}) > 8


def test_more_shots_hold_fewer_and_more_pairs_elsewhere_change_nothing() -> None:
    five = chosen(5)
    assert {cls: own[:1] for cls, own in five.items()} == chosen(1)
    assert all(len(set(own)) == 5 for own in five.values())
    assert chosen(5, cat=20)["cat"] == five["cat"]
    assert {cls: sorted(own) for cls, own in chosen(None, lamp=3, cat=1).items()} == {
        "cat": ["00"],
        "lamp": ["00", "01", "02"],
    }


def test_too_few_pairs_are_an_error() -> None:
    with pytest.raises(InputError, match="lamp: has 2 usable pairs, expected at least 3"):
        chosen(3, lamp=2, cat=3)


def test_unusable_pairs_are_named(tmp_path: Path) -> None:
    mask = np.zeros((6, 8), np.uint8)
    mask[2:4, 3:6] = 255
    for stem, values in (("good", mask), ("empty", mask * 0), ("small", mask[:4])):
        write_png(tmp_path / "lamp" / f"{stem}.png", np.zeros((6, 8, 3), np.uint8))
        write_png(tmp_path / "lamp" / f"{stem}_mask.png", values)
    usable, problems = data.usable_pairs(tmp_path)
    assert [pair.stem for pair in usable] == ["good"]
    assert len(problems) == 2


@pytest.fixture
def samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six usable samples of each kind and class, and an empty one."""

    def made(kind: str, cls: str, number: int, area: float) -> Sample:
        file = Path(cls, f"{kind}{number}.png")
        return Sample(f"{cls}/{kind}-{number}", cls, kind, file, file, file, {}, area)

    found = [
        made(kind, cls, number, 0.0 if number == 6 else 0.2)
        for cls in ("cat", "lamp")
        for kind in (data.INVERTED, data.TEXT)
        for number in range(7)
    ]
    monkeypatch.setattr(data, "read_samples", lambda *_: found)


@pytest.mark.usefixtures("samples")
@pytest.mark.parametrize(
    ("conditioning", "per_class", "counts"),
    [("full", None, (6, 6)), ("full", 4, (2, 2)), ("full", 5, (3, 2)), ("full", 0, (0, 0)), ("full", 1, (1, 0)),
     ("text", None, (0, 6)), ("text", 4, (0, 4)), ("text", 50, (0, 6))],
)  # fmt: skip
def test_samples_are_half_inverted_and_half_plain(
    conditioning: str, per_class: int | None, counts: tuple[int, int]
) -> None:
    found = data.choose_synthetic(Path(), conditioning, per_class, 0, [])
    assert list(found) == ["cat", "lamp"]
    for cls, own in found.items():
        assert tuple(sum(s.kind == kind for s in own) for kind in (data.INVERTED, data.TEXT)) == counts
        assert all(s.cls == cls and s.area > 0 for s in own)
        assert len({s.id for s in own}) == len(own)


@pytest.mark.usefixtures("samples")
def test_more_samples_hold_fewer_and_another_seed_draws_others() -> None:
    def ids(per_class: int, seed: int = 0) -> set[str]:
        return {s.id for own in data.choose_synthetic(Path(), "full", per_class, seed, []).values() for s in own}

    for fewer in range(1, 8):
        assert ids(fewer) < ids(fewer + 1)
    assert ids(4) == ids(4)
    assert ids(4) != ids(4, seed=1)


def shot(root: Path, mask: np.ndarray, labels: np.ndarray | None = None) -> Path:
    """support/lamp/00.png with its mask, perhaps with a label map; the folder of label maps."""
    write_png(root / "support" / "lamp" / "00.png", np.zeros((*mask.shape, 3), np.uint8))
    write_png(root / "support" / "lamp" / "00_mask.png", mask)
    if labels is not None:
        voc.write_label_map(root / "support_labels" / "lamp" / "00.png", labels)
    return root / "support_labels"


MASK = np.array([[0, 7, 7, 0], [0, 7, 7, 0], [255, 255, 255, 255]], np.uint8)


def test_without_a_label_map_a_shot_is_background_around_its_object_but_where_its_mask_is_void(tmp_path: Path) -> None:
    shot(tmp_path, MASK)
    pairs, _ = data.usable_pairs(tmp_path / "support")
    image, labels = data.novel_class(4, ROWS, pairs, {}, []).real[0]
    assert image.shape == (3, 4, 3)
    assert labels.tolist() == [[0, 5, 5, 0], [0, 5, 5, 0], [255] * 4]
    assert labels.dtype == np.uint8


def test_a_label_map_tells_what_else_a_shot_shows(tmp_path: Path) -> None:
    folder = shot(tmp_path, MASK * (MASK == 7), np.array([[1, 4, 4, 3], [2, 4, 4, 0], [255, 0, 9, 4]], np.uint8))
    pairs, _ = data.usable_pairs(tmp_path / "support")
    found = data.find_label_maps(folder, {"lamp": pairs}, ROWS)
    _, labels = data.novel_class(4, ROWS, pairs, found["lamp"], []).real[0]
    # class 9 has no row; class 2 is novel
    assert labels.tolist() == [[1, 5, 5, 2], [4, 5, 5, 0], [255, 0, 255, 5]]
    assert data.find_label_maps(None, {"lamp": pairs}, ROWS) == {}


def test_label_maps_that_cannot_be_the_shots_own_are_refused(tmp_path: Path) -> None:
    folder = shot(tmp_path, MASK, np.full((3, 5), 4, np.uint8))
    pairs, _ = data.usable_pairs(tmp_path / "support")
    found = data.find_label_maps(folder, {"lamp": pairs}, ROWS)
    with pytest.raises(InputError, match="expected a label map of 4 x 3"):
        data.novel_class(4, ROWS, pairs, found["lamp"], []).real[0]
    shot(tmp_path, MASK, np.full((3, 4), 3, np.uint8))
    with pytest.raises(InputError, match=r"shows no pixel of class 4, which classes\.txt calls 'lamp'"):
        data.find_label_maps(folder, {"lamp": pairs}, ROWS)
    (folder / "lamp" / "00.png").unlink()
    with pytest.raises(InputError, match="no such label map"):
        data.find_label_maps(folder, {"lamp": pairs}, ROWS)


def test_scenes_composed_onto_another_base_folder_are_refused(tmp_path: Path) -> None:
    labels = {"a": np.full((4, 6), 2, np.uint8)}
    same = base_folder(tmp_path / "same", labels, ["bus", "chess_queen"])
    assert data.open_scenes(same, ROWS).images[0][1].tolist() == [[4] * 6] * 4
    other = base_folder(tmp_path / "other", labels, ["bus", "lamp"])
    with pytest.raises(FolderError, match=r"class 2 is 'lamp' here.*same base folder"):
        data.open_scenes(other, ROWS)


def test_a_novel_class_without_a_usable_pair_is_refused(tmp_path: Path) -> None:
    for cls, area in (("dog", 2), ("lamp", 0)):
        mask = np.zeros((4, 6), np.uint8)
        mask[:area, :3] = 255
        write_png(tmp_path / cls / "00.png", np.zeros((4, 6, 3), np.uint8))
        write_png(tmp_path / cls / "00_mask.png", mask)
    with pytest.raises(FolderError, match=r"no pair of the class 'lamp' can be used .*the mask is empty"):
        data.usable_pairs(tmp_path)
    # nor is a class without even one pair taken for a base class
    (tmp_path / "lamp" / "00_mask.png").unlink()
    with pytest.raises(FolderError, match=r"no pair of the class 'lamp' can be used .*00\.png: has no mask"):
        data.usable_pairs(tmp_path)
