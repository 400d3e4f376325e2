"""``aligndiff prepare``: what is recorded, what is kept, what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from aligndiff_cli.cli.main import app
from aligndiff_cli.engine.lock import Claim
from aligndiff_cli.engine.status import look
from aligndiff_cli.stages import prepare
from tests.datasets.lookalikes import build_coco, build_fss, build_voc


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["prepare", *map(str, arguments)])
    assert isinstance(result.exception, SystemExit | type(None)), result.exception
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def tree(folder: Path) -> dict[str, tuple[int, bytes]]:
    files = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(p.relative_to(folder)): (p.lstat().st_mtime_ns, p.read_bytes()) for p in files}


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("roots")
    return {
        "pascal-5i": build_voc(root / "VOCdevkit", "png"),
        "coco-20i": build_coco(root / "coco", 2017, tuple(range(1, 81, 4))),
        "fss-1000": build_fss(root / "fss", ("pidan", "chess_queen")),
    }


OPTIONS = {
    "pascal-5i": {"fold": 3, "shots": 2, "min_object": 1, "partial": True},
    "coco-20i": {"fold": 0, "shots": 1, "min_object": 1, "partial": True, "year": 2017, "fold_layout": "interleaved"},
    "fss-1000": {"split": "test", "shots": 2, "partial": True},
}


@pytest.mark.parametrize("dataset", OPTIONS)
def test_what_was_done_is_recorded_and_not_done_twice(dataset: str, roots: dict[str, Path], tmp_path: Path) -> None:
    options = OPTIONS[dataset]
    shared = [dataset, "--root", roots[dataset], "--out", tmp_path / "out", "--partial", "--shots", options["shots"]]
    flags = [*shared, *(["--fold", options["fold"]] if "fold" in options else [])]
    output = run(*flags)
    assert "Note expected" in output
    assert "Made. Next: aligndiff invert --images" in output
    recorded = yaml.safe_load((tmp_path / "out" / "run.yaml").read_text())
    assert recorded["command"] == "prepare"
    assert recorded["options"] == {"dataset": dataset, **options}
    assert (tmp_path / "out" / recorded["inputs"]["root"]).resolve() == roots[dataset].resolve()
    before = tree(tmp_path / "out")
    assert "Already there. Next:" in run(*flags)
    assert tree(tmp_path / "out") == before

    assert f"was made with shots = {options['shots']}, now it is 3" in run(*flags, "--shots", 3, code=1)
    assert "was made with seed = 0, now it is 1" in run(*flags, "--seed", 1, code=1)
    other = tmp_path / "other"
    shutil.copytree(roots[dataset], other)
    assert "was made with root = " in run(*flags, "--root", other, code=1)
    if dataset == "pascal-5i":
        assert "was made with sbd = None" in run(*flags, "--sbd", other, code=1)
    else:
        assert f"--sbd has no meaning for {dataset}" in run(*flags, "--sbd", other, code=2)
    assert tree(tmp_path / "out") == before


def test_brackets_in_a_folders_name_are_no_markup(roots: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "of [bold] years"
    said = run("fss-1000", "--root", roots["fss-1000"], "--out", out, "--partial")
    assert f"{out / 'support'} 1 pairs" in said
    assert f"--images {out}/support" in said


@pytest.mark.parametrize("dataset", OPTIONS)
def test_a_killed_run_goes_on(dataset: str, roots: dict[str, Path], tmp_path: Path) -> None:
    fold = ["--fold", OPTIONS[dataset]["fold"]] if "fold" in OPTIONS[dataset] else []
    flags = [dataset, "--root", roots[dataset], "--partial", *fold]
    run(*flags, "--out", tmp_path / "whole")
    shutil.copytree(tmp_path / "whole", tmp_path / "torn", symlinks=True)
    (tmp_path / "torn" / ".unfinished").touch()
    lost = next(path for path in (tmp_path / "torn" / "query").rglob("*.jpg"))
    lost.unlink()
    assert "Made." in run(*flags, "--out", tmp_path / "torn")
    whole, torn = tree(tmp_path / "whole"), tree(tmp_path / "torn")
    assert {name: content for name, (_, content) in torn.items()} == {n: content for n, (_, content) in whole.items()}


def test_a_run_at_work_says_so_and_takes_the_folder(
    roots: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flags = ["fss-1000", "--root", roots["fss-1000"], "--partial", "--out", tmp_path / "out"]

    def killed(*_: object, **__: object) -> None:
        (tmp_path / "out" / "support").mkdir()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "prepare_fss", killed)
        run(*flags, code=130)
    assert look(tmp_path / "out").remarks == ["interrupted: run it again"]
    assert "was made with split = test, now it is train" in run(*flags, "--split", "train", code=1)
    assert "Made." in run(*flags)
    assert look(tmp_path / "out").remarks == []


def test_two_runs_do_not_write_to_one_folder(roots: dict[str, Path], tmp_path: Path) -> None:
    with Claim(tmp_path / "out") as claim:
        assert claim.alone()
        flags = ["--root", roots["fss-1000"], "--partial", "--out", tmp_path / "out"]
        assert "another run is writing to this folder" in run("fss-1000", *flags, code=1)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".lock"]


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_a_folder_of_the_users_own_is_left_alone(roots: dict[str, Path], tmp_path: Path, force: list[str]) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "classes.txt").write_text("mine\n")
    flags = ["--root", roots["fss-1000"], "--partial", "--out", tmp_path / "out"]
    assert "holds 'classes.txt' and no run.yaml" in run("fss-1000", *flags, *force, code=1)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["classes.txt"]


@pytest.mark.parametrize("dataset", OPTIONS)
def test_a_root_is_needed(dataset: str, tmp_path: Path) -> None:
    assert f"{dataset} needs --root" in run(dataset, "--out", tmp_path / "out", code=2)
    assert "there is no such folder" in run(dataset, "--out", tmp_path / "out", "--root", tmp_path / "none", code=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("dataset", OPTIONS)
def test_a_set_that_is_not_complete_is_refused(dataset: str, roots: dict[str, Path], tmp_path: Path) -> None:
    output = run(dataset, "--root", roots[dataset], "--out", tmp_path / "out", code=1)
    assert "is not the published data set: expected" in output
    assert "--partial goes on with what is there" in output
    assert not (tmp_path / "out").exists()


def test_what_is_left_out_is_named_and_told_by_the_exit_code(roots: dict[str, Path], tmp_path: Path) -> None:
    devkit = tmp_path / "VOCdevkit"
    shutil.copytree(roots["pascal-5i"], devkit)
    (devkit / "VOC2012" / "JPEGImages" / "2008_plane.jpg").unlink()
    output = run("pascal-5i", "--fold", 3, "--root", devkit, "--out", tmp_path / "out", "--partial", code=1)
    assert "Skipped" in output
    assert "2008_plane" in (tmp_path / "out" / "failures.jsonl").read_text()
    assert (tmp_path / "out" / "base" / "JPEGImages" / "2008_birds.jpg").exists()
    again = run("pascal-5i", "--fold", 3, "--root", devkit, "--out", tmp_path / "out", "--partial", code=1)
    assert "Already there" in again
    assert "2008_plane" in again


def test_label_maps_may_be_shared_by_folds(roots: dict[str, Path], tmp_path: Path) -> None:
    for fold in (0, 1):
        flags = ["--root", roots["coco-20i"], "--partial", "--label-maps", tmp_path / "maps", "--fold", fold]
        # fold 1 has no photographs of its classes here
        run("coco-20i", *flags, "--out", tmp_path / str(fold), code=fold)
        if not fold:
            before = tree(tmp_path / "maps")
    assert tree(tmp_path / "maps") == before
    assert len(before) == 26
    assert not (tmp_path / "0" / "label_maps").exists()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["other"], "expected one of pascal-5i, coco-20i, fss-1000, emoji-5i, emoji-fss, own, got 'other'"),
        (["coco-20i", "--fold-layout", "x", "--root", "."], "expected one of interleaved, contiguous, got 'x'"),
        (["coco-20i", "--year", "2015", "--root", "."], "2014 or 2017, not 2015"),
        (["fss-1000", "--split", "trn", "--root", "."], "expected one of train, val, test, got 'trn'"),
    ],
)
def test_what_cannot_be_meant(flags: list[str], message: str, tmp_path: Path) -> None:
    shown = run(*flags, "--out", tmp_path / "out", code=2).replace("│ ", "")
    assert message in shown


def test_pairs_to_train_on_are_not_said_to_be_support(tmp_path: Path) -> None:
    root = build_fss(tmp_path / "fss", ("waffle_iron",))
    output = run("fss-1000", "--root", root, "--out", tmp_path / "[out]", "--split", "train", "--partial")
    assert "[out]/train the pairs" in output
    assert output.endswith("Made.")
