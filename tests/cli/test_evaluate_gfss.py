"""``aligndiff evaluate gfss``, whole, on a tiny backbone and drawn boxes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from aligndiff_cli.disk import voc
from aligndiff_cli.disk.images import write_png
from aligndiff_cli.engine.run_file import read_run
from aligndiff_cli.models.semantic import base_training
from aligndiff_cli.models.semantic.methods import METHODS
from aligndiff_cli.stages import evaluate_gfss
from tests.cli.conftest import Run
from tests.cli.test_chain import tree_bytes

pytestmark = pytest.mark.slow

NAMES = ["bus", "chess queen", "cat", "lamp", "dog"]
NOVEL = {"chess_queen": 2, "lamp": 4}
COLOURS = [(128, 128, 128), (250, 20, 20), (20, 250, 20), (20, 20, 250), (250, 250, 20), (20, 250, 250)]
FAST = ["--epochs", 1, "--base-batch", 2, "--iterations", 2, "--batch", 2, "--crop", 32]


def picture(
    rng: np.random.Generator, numbers: tuple[int, ...], height: int = 40, width: int = 56
) -> tuple[np.ndarray, np.ndarray]:
    """Boxes side by side, each in the colour of its class."""
    labels = np.zeros((height, width), np.uint8)
    for at, number in enumerate(numbers):
        left = at * width // len(numbers) + int(rng.integers(4))
        labels[4 : height - 8, left : left + width // 3] = number
    noise = rng.integers(-15, 16, (height, width, 3))
    return (np.array(COLOURS)[labels] + noise).clip(0, 255).astype(np.uint8), labels


def draw_voc(root: Path, split: str, shown: list[tuple[int, ...]], sizes: list[tuple[int, int]]) -> None:
    rng = np.random.default_rng(0)
    stems = [f"{split}{number}" for number in range(len(shown))]
    for stem, numbers, size in zip(stems, shown, sizes, strict=True):
        voc.write_item(root, stem, *picture(rng, numbers, *size))
    voc.write_split(root, split, stems)
    voc.write_classes(root, NAMES)


def draw_support(root: Path, classes: dict[str, int], count: int = 3) -> None:
    rng = np.random.default_rng(1)
    for cls, number in classes.items():
        for stem in range(count):
            image, labels = picture(rng, (number,), 36, 48)
            write_png(root / cls / f"{stem}.png", image)
            write_png(root / cls / f"{stem}_mask.png", (labels > 0).astype(np.uint8) * 255)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """base/ (one image shows a novel class), support/, query/, scenes/."""
    root = tmp_path_factory.mktemp("gfss")
    draw_voc(root / "base", "train", [(1,), (3, 5), (1, 3), (5,), (1, 4)], [(40, 56)] * 5)
    draw_voc(root / "query", "val", [(1, 2), (3, 4), (5, 2)], [(40, 56), (40, 56), (44, 36)])
    draw_voc(root / "scenes", "train", [(1, 2), (2, 4)], [(40, 56)] * 2)
    draw_support(root / "support", NOVEL)
    return root


class Gfss:
    """The command on the drawn folders; the base model is trained once for all of them."""

    def __init__(self, run: Run, root: Path, backbone: Path, out: Path) -> None:
        self.run, self.root, self.backbone, self.out = run, root, backbone, out
        self.base_model = root / "base-model"

    def __call__(self, out: str, *more: object, code: int = 0, **paths: object) -> str:
        given = {name: self.root / name for name in ("base", "support", "query")}
        given |= {"backbone": self.backbone, "base-model": self.base_model, "out": self.out / out}
        given |= {name.replace("_", "-"): path for name, path in paths.items()}
        flags = [part for name, path in given.items() if path is not None for part in (f"--{name}", path)]
        output = self.run("evaluate", "gfss", *flags, *FAST, *more, code=code).output
        return " ".join(output.replace("│", " ").split())

    def document(self, out: str) -> dict[str, Any]:
        return json.loads((self.out / out / "metrics.json").read_text())


@pytest.fixture
def gfss(run: Run, drawn: Path, backbone: Path, tmp_path: Path) -> Gfss:
    return Gfss(run, drawn, backbone, tmp_path)


def mean_iou(step: dict[str, Any], classes: list[int]) -> float | None:
    """From the counts of a step."""
    counts = step["confusion"]
    found = []
    for key in map(str, classes):
        both = counts["intersection"].get(key, 0)
        either = counts["predicted"].get(key, 0) + counts["target"].get(key, 0) - both
        if either:
            found.append(both / either)
    return sum(found) / len(found) if found else None


@pytest.mark.parametrize("method", METHODS)
def test_every_method_reports_both_ways_and_does_nothing_twice(gfss: Gfss, method: str) -> None:
    assert "1 made" in gfss("a", "--method", method)
    document = gfss.document("a")
    assert document["settings"]["method"] == method
    (result,) = document["runs"]
    assert [step["learnt"] for step in result["steps"]] == [[2], [2, 4]]
    steps = []
    for step in result["steps"]:
        base, novel = mean_iou(step, [0, 1, 3, 5]), mean_iou(step, step["learnt"])
        assert base is not None
        assert novel is not None
        steps.append((base, novel, 2 * base * novel / (base + novel) if base + novel else 0.0))
        # what is not yet learnt counts nowhere
        assert set(step["confusion"]["target"]) <= {"0", "1", "3", "5", *map(str, step["learnt"])}
    # the last step sees every pixel of the three queries
    assert sum(result["steps"][1]["confusion"]["target"].values()) == 2 * 40 * 56 + 44 * 36
    for at, key in enumerate(("base", "novel", "hm")):
        assert document["overall"]["last"][key]["mean"] == pytest.approx(steps[1][at])
        assert document["overall"]["over_steps"][key]["mean"] == pytest.approx((steps[0][at] + steps[1][at]) / 2)
    table = (gfss.out / "a" / "table.md").read_text()
    for words in ("after the last step", "mean over steps", "HM", "chess queen", "lamp"):
        assert words in table
    assert (gfss.out / "a" / "report.html").read_text().startswith("<!doctype html>")
    before = tree_bytes(gfss.out / "a")
    assert "0 made" in gfss("a", "--method", method)
    assert tree_bytes(gfss.out / "a") == before


def test_a_model_that_knows_everything_scores_all_there_is(gfss: Gfss, monkeypatch: pytest.MonkeyPatch) -> None:
    def oracle(_: object, images: list[np.ndarray]) -> list[np.ndarray]:
        """Rows of the classifier, from the colours."""
        rows = np.array([0, 1, 4, 2, 5, 3], np.uint8)
        far = [np.abs(image[..., None, :].astype(int) - COLOURS).sum(-1) for image in images]
        return [rows[distances.argmin(-1)] for distances in far]

    monkeypatch.setattr(evaluate_gfss, "predict", oracle)
    gfss("a", "--method", "gfs")
    for report in ("last", "over_steps"):
        figures = gfss.document("a")["overall"][report]
        # pictures are JPEG, so that a few pixels at edges are of no colour
        assert all(figures[key]["mean"] > 0.9 for key in ("base", "novel", "hm"))


def test_a_base_model_is_trained_once_and_left_alone(
    gfss: Gfss, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    gfss("a", "--method", "gfs", base_model=model)
    before = tree_bytes(model)
    assert set(before) == {".lock", "model.safetensors", "run.yaml"}

    def never(*_: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(base_training, "augment", never)
    gfss("b", "--method", "finetune", base_model=model)
    assert tree_bytes(model) == before
    output = gfss("c", "--method", "gfs", "--base-lr", 0.5, code=1, base_model=model)
    assert "learning_rate = 0.01, now it is 0.5" in output
    assert "Give another folder with --base-model, or remove this one to train again" in output
    other = tmp_path / "base"
    shutil.copytree(gfss.root / "base", other)
    voc.write_label_map(other / "SegmentationClass" / "train0.png", np.ones((40, 56), np.uint8))
    assert "base images" in gfss("d", "--method", "gfs", code=1, base_model=model, base=other)
    assert tree_bytes(model) == before
    monkeypatch.undo()
    # the backbone is known by its weights, not by its place
    copied = shutil.copytree(gfss.backbone, gfss.out / "copied")
    assert "0 made" in gfss("a", "--method", "gfs", base_model=model, backbone=copied)
    preprocessing = json.loads((copied / "preprocessor_config.json").read_text())
    preprocessing["image_mean"] = [0.25, 0.5, 0.75]
    (copied / "preprocessor_config.json").write_text(json.dumps(preprocessing))
    assert "backbone fingerprint" in gfss("c", "--method", "gfs", code=1, base_model=model, backbone=copied)
    # without --base-model it lies with the results
    gfss("e", "--method", "gfs", base_model=None)
    weights = (gfss.out / "e" / "base-model" / "model.safetensors").read_bytes()
    assert weights == before["model.safetensors"]


def test_what_is_missing_is_made_again_to_the_same_bytes(gfss: Gfss) -> None:
    runs = ["--method", "gaps", "--runs", 2, "--shots", 1]
    gfss("whole", *runs)
    shutil.copytree(gfss.out / "whole", gfss.out / "torn")
    (gfss.out / "torn" / "classes" / "run-1.json").unlink()
    assert "1 made" in gfss("torn", *runs)
    assert tree_bytes(gfss.out / "torn") == tree_bytes(gfss.out / "whole")
    # one run more adds to the first
    gfss("fewer", "--method", "gaps", "--runs", 1, "--shots", 1)
    assert "1 made" in gfss("fewer", *runs)
    assert gfss.document("fewer") == gfss.document("whole")


def test_every_method_gets_the_same_few_shots(gfss: Gfss) -> None:
    for method in ("gfs", "finetune"):
        gfss(method, "--method", method, "--runs", 3, "--shots", 2)
    one, other = ([run["support"] for run in gfss.document(method)["runs"]] for method in ("gfs", "finetune"))
    assert one == other
    assert all(len(set(stems)) == 2 for run in one for stems in run.values())
    assert any(run != one[0] for run in one[1:])
    assert "0" in (gfss.out / "gfs" / "table.md").read_text()


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--runs", 2], "several runs would all have the same few shots"),
        (["--layout", "scenes"], "--layout scenes and --scenes go together"),
        (["--scenes", "x"], "--layout scenes and --scenes go together"),
        (["--layout", "scenes", "--scenes", "x", "--method", "pifs"], "pifs does not learn from scenes"),
        (["--method", "other"], "'--method': expected one of finetune, gaps, pifs, gfs, got 'other'"),
        (["--layout", "other"], "'--layout': expected one of paste, plain, scenes, got 'other'"),
        (["--scale-of", "other"], "'--scale-of': expected one of frame, pixels, got 'other'"),
        (["--guided-share", 1.1], "'--guided-share': expected at most 1, got 1.1"),
        (["--guided-share", 0, "--method", "pifs"], "--guided-share has no meaning for --method pifs"),
        (
            ["--guided-share", 0, "--layout", "scenes", "--scenes", "x"],
            "--guided-share has no meaning for --layout scenes",
        ),
        (["--conditioning", "other"], "'--conditioning': expected one of full, text, got 'other'"),
        (["--fold", "0,0"], "--fold: names a fold twice"),
        (["--fold", "0,1"], "with {fold} in --support"),
        (["--masks", "work/{fold}/masks"], "--masks holds {fold}, but no fold is named"),
        (["--fold", "../0"], "--fold: expected names"),
        (["--output-stride", 12], "the output stride must be one of (8, 16, 32), got 12"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error(gfss: Gfss, flags: list[object], message: str) -> None:
    assert message in gfss("a", *flags, code=2, base_model=None)
    assert not (gfss.out / "a").exists()


def test_the_guide_is_one_flag_and_recorded(gfss: Gfss) -> None:
    gfss("guided")
    gfss("not", "--guided-share", 0)
    gfss("other", "--method", "gfs")
    told = {name: read_run(gfss.out / name) for name in ("guided", "not", "other")}
    assert [run and run.options.get("guided_share") for run in told.values()] == [0.9, 0, None]
    assert "guided_share = 0.9" in gfss("guided", "--guided-share", 0, code=1)


def test_too_few_pairs_are_told(gfss: Gfss) -> None:
    assert "has 3 usable pairs, expected at least 4" in gfss("a", "--shots", 4, code=1)


def test_label_maps_of_the_few_shots_are_found_beside_them(gfss: Gfss, tmp_path: Path) -> None:
    assert "--support-labels" in gfss("plain", "--method", "pifs")
    assert "--support-labels" not in gfss("gfs", "--method", "gfs")
    support = tmp_path / "support"
    shutil.copytree(gfss.root / "support", support)
    for cls, number in NOVEL.items():
        for mask in (support / cls).glob("*_mask.png"):
            labels = np.where(np.asarray(Image.open(mask)) > 0, number, 3).astype(np.uint8)  # cats all around
            voc.write_label_map(tmp_path / "support_labels" / cls / mask.name.replace("_mask", ""), labels)
    assert "--support-labels" not in gfss("beside", "--method", "pifs", support=support)
    (tmp_path / "support_labels").rename(tmp_path / "maps")
    assert "--support-labels" not in gfss("named", "--method", "pifs", "--support-labels", tmp_path / "maps")
    results = [gfss.document(name)["runs"][0]["steps"] for name in ("plain", "beside", "named")]
    assert results[0] != results[1]
    assert results[1] == results[2]
    (tmp_path / "maps" / "lamp" / "1.png").unlink()
    output = gfss("other", "--method", "pifs", "--support-labels", tmp_path / "maps", code=1)
    assert "there is no such label map" in output


def test_folds_and_runs_fill_the_paths(gfss: Gfss, tmp_path: Path) -> None:
    folds = {"0": NOVEL, "1": {"dog": 5}}
    for fold, classes in folds.items():
        for number in range(2):
            draw_support(tmp_path / f"fold{fold}" / f"support{number}", classes, 1 + number)
    support = tmp_path / "fold{fold}" / "support{run}"
    model = tmp_path / "models" / "{fold}"
    flags = ["--method", "gfs", "--fold", "0,1", "--runs", 2]
    assert "4 made" in gfss("a", *flags, support=support, base_model=model)
    document = gfss.document("a")
    assert [(run["fold"], run["run"]) for run in document["runs"]] == [("0", 0), ("0", 1), ("1", 0), ("1", 1)]
    assert [fold["base"] for fold in document["folds"]] == [[1, 3, 5], [1, 2, 3, 4]]
    assert [fold["novel"] for fold in document["folds"]] == [[2, 4], [5]]
    assert [{cls: len(own) for cls, own in run["support"].items()} for run in document["runs"]] == [
        {"chess_queen": 1, "lamp": 1}, {"chess_queen": 2, "lamp": 2}, {"dog": 1}, {"dog": 2},
    ]  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == ["0", "1"]
    # a fold alone, and its model inside --out
    gfss("b", "--method", "gfs", "--fold", "1", "--runs", 2, support=support, base_model=None)
    assert gfss.document("b")["runs"] == document["runs"][2:]
    assert (gfss.out / "b" / "base-model-1" / "model.safetensors").is_file()


def test_runs_must_have_the_same_classes(gfss: Gfss, tmp_path: Path) -> None:
    draw_support(tmp_path / "support0", NOVEL, 1)
    draw_support(tmp_path / "support1", {"lamp": 4}, 1)
    output = gfss("a", "--method", "gfs", "--runs", 2, support=tmp_path / "support{run}", code=1)
    assert "differs from the support folder of the first run in 'chess queen'" in output
    assert not (gfss.out / "a" / "classes").exists()


def test_all_classes_at_once_are_one_step(gfss: Gfss) -> None:
    gfss("a", "--method", "gaps", "--classes-per-step", 0)
    (result,) = gfss.document("a")["runs"]
    assert [step["learnt"] for step in result["steps"]] == [[2, 4]]
    overall = gfss.document("a")["overall"]
    assert overall["last"] == overall["over_steps"]


def test_ready_scenes_are_learnt_from(gfss: Gfss) -> None:
    gfss("a", "--method", "finetune", "--layout", "scenes", "--scenes", gfss.root / "scenes")
    assert [step["learnt"] for step in gfss.document("a")["runs"][0]["steps"]] == [[2], [2, 4]]


def test_a_bad_query_is_named_and_the_others_count(gfss: Gfss, tmp_path: Path) -> None:
    shutil.copytree(gfss.root / "query", tmp_path / "query")
    (tmp_path / "query" / "SegmentationClass" / "val0.png").write_bytes(b"")
    output = gfss("a", "--method", "gfs", code=1, query=tmp_path / "query")
    assert "val0.png" in output
    counts = gfss.document("a")["runs"][0]["steps"][1]["confusion"]["target"]
    assert sum(counts.values()) == 40 * 56 + 44 * 36
