from __future__ import annotations

from pathlib import Path

import pytest

from aligndiff_cli.engine.folds import Place, check_apart, check_folds, places
from aligndiff_cli.errors import UsageError


def test_runs_of_folds() -> None:
    assert [place.id for place in places(("0", "1"), 2)] == [
        "fold-0-run-0",
        "fold-0-run-1",
        "fold-1-run-0",
        "fold-1-run-1",
    ]
    assert [place.id for place in places(("",), 1)] == ["run-0"]
    assert Place("3", 2).path("work/{fold}/{run}/support") == Path("work/3/2/support")


def test_a_fold_in_a_path_must_have_a_name() -> None:
    check_folds(("0",), {"--support": "{fold}/support", "--masks": None})
    check_folds(("",), {"--support": "{run}/support"})
    with pytest.raises(UsageError, match=r"--masks holds \{fold\}"):
        check_folds(("",), {"--support": "support", "--masks": "work/{fold}/masks"})


def made(root: Path, *names: str) -> None:
    for name in names:
        (root / name).mkdir(parents=True)


@pytest.mark.parametrize(
    ("out", "source", "how"),
    [
        ("data", "data", "is also given as"),
        ("data/x/../", "data", "is also given as"),
        ("data/new/bank", "data", "lies inside"),
        ("link/new", "data", "lies inside"),
        ("data", "link", "is also given as"),
        (".", "data", "holds"),
        ("data/new", "file", None),
        ("new", "data", None),
        ("data2", "data", None),
        ("data/new", "missing", None),
        ("3/out", "{fold}/{run}/support", None),
        ("3/1/support/out", "{fold}/{run}/support", "lies inside"),
        ("{fold}/1/support", "3/{run}/support", "is also given as"),
        ("3", "{fold}/{run}/support", "holds"),
        (".", "file", "holds"),
    ],
)
def test_an_output_is_apart_from_every_input(tmp_path: Path, out: str, source: str, how: str | None) -> None:
    made(tmp_path, "data/x", "data2", "3/1/support")
    (tmp_path / "link").symlink_to("data")
    (tmp_path / "file").touch()
    inputs = {"--other": tmp_path / "data2" / "y", "--images": tmp_path / source}
    if how is None:
        check_apart("--out", tmp_path / out, inputs)
    else:
        with pytest.raises(UsageError, match=f"--out {how} --images"):
            check_apart("--out", tmp_path / out, inputs)


def test_an_output_that_is_a_file_or_a_loop(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--grounding: expected a folder, got a file"):
        check_apart("--grounding", tmp_path / "file", {})
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(UsageError, match="--out: is a link that leads nowhere"):
        check_apart("--out", tmp_path / "loop", {})
