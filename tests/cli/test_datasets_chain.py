"""From a data set as it is unpacked to a table: a chain each of PASCAL-5i, COCO-20i, FSS-1000 and own annotations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from aligndiff_cli.datasets.folds import coco_novel
from tests.cli.conftest import Run
from tests.datasets import annotated
from tests.datasets.lookalikes import build_coco, build_fss, build_voc

pytestmark = pytest.mark.slow

GFSS = ["--epochs", 1, "--base-batch", 2, "--batch", 2, "--crop", 32]


class Chain:
    """The stages up to masks, on a tiny random model."""

    def __init__(self, run: Run, model: Path, backbone: Path, at: Path) -> None:
        self.run, self.model, self.at = run, model, at
        self.few_shot = ["--segmenter", "prototype", "--backbone", backbone, "--segmenter-size", 64]
        self.support = at / "data" / "support"

    def prepare(self, *flags: object) -> str:
        return self.run("prepare", *flags, "--partial", "--out", self.at / "data").output

    def masks(self, per_class: int = 2) -> None:
        at = self.at
        fast = ["--steps", 1, "--batch", 1, "--gradient-accumulation", 1, "--preview", 0]
        self.run("invert", "--images", self.support, "--out", at / "bank", "--model", self.model, *fast)
        draw = ["--per-class", per_class, "--steps", 1, "--height", 24, "--width", 40]
        self.run("generate", "--bank", at / "bank", "--out", at / "synth", *draw)
        flags = ["--consensus-iou", 0.05, *self.few_shot]
        self.run("mask", "--images", at / "synth", "--support", self.support, "--out", at / "masks", *flags)

    def gfss(self, backbone: Path, *flags: object, query: str = "query") -> dict:
        at, data = self.at, self.at / "data"
        compose = ["--foregrounds", at / "masks", "--support", self.support, "--base", data / "base", "--count", 2]
        self.run("compose", *compose, "--out", at / "scenes")
        common: list[object] = ["--base", data / "base", "--support", self.support, "--query", data / query]
        common += ["--backbone", backbone, "--method", "finetune", *GFSS, *flags]
        for name, source in (
            ("masks", ["--masks", at / "masks"]),
            ("scenes", ["--scenes", at / "scenes", "--layout", "scenes"]),
        ):
            out = ["--base-model", at / "base-model", "--out", at / "results" / name]
            self.run("evaluate", "gfss", *common, *source, *out)
        return json.loads((at / "results" / "masks" / "metrics.json").read_text())


@pytest.fixture
def chain(run: Run, tiny_sd: Path, backbone: Path, tmp_path: Path) -> Chain:
    return Chain(run, tiny_sd, backbone, tmp_path)


@pytest.mark.parametrize("sbd", ["png", "mat"])
def test_pascal_5i(chain: Chain, backbone: Path, tmp_path: Path, sbd: str) -> None:
    root = build_voc(tmp_path / "VOCdevkit", sbd)
    chain.prepare("pascal-5i", "--root", root, "--fold", 3)
    chain.masks()
    (result,) = chain.gfss(backbone, "--iterations", 1, "--classes-per-step", 5)["runs"]
    assert result["base"] == list(range(1, 16))
    assert sorted(result["support"]) == ["potted_plant", "sheep", "sofa", "train", "tv_monitor"]
    (step,) = result["steps"]
    assert step["learnt"] == [16, 17, 18, 19, 20]
    # borders of VOC's own label maps are ignored: 48 x 72 in three queries, less the outlines of five objects
    counted = sum(step["confusion"]["target"].values())
    assert counted < 3 * 48 * 72
    assert {int(cls) for cls, n in step["confusion"]["target"].items() if n} == {0, 1, 3, 16, 18, 20}


def test_coco_20i(chain: Chain, backbone: Path, tmp_path: Path) -> None:
    root = build_coco(tmp_path / "coco", 2017, coco_novel(2))
    chain.prepare("coco-20i", "--root", root, "--fold", 2)
    chain.masks(per_class=1)
    (result,) = chain.gfss(backbone, "--iterations", 1, "--classes-per-step", 10)["runs"]
    assert len(result["base"]) == 60
    assert [step["learnt"] for step in result["steps"]] == [list(coco_novel(2))[:10], list(coco_novel(2))]
    targets = result["steps"][-1]["confusion"]["target"]
    # car 3, fire hydrant 11 (novel, the first and the third), person 1 and bicycle 2
    assert {int(cls) for cls, n in targets.items() if n} == {0, 1, 2, 3, 11}
    assert sum(targets.values()) == 2 * 48 * 72


def test_fss_1000(chain: Chain, run: Run, tmp_path: Path) -> None:
    root = build_fss(tmp_path / "fss", ("abe's_flyingfish", "chess_queen", "pidan"))
    chain.prepare("fss-1000", "--root", root, "--shots", 1)
    chain.masks()
    data = tmp_path / "data"
    flags = ["--query", data / "query", "--masks", tmp_path / "masks", "--ood", data / "ood.txt", "--queries", 2]
    out = ["--synthetic", 2, "--beta", 0, "--out", tmp_path / "results"]
    run("evaluate", "fss", "--support", chain.support, *flags, *out, *chain.few_shot)
    metrics = json.loads((tmp_path / "results" / "metrics.json").read_text())
    assert len(metrics["rows"]) == 4
    assert "chess_queen" in (tmp_path / "results" / "metrics.json").read_text()
    assert "OOD" in (tmp_path / "results" / "table.md").read_text()


def test_own(chain: Chain, run: Run, backbone: Path, tmp_path: Path) -> None:
    """COCO's polygons to both protocols: query/ for fss, query_scenes/ for gfss."""
    path, data = annotated.as_coco(tmp_path / "in"), tmp_path / "data"
    run("prepare", "own", "--annotations", path, "--classes", "dog", "--out", data)
    chain.masks()
    (result,) = chain.gfss(backbone, "--iterations", 1, query="query_scenes")["runs"]
    assert result["base"] == [1, 3]
    (step,) = result["steps"]
    assert step["learnt"] == [2]
    targets = {int(cls): n for cls, n in step["confusion"]["target"].items() if n}
    # b, c and d are segmented: 320 + 875 + 560 pixels of dog, 100 of cat, less the corners that outlines cut
    assert set(targets) == {0, 1, 2}
    assert targets[2] == pytest.approx(1755, abs=16)
    assert sum(targets.values()) == 3 * 2400
    flags = ["--query", data / "query", "--masks", tmp_path / "masks", "--synthetic", 2, "--beta", 0]
    run("evaluate", "fss", "--support", chain.support, *flags, "--out", tmp_path / "fss", *chain.few_shot)
    assert len(json.loads((tmp_path / "fss" / "metrics.json").read_text())["rows"]) == 4
