from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from aligndiff_cli.datasets import fss_classes
from aligndiff_cli.datasets.fss import prepare_fss
from aligndiff_cli.disk.images import write_png
from aligndiff_cli.disk.support import load_pair, scan_support
from aligndiff_cli.errors import FolderError
from tests.datasets.lookalikes import BIG, build_fss

NAMES = ("abe's_flyingfish", "chess_queen", "pidan")


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the test split were these three."""
    monkeypatch.setitem(fss_classes.SPLITS, "test", NAMES)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_fss(tmp_path_factory.mktemp("fss") / "fewshot_data", NAMES)


def stems(folder: Path) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for pair in scan_support(folder).pairs:
        found.setdefault(pair.cls, set()).add(pair.stem)
    return found


@pytest.mark.parametrize("above", [False, True])
def test_ten_pairs_are_shared_out(root: Path, published: None, tmp_path: Path, above: bool) -> None:
    result = prepare_fss(root.parent if above else root, tmp_path, "test", shots=3, seed=0, partial=False)
    assert not result.warnings
    assert not result.problems
    support, query = stems(tmp_path / "support"), stems(tmp_path / "query")
    assert sorted(support) == sorted(query) == sorted(NAMES)
    for name in NAMES:
        assert len(support[name]) == 3
        assert support[name] | query[name] == {str(number) for number in range(1, 11)}
    assert not scan_support(tmp_path / "query").problems
    image, mask = load_pair(scan_support(tmp_path / "support").pairs[0])
    assert image.shape == (48, 72, 3)
    # cut at half: of its soft edge the brighter pixels belong to it
    expected = np.zeros((48, 72), bool)
    expected[BIG[0] : BIG[2], BIG[1] : BIG[3]] = True
    np.testing.assert_array_equal(mask, expected)
    assert (tmp_path / "ood.txt").read_text() == "chess_queen\npidan\n"
    assert (tmp_path / "classes.txt").read_text().splitlines() == list(NAMES)
    assert next((tmp_path / "query" / "pidan").glob("*.jpg")).is_symlink()


def test_hidden_files_are_no_pairs(published: None, tmp_path: Path) -> None:
    root = build_fss(tmp_path / "fewshot_data", NAMES)
    for name in ("._1.jpg", "._1.png"):
        (root / "pidan" / name).write_bytes(b"\0\5\x16\7")
    assert not prepare_fss(root, tmp_path / "out", "test", shots=1, seed=0, partial=False).problems


def test_the_seed_decides_and_more_shots_hold_fewer(root: Path, published: None, tmp_path: Path) -> None:
    def support(shots: int, seed: int) -> dict[str, set[str]]:
        out = tmp_path / f"{shots}-{seed}"
        prepare_fss(root, out, "test", shots, seed, partial=False)
        return stems(out / "support")

    one, five = support(1, 0), support(5, 0)
    assert all(one[name] <= five[name] for name in NAMES)
    assert support(1, 1) != one
    with pytest.raises(FolderError, match="has 10 pairs: 10 for support leave none to segment"):
        support(10, 0)


def test_another_choice_is_not_mixed_in(root: Path, published: None, tmp_path: Path) -> None:
    for _ in range(2):
        prepare_fss(root, tmp_path, "test", 2, 0, partial=False)
    with pytest.raises(FolderError, match="of another choice"):
        prepare_fss(root, tmp_path, "test", 1, 0, partial=False)


def test_the_train_split_is_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(fss_classes.SPLITS, "train", ("acorn", "zucchini"))
    root = build_fss(tmp_path / "root", ("acorn", "zucchini"))
    prepare_fss(root, tmp_path / "out", "train", 1, 0, partial=False)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["train"]
    assert {name: len(own) for name, own in stems(tmp_path / "out" / "train").items()} == {"acorn": 10, "zucchini": 10}


def test_an_incomplete_set_is_refused_or_told(root: Path, tmp_path: Path) -> None:
    with pytest.raises(FolderError) as refused:
        prepare_fss(root, tmp_path, "test", 1, 0, partial=False)
    assert "expected 240 classes of the split test, found 3" in str(refused.value)
    assert "github.com/HKUSTCV/FSS-1000" in str(refused.value)
    assert not list(tmp_path.iterdir())
    result = prepare_fss(root, tmp_path, "test", 1, 0, partial=True)
    assert result.warnings == ["expected 240 classes of the split test, found 3"]
    assert sorted(stems(tmp_path / "support")) == sorted(NAMES)
    with pytest.raises(FolderError, match="holds none of the classes"):
        prepare_fss(tmp_path / "support", tmp_path / "x", "val", 1, 0, partial=True)


def test_pairs_that_are_missing_or_bad_are_named(published: None, tmp_path: Path) -> None:
    root = build_fss(tmp_path / "root", NAMES)
    (root / "pidan" / "7.png").unlink()
    write_png(root / "chess_queen" / "2.png", np.zeros((48, 72), np.uint8))
    with pytest.raises(FolderError, match="expected 10 pairs of pidan, found 9"):
        prepare_fss(root, tmp_path / "out", "test", 1, 0, partial=False)
    result = prepare_fss(root, tmp_path / "out", "test", 1, 0, partial=True)
    assert result.warnings == ["expected 10 pairs of pidan, found 9"]
    (problem,) = result.problems
    assert "the mask is empty" in str(problem)


def test_the_support_pair_is_drawn_among_those_that_can_be_used(published: None, tmp_path: Path) -> None:
    root = build_fss(tmp_path / "root", NAMES)
    prepare_fss(root, tmp_path / "before", "test", 1, 0, partial=False)
    (drawn,) = stems(tmp_path / "before" / "support")["pidan"]
    write_png(root / "pidan" / f"{drawn}.png", np.full((48, 71), 255, np.uint8))
    result = prepare_fss(root, tmp_path / "after", "test", 1, 0, partial=False)
    (problem,) = result.problems
    assert f"{drawn}.png: expected a mask of the size of '{drawn}.jpg'" in str(problem)
    support, query = stems(tmp_path / "after" / "support"), stems(tmp_path / "after" / "query")
    assert sorted(support) == sorted(query) == sorted(NAMES)
    assert len(support["pidan"]) == 1
    assert support["pidan"] | query["pidan"] == {str(number) for number in range(1, 11)} - {drawn}


def test_a_class_with_too_few_usable_pairs_is_named_and_left_out(published: None, tmp_path: Path) -> None:
    root = build_fss(tmp_path / "root", NAMES)
    for number in range(1, 9):
        write_png(root / "pidan" / f"{number}.png", np.zeros((48, 72), np.uint8))
    result = prepare_fss(root, tmp_path / "out", "test", 2, 0, partial=False)
    assert "'pidan' has 2 pairs: 2 for support leave none to segment" in str(result.problems[-1])
    assert sorted(stems(tmp_path / "out" / "support")) == ["abe's_flyingfish", "chess_queen"]
    assert (tmp_path / "out" / "ood.txt").read_text() == "chess_queen\n"


def test_the_unpacked_folder_is_a_support_folder_as_it_is(root: Path) -> None:
    """FSS-1000's own masks, with tinted soft edges, need no preparation to be read."""
    for pair in scan_support(root).pairs:
        _, mask = load_pair(pair)
        assert int(mask.sum()) == (BIG[2] - BIG[0]) * (BIG[3] - BIG[1])
